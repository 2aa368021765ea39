"""Whole jobs whose storages and site programs mean harm, or die at the worst moment."""

from pathlib import Path

from storage_kit import HASTY, inputs, prefix, queue_of

from grid import Grid
from picard_pilot.testing.faulty_storage import FaultyStorage

CONTENT = bytes(range(256)) * 400

IMPATIENT = str(Path(__file__).with_name("impatient_pilot.py"))

HANGING = """
import json, sys, time
ask = json.loads(sys.stdin.readline())
if ask["verb"] == "describe":
    print(json.dumps({"number": ask["number"], "result": "cannot"}))
else:
    open(ask["path"], "wb").write(b"half")
    time.sleep(1000)
"""


def test_a_program_that_hangs_in_mid_file(grid: Grid, tmp_path: Path) -> None:
    """It is ended with its worker; what it left in its private folder is removed, and another place gives the file."""
    program = tmp_path / "hanging"
    program.write_text(f"#!/usr/bin/env python3\n{HANGING}")
    program.chmod(0o755)
    with FaultyStorage(tmp_path / "b") as storage:
        storage.put("in.dat", CONTENT)
        queue_of(
            grid,
            {"A": "mounted://site", "B": prefix(storage)},
            activities={"pr": ["A"], "read_alternative": ["B"], "pw": ["DISK"]},
            tables=f'[queue.{grid.queue}.movers]\npr = ["http", "external:{program}"]',
        )
        job = grid.submit_python(
            "assert len(open('in.dat', 'rb').read()) == 102400", **inputs({"in.dat": CONTENT})
        )
        assert grid.pilot(*HASTY, "--no-cleanup", program=(IMPATIENT,)).wait(90) == 0, grid.output()
    assert grid.wait_status(job, "finished", "failed") == "finished", grid.errors(job)
    assert not list(grid.job_dir(job).glob(".*.part"))


def test_a_log_whose_name_is_as_long_as_a_name_can_be(grid: Grid) -> None:
    """Its archive is made and stored: a file system takes 255 bytes, and so does the pilot."""
    name = "l" * 251 + ".tgz"
    job = grid.submit_python("pass", logFile=name)
    assert grid.pilot(*HASTY).wait(60) == 0, grid.output()
    assert grid.wait_status(job, "finished", "failed") == "finished", grid.errors(job)
    assert [path.name for path in grid.store.iterdir()] == [name]
