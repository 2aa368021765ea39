"""Whole jobs at the end of their slot, with real processes: warned, stopped in time, all that is theirs has left."""

import json
import tarfile
import time
from pathlib import Path
from typing import Any

from test_endings import WAIT_FOR_EVER, log_members, payload_gone, started_payload

from grid import Grid, wait_for

WATCHFUL = (str(Path(__file__).with_name("watchful_pilot.py")),)

HEED = """
import json, os, signal, sys, time
told = []
signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGUSR1, lambda *_: told.append('USR1'))
print('begun', flush=True)
notice = os.environ['PICARD_STOP_NOTICE']
while not (told and os.path.exists(notice) and os.path.exists('go')):
    time.sleep(0.02)
with open('out.' + os.environ['PANDAID'] + '.txt', 'w') as out:
    out.write(open(notice).read())
os._exit(0)
"""
"""Goes on until it was told in both ways, and until the test lets it; it ends well then, and at once: an interpreter
that is being taken down catches no signal any more."""

DEAF = (
    "import subprocess, sys\n"
    "subprocess.Popen([sys.executable, '-S', '-E', '-c', {child!r}], stdout=subprocess.DEVNULL)\n"
)
"""What does not catch the signal must not get it: a child of the same payload."""


def drain(grid: Grid) -> tuple[str, Path]:
    """The flag that names the drain file, and the file, which is not there yet."""
    path = grid.directory / "drain"
    return f"--drain-file={path}", path


def status(grid: Grid, job_id: int) -> dict[str, Any]:
    view = json.loads((grid.job_dir(job_id) / "picard" / "status.json").read_text())
    assert isinstance(view, dict)
    return view


def announce(path: Path, seconds: int) -> None:
    """The administrator writes that all is over in so many seconds; as a whole, since pilots read it at any time."""
    temporary = path.with_suffix(".new")
    temporary.write_text(f"+{seconds}\n")
    temporary.replace(path)


def test_a_payload_is_told_and_what_it_made_leaves(grid: Grid) -> None:
    """By file and by the signal that the site named; status.json and the heartbeat say when and by whose word. A child
    without a handler for the signal does not get it."""
    flag, path = drain(grid)
    code = DEAF.format(child=WAIT_FOR_EVER) + HEED
    job_id = grid.submit_python(code, outFiles="out.$PANDAID.txt", scopeOut="test")
    pilot = grid.pilot(
        *(
            flag,
            "--warning-signal",
            "USR1",
            "--stop-grace",
            "100",
            "--report-grace",
            "60",
            "--heartbeat",
            "0.2",
        ),
        program=WATCHFUL,
    )
    started_payload(grid, job_id)
    announce(path, 200)
    wait_for((grid.job_dir(job_id) / "stop_notice.json").exists, "the notice")
    slot = status(grid, job_id)["slot"]
    assert slot["by"] == "the site's drain file" and slot["stops_at"] < slot["ends_at"]
    wait_for(lambda: "remainingTime=" in json.dumps(grid.job(job_id)), "the server knows the remaining time")
    (grid.job_dir(job_id) / "go").touch()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.output()
    assert pilot.wait(60) in (0, 81)
    told = json.loads((grid.store / f"out.{job_id}.txt").read_text())
    assert told["stopped_at"] < told["slot_ends_at"] and str(path) in told["because"]
    assert "SIGUSR1 sent to 1 processes" in grid.output()
    assert "payload.stdout" in log_members(grid, job_id)


def test_a_payload_that_goes_on_is_stopped_in_time(grid: Grid) -> None:
    """1213 with the source and what was read there; the log with the payload's words has left; exit code 81."""
    flag, path = drain(grid)
    job_id = grid.submit_python(WAIT_FOR_EVER)
    second = grid.submit("/bin/true")
    pilot = grid.pilot(
        flag, "--slot-margin", "5", "--stop-grace", "40", "--report-grace", "60", program=WATCHFUL
    )
    payload = started_payload(grid, job_id)
    announce(path, 112)
    assert pilot.wait(60) == 81, grid.output()
    assert payload_gone(*payload)
    assert grid.wait_status(job_id, "failed", "finished") == "failed"
    code, diag = grid.errors(job_id)["pilot"]
    assert code == 1213
    assert "the site's drain file" in diag
    with tarfile.open(grid.store / f"log.{job_id}.tgz") as archive:
        (member,) = [one for one in archive.getmembers() if one.name.endswith("pilotlog.txt")]
        extracted = archive.extractfile(member)
        assert extracted is not None and b"the time of the slot is used up" in extracted.read()
    assert not grid.job_dir(job_id).exists()
    assert grid.status(second) == "activated"


def test_no_job_is_taken_when_slurm_leaves_no_time(grid: Grid) -> None:
    """By the environment; the pilot says so, and leaves at once."""
    job_id = grid.submit("/bin/true")
    environ = {"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": f"{time.time() + 60:.0f}"}
    pilot = grid.pilot("--slot-margin", "50", **environ)
    assert pilot.wait(60) == 0, grid.output()
    assert "by SLURM_JOB_END_TIME (SLURM_JOB_END_TIME=" in grid.output()
    assert "the slot leaves no room for another job" in grid.output()
    assert grid.status(job_id) == "activated"


def test_no_job_is_taken_before_squeue_has_answered(grid: Grid) -> None:
    """Where the environment does not say it, the controller is asked; a real program with its own arguments."""
    program = grid.directory / "bin" / "squeue"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\n[ "$*" = "--noheader --jobs 7 --format %L" ] && echo 0:20\n')
    program.chmod(0o755)
    job_id = grid.submit("/bin/true")
    environ = {"SLURM_JOB_ID": "7", "PATH": f"{program.parent}:/usr/bin:/bin"}
    assert grid.pilot(program=WATCHFUL, **environ).wait(60) == 0, grid.output()
    assert "by Slurm's time limit (squeue" in grid.output()
    assert grid.status(job_id) == "activated"
