"""A pilot is killed, its job's directory is carried to another place, and `ppilot recover run` goes on there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_kill_at_every_record import RECORDS, check_finished, submit

from grid import ROOT, Grid, clean_environment, wait_for
from picard_pilot.payload.jobdir import LAUNCH_DIRECTORY
from picard_pilot.payload.launcher import runs_in_original
from picard_pilot.server import control
from picard_pilot.system.shim import protocol

AFTER = tuple(
    RECORDS.index(kind) + 1
    for kind in (
        *("JobReceived", "Prepared", "InputStaged", "InputsReady", "PayloadStarted", "PayloadExited"),
        *("Diagnosed", "OutputStored", "OutputsStored", "LogStored"),
    )
)
"""After which records the pilot is killed: once in each state."""


def carry(grid: Grid, job_id: int, to: Path) -> None:
    """Copy the directory as `cp -r` does, without what no copy can take along, once its payload is over."""

    def pipes(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if Path(folder, name).is_fifo()]

    launch = grid.job_dir(job_id) / "picard" / LAUNCH_DIRECTORY
    if (launch / protocol.STARTED_FILE).exists():
        ended = launch / protocol.EXIT_FILE
        wait_for(
            lambda: ended.exists() and protocol.verified_record(ended.read_bytes()), "the payload to end"
        )
    shutil.copytree(grid.job_dir(job_id), to, symlinks=True, ignore=pipes)
    wait_for(lambda: not runs_in_original(to / "picard" / LAUNCH_DIRECTORY), "its launcher to end")
    shutil.rmtree(grid.job_dir(job_id))


@pytest.mark.parametrize("record", AFTER)
def test_what_a_killed_pilot_left_is_finished_from_a_copy(grid: Grid, tmp_path: Path, record: int) -> None:
    """In whatever state it was: what is there is used, the payload runs once, and nothing is left in either place."""
    job_id, counter = submit(grid)
    mortal = grid.pilot("--jobs", "1", program=("tests/crash/mortal_pilot.py", "after", str(record)))
    assert mortal.wait(60) == -9, grid.output()
    copy = tmp_path / "carried" / "job"
    copy.parent.mkdir()
    carry(grid, job_id, copy)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "picard_pilot.cli.main", "recover", "run", str(copy)),
            *("--server", grid.info.url, "--ca", str(grid.info.ca_file), "--site-file", str(grid.site_file)),
            *("--token-file", str(control.token_file(Path(grid.info.data_dir), "pilot"))),
            *("--node-directory", str(grid.directory / "node"), "--config", os.devnull),
        ],
        env=clean_environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    check_finished(grid, job_id, counter)
    assert list(copy.parent.iterdir()) == []
    assert not grid.job_dir(job_id).exists()
