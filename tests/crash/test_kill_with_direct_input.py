"""Kill -9 around the moments when an input is opened where it is and its address handed to the payload."""

import pytest

from grid import Grid

OPENED, READY, STARTED = 4, 5, 6
"""The records of a job with one input: InputStaged, InputsReady, PayloadStarted."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("record", [OPENED, READY, STARTED])
def test_the_payload_gets_the_address_whoever_starts_it(grid: Grid, when: str, record: int) -> None:
    """The address is in the journal; list and catalogue are written by the pilot that launches the payload."""
    said = grid.site_file.read_text()
    permitted = 'status = "online"\ndirect_access_lan = true\ndirect_access_threshold_mb = 0'
    grid.site_file.write_text(said.replace('status = "online"', permitted))
    checksum = grid.put("in.root", b"content")
    counter = grid.directory / "runs"
    job_id = grid.submit_python(
        f"import os\nopen({str(counter)!r}, 'a').write('x')\n"
        "(turl,) = open(os.environ['PILOT_INPUT_TURLS']).read().split()\n"
        "assert turl in open('PoolFileCatalog.xml').read()\n"
        "assert not os.path.lexists('in.root')\n"
        "assert open(turl.removeprefix('file://')).read() == 'content'\n",
        inFiles="in.root", fsize="7", checksum=checksum, scopeIn="t", GUID="G1", ddmEndPointIn="DISK",
    )  # fmt: skip
    mortal = grid.pilot(
        "--jobs", "1", "--no-cleanup", program=("tests/crash/mortal_pilot.py", when, str(record))
    )
    assert mortal.wait(60) == -9, grid.output()
    assert grid.pilot("--jobs", "1", "--no-cleanup").wait(60) in (0, 82), grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", (grid.errors(job_id), grid.output())
    assert counter.read_text() == "x", "the payload ran more than once"
    staged = [one["event"] for one in grid.journal(job_id) if one["event"]["event"] == "InputStaged"]
    assert [event["how"] for event in staged] == ["direct"]
