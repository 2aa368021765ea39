"""Whole jobs whose storages and site programs mean harm, or die at the worst moment."""

from pathlib import Path

from storage_kit import HASTY, inputs, queue_of

from grid import Grid

CONTENT = bytes(range(256)) * 400

IMPATIENT = str(Path(__file__).with_name("impatient_pilot.py"))

HANGING = """
import json, sys, time
ask = json.loads(sys.stdin.readline())
if ask["verb"] == "describe":
    print(json.dumps({"number": ask["number"], "result": "cannot"}))
elif ask["surl"].startswith("mounted://other"):
    open(ask["path"], "wb").write(bytes(range(256)) * 400)
    print(json.dumps({"number": ask["number"], "result": "done"}))
else:
    open(ask["path"], "wb").write(b"half")
    time.sleep(1000)
"""


def test_a_program_that_hangs_in_mid_file(grid: Grid, tmp_path: Path) -> None:
    """It is ended with its worker; what it left in its private folder is removed, and another place gives the file."""
    program = tmp_path / "hanging"
    program.write_text(f"#!/usr/bin/env python3\n{HANGING}")
    program.chmod(0o755)
    queue_of(
        grid,
        {"A": "mounted://site", "B": "mounted://other"},
        activities={"pr": ["A"], "read_alternative": ["B"], "pw": ["DISK"]},
        tables=f'[queue.{grid.queue}.movers]\npr = ["external:{program}"]',
    )
    job = grid.submit_python(
        "assert len(open('in.dat', 'rb').read()) == 102400", **inputs({"in.dat": CONTENT})
    )
    assert grid.pilot(*HASTY, "--no-cleanup", program=(IMPATIENT,)).wait(90) == 0, grid.output()
    assert grid.wait_status(job, "finished", "failed") == "finished", grid.errors(job)
    assert not list(grid.job_dir(job).glob(".*.part"))
