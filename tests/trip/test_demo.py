"""The demonstration as people run it: real server, real pilots, real jobs; it ends clean whatever happens to it."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uproot", reason="the demo extra (uproot, matplotlib, test data) is not installed")

from grid import PATIENCE_S, wait_for

#: The demonstration without the command line in front of it, so that these tests say what is asked for.
PROGRAM = """
import asyncio, json, sys
from picard_pilot.tools.demo import DemoOptions, run_demo
sys.exit(asyncio.run(run_demo(DemoOptions(**json.loads(sys.argv[1])))))
"""


class Demo:
    """One run of the demonstration in a temporary directory of its own."""

    def __init__(
        self, temporary: Path, options: str = "{}", stdout: int = subprocess.PIPE, **environ: str
    ) -> None:
        self.temporary = temporary
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, options],
            env={**os.environ, "TMPDIR": str(temporary), **environ},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def folders(self) -> list[Path]:
        """What is left of its folder."""
        return list(self.temporary.glob("picard-demo-*"))

    def processes(self) -> dict[int, str]:
        """All processes that have to do with its folder, by their command lines and directories."""
        mark = str(self.temporary)
        found = {}
        for path in Path("/proc").iterdir():
            if not path.name.isdigit() or int(path.name) in (os.getpid(), self.process.pid):
                continue
            try:
                line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                place = str((path / "cwd").readlink())
            except OSError:
                continue
            if mark in line or place.startswith(mark):
                found[int(path.name)] = line
        return found

    def end(self) -> tuple[int, str]:
        """Its exit code and all it said."""
        said, _ = self.process.communicate(timeout=PATIENCE_S * 2)
        return self.process.returncode, (said or b"").decode()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """Starts demonstrations; none is left when the test ends."""
    started: list[Demo] = []

    def make(options: str = "{}", **more: Any) -> Demo:
        started.append(Demo(tmp_path, options, **more))
        return started[-1]

    yield make
    for demo in started:
        if demo.process.poll() is None:
            demo.process.kill()
        demo.process.wait()
        if demo.process.stdout is not None:
            demo.process.stdout.close()


def test_every_job_ends_as_its_scenario_says(start: Callable[..., Demo]) -> None:
    """The demonstration itself: exit 0, each end explained, each file found again, nothing left behind."""
    demo = start()
    code, said = demo.end()
    assert code == 0, said
    assert "5 jobs ended as the scenarios say." in said
    assert re.search(r"✓ job \d+ dimuon finished", said)
    assert re.search(r"dimuon\.\d+\.root  .* checksum verified", said)
    assert re.search(r"dimuon\.\d+\.png  .* checksum verified", said)
    assert "ended with exit code 7: calibration constants not found" in said
    assert "signal 9 (SIGKILL)" in said
    assert "no-such-events.root" in said
    assert "fullest bin at 90 to 91 GeV" in said
    assert re.search(r"monitor  http://127\.0\.0\.1:\d+/login\?token=", said)
    assert said.index("Try next:") > said.index("What happened")
    assert "wrong:" not in said
    assert demo.folders() == [] and demo.processes() == {}


def test_kept_folder_holds_everything(start: Callable[..., Demo]) -> None:
    """With `keep` the database, the logs, the job's directory and the outputs stay, and no process does."""
    demo = start('{"jobs": 1, "pilots": 1, "fail": [], "keep": true}')
    code, said = demo.end()
    assert code == 0, said
    (folder,) = demo.folders()
    assert f"Kept: {folder}" in said
    assert list((folder / "storage").glob("dimuon.*.png"))
    assert (folder / "server" / "server.sqlite").exists()
    assert list((folder / "pilot1").glob("PanDA_Pilot-*/payload.stdout"))
    assert (folder / "logs" / "pilot1.log").exists()
    assert demo.processes() == {}


def test_a_job_that_does_not_end_as_meant_is_a_failure(start: Callable[..., Demo]) -> None:
    """When the time is over before the jobs are, the exit code is 1 and the summary says what is missing."""
    demo = start('{"jobs": 2, "pilots": 1, "seconds": 0.5}')
    code, said = demo.end()
    assert code == 1, said
    assert "had NOT ended as the scenarios say" in said
    assert "and should be finished" in said
    assert demo.folders() == [] and demo.processes() == {}


def test_a_port_that_is_taken_is_told_before_anything_is_started(start: Callable[..., Demo]) -> None:
    """With the flag that helps; there is no folder yet."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        demo = start(json.dumps({"port": other.getsockname()[1]}))
        code, said = demo.end()
    assert code == 1
    assert "Address already in use" in said and "--port" in said
    assert demo.folders() == []


def test_where_no_browser_can_be_opened_the_address_must_do(start: Callable[..., Demo]) -> None:
    """A browser that is not there is no failure."""
    demo = start('{"jobs": 1, "pilots": 1, "fail": [], "open_browser": true}', BROWSER="/no/such/browser")
    code, said = demo.end()
    assert code == 0, said
    assert "No browser could be opened here" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cleans_up_everything(start: Callable[..., Demo], number: signal.Signals) -> None:
    """In the middle of a payload: exit 128 + n, no process, no folder."""
    demo = start('{"jobs": 8, "fail": []}')
    wait_for(lambda: any("pi.py" in line for line in demo.processes().values()), "a payload runs")
    os.kill(demo.process.pid, number)
    code, said = demo.end()
    assert code == 128 + number, said
    assert "Removed: " in said
    assert demo.folders() == [] and demo.processes() == {}


def test_a_second_signal_makes_it_hurry(start: Callable[..., Demo]) -> None:
    """Two signals in a row leave nothing behind either."""
    demo = start('{"jobs": 8, "fail": []}')
    wait_for(lambda: any("pi.py" in line for line in demo.processes().values()), "a payload runs")
    os.kill(demo.process.pid, signal.SIGINT)
    os.kill(demo.process.pid, signal.SIGTERM)
    code, said = demo.end()
    assert code in (130, 143), said
    assert demo.folders() == [] and demo.processes() == {}


def test_its_own_violent_death_takes_its_processes_along(start: Callable[..., Demo]) -> None:
    """After kill -9 no server, pilot or payload goes on; the folder is all that is left."""
    demo = start('{"jobs": 8, "fail": []}')
    wait_for(lambda: any("pi.py" in line for line in demo.processes().values()), "a payload runs")
    demo.process.kill()
    demo.process.wait()
    wait_for(lambda: demo.processes() == {}, "all processes are gone")


def test_a_terminal_gets_a_live_table(start: Callable[..., Demo]) -> None:
    """On a terminal the jobs are rows with their trip, and the failed one is marked as meant."""
    ours, theirs = pty.openpty()
    try:
        demo = start('{"jobs": 2, "pilots": 1, "fail": ["exit7"]}', stdout=theirs)
        os.close(theirs)
        said = _read_terminal(ours)
        assert demo.end()[0] == 0, said
    finally:
        os.close(ours)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said)
    assert "starting › setup › stagein › running › stageout › finishing" in plain
    assert re.search(r"✗\s+\d+\s+exit7\s+━━━━━━\s+failed, as meant\s+pilot1", plain)
    assert re.search(r"▸\s+\d+\s+dimuon\s+━*▸·*\s+\w+", plain)


def _read_terminal(descriptor: int) -> str:
    """All that is written to a terminal until its other side is closed."""
    said, deadline = b"", time.monotonic() + PATIENCE_S
    while select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
        try:
            part = os.read(descriptor, 65536)
        except OSError:  # how Linux says that the other side is closed
            break
        if not part:
            break
        said += part
    return said.decode(errors="replace")
