"""Whether a batch system's signal reaches a pilot that a script waits for: told at its start, with real scripts."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from picard_pilot.pilot import above

TELL = """
import json, os, sys
from picard_pilot.pilot import above
print(json.dumps([os.getppid(), [program.pid for program in above.unprepared()], above.warning(os.environ)]))
"""


def told(script: str, **environ: str) -> Any:
    """What a pilot finds whose batch script is this one, with `$PILOT` in it: its parent, who would die, the line."""
    answer = subprocess.run(
        ["sh", "-c", script.replace("$PILOT", '"$0" -c "$1"'), sys.executable, TELL],
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(answer.stdout)


@pytest.mark.parametrize(
    ("script", "dies"),
    [
        ("$PILOT; exit $?", True),
        ("trap 'kill -TERM $!' TERM; $PILOT & wait $!", False),
        ("trap '' TERM; $PILOT; exit $?", False),
    ],
    ids=["waits", "hands on", "ignores"],
)
def test_a_script_that_would_die_of_the_signal_is_named(script: str, dies: bool) -> None:
    """Its end is the end of the batch job: what it waits for is killed without a word."""
    parent, unprepared, line = told(script, SLURM_JOB_ID="7")
    assert (parent in unprepared) is dies
    if dies:
        assert f"sh (process {parent})" in line and "exec ppilot run" in line and "slurm" in line


def test_nobody_is_warned_outside_a_batch_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal, a shell above is what one expects."""
    monkeypatch.setattr(above, "unprepared", lambda: [above.Program(7, "sh")])
    assert above.warning({}) is None
    assert above.warning({"_CONDOR_SLOT": "slot1"}) is not None
