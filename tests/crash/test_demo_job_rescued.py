"""The demo's first job, the Z boson in real data, killed with -9 in each phase: a later pilot finishes it."""

import importlib.util
import zlib
from pathlib import Path

import pytest

from grid import Grid
from picard_pilot.tools.demo_place import DATA_FILE, DATA_PACKAGE, INPUT_LFN
from picard_pilot.tools.scenarios.table import FIRST, StoredInput

DIES_AFTER = {
    "setup": (3, "Prepared"),
    "stage-in": (4, "InputStaged"),
    "running": (6, "PayloadStarted"),
    "stage-out": (9, "OutputStored"),
    "closing": (12, "LogStored"),
}
"""The record of the journal after which the first pilot dies, by phase."""


def submit_dimuon(grid: Grid) -> int:
    """The demo's own job, on this test's storage and queue."""
    package = importlib.util.find_spec(DATA_PACKAGE)
    assert package is not None and package.origin is not None
    content = (Path(package.origin).parent / "data" / DATA_FILE).read_bytes()
    grid.put(INPUT_LFN, content)
    events = StoredInput(lfn=INPUT_LFN, size_bytes=len(content), adler32=f"{zlib.adler32(content):08x}")
    spec = FIRST.spec((events,))
    spec.update(computingSite=grid.queue, ddmEndPointIn=["DISK"], ddmEndPointOut=["DISK"] * 3)
    return grid.submit(str(spec.pop("transformation")), str(spec.pop("jobPars")), **spec)


@pytest.mark.parametrize("phase", DIES_AFTER)
def test_a_later_pilot_finds_the_z_boson_of_one_that_was_killed(grid: Grid, phase: str) -> None:
    """Histogram and picture are where the report says, with the checksums that it says."""
    job_id = submit_dimuon(grid)
    number, event = DIES_AFTER[phase]
    mortal = grid.pilot("--jobs", "1", program=("tests/crash/mortal_pilot.py", "after", str(number)))
    assert mortal.wait(60) == -9, grid.output()
    assert grid.events(job_id)[-1] == event
    assert grid.pilot("--jobs", "1").wait(60) in (0, 82), grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", (grid.errors(job_id), grid.output())
    outputs = [file for file in grid.job(job_id)["files"] if file["role"] == "output"]
    assert len(outputs) == 2
    for file in outputs:
        stored = Path(file["surl"].removeprefix("file://")).read_bytes()
        assert file["checksum"] == f"ad:{zlib.adler32(stored):08x}"
        assert file["size_bytes"] == len(stored)
    assert not grid.job_dir(job_id).exists()
