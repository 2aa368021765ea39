"""Control groups of version 2 as a batch system hands them to a job, on a real kernel that runs as a program."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from uml import USER, lacks_guest, run_in_guest

REASON = lacks_guest()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")

SCRIPT = Path(__file__).parents[1] / "guest_cgroups.py"
SLICE = "/sys/fs/cgroup/batch.slice/job.slice"


def told(folder: Path, layout: str) -> dict[str, Any]:
    """What the pilot's work in a guest of this layout came to."""
    answer = run_in_guest(folder, (sys.executable, str(SCRIPT)), layout)
    assert answer.exit_code == 0, answer
    found: dict[str, Any] = json.loads(answer.stdout)
    assert found["uid"] == USER
    return found


def check_the_payloads(found: dict[str, Any]) -> None:
    """Limits, the kernel's killing, the launcher's killing, and that nothing is left."""
    assert set(found["controllers"]) >= {"memory", "pids"}
    assert (found["kills"], found["limits"]) == (True, ["memory", "processes"])
    assert found["greedy"]["signal"] == 9, found
    assert "oom_group_kill 1" in found["events"].splitlines()
    assert found["peak"] <= 60 << 20
    assert found["daemon"]["exit_code"] == 0, found
    assert found["greedy"]["empty"] and found["daemon"]["empty"]
    assert found["removed"] is True


def test_the_group_above_is_found_where_htcondor_gives_it(tmp_path: Path) -> None:
    """The pilot's own group is root's, the one above is the user's: payloads get theirs there.

    A payload beyond its memory is killed with its daemon, and the pilot lives.
    """
    found = told(tmp_path, "delegated")
    assert (found["place"], found["own"]) == (SLICE, f"{SLICE}/job.scope")
    assert found["pilot"] == "0::/batch.slice/job.slice/job.scope"
    check_the_payloads(found)


def test_the_pilot_makes_way_where_it_is_in_the_group_itself(tmp_path: Path) -> None:
    """A group that passes controllers on has no processes of its own: the pilot goes into one beside the payload's."""
    found = told(tmp_path, "own")
    assert found["place"] == found["own"] == SLICE
    assert found["pilot"] == "0::/batch.slice/job.slice/picard-pilot"
    check_the_payloads(found)


def test_where_nothing_is_the_users_it_is_said(tmp_path: Path) -> None:
    """A batch system that keeps its groups to itself is no failure; the reason is for the pilot's first lines."""
    found = told(tmp_path, "root")
    assert found["place"] == f"none of the control groups from {SLICE}/job.scope upwards may be written"
