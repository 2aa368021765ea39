"""Kill -9 at every journal record of a complete job: a later pilot finishes it, and the payload runs once."""

import json
from pathlib import Path

import pytest

from grid import Grid

RECORDS = (
    *("JobReceived", "Admitted", "Prepared", "InputStaged", "InputStaged", "InputsReady", "PayloadStarted"),
    *("PayloadExited", "Diagnosed", "OutputStored", "OutputsStored", "LogStored", "ReportAccepted"),
)
"""What a job with two inputs, one output and a log writes into its journal, in order."""


def submit(grid: Grid) -> tuple[int, Path]:
    """A job that counts how often its payload ran; the counter is outside of everything that a pilot touches."""
    counter = grid.directory / "runs"
    sums = [grid.put(name, name.encode() * 100) for name in ("a.dat", "b.dat")]
    job_id = grid.submit_python(
        f"import os\nopen({str(counter)!r}, 'a').write('x')\n"
        "data = open('a.dat').read() + open('b.dat').read()\n"
        "open('out.' + os.environ['PANDAID'] + '.txt', 'w').write(data)\n",
        inFiles="a.dat,b.dat", fsize="500,500", checksum=",".join(sums), scopeIn="t,t", GUID="G1,G2",
        ddmEndPointIn="DISK,DISK", outFiles="out.$PANDAID.txt", scopeOut="t",
    )  # fmt: skip
    return job_id, counter


def final_report(grid: Grid, job_id: int) -> dict[str, object]:
    """The final report as it went out, without what depends on the time and the machine."""
    report = json.loads((grid.job_dir(job_id) / "picard" / "report.json").read_text())["report"]
    for key in ("start_time", "end_time", "phase_since", "timing_s", "usage", "metrics", "cost", "job_id"):
        report.pop(key, None)
    text = json.dumps(report).replace(f".{job_id}.", ".N.")
    cleaned = json.loads(text)
    for file in cleaned["outputs"]:
        if file["lfn"].startswith("log"):
            # The log tells the story of the crash; it cannot be the same.
            file.update(size_bytes=0, checksum=None)
        file["surl"] = file["surl"].replace(str(grid.directory), "")
    return cleaned


EXPECTED_OUTPUT = "a.dat" * 100 + "b.dat" * 100


def check_finished(grid: Grid, job_id: int, counter: Path) -> None:
    """The job is finished everywhere, once."""
    assert grid.wait_status(job_id, "finished", "failed") == "finished", (grid.errors(job_id), grid.output())
    assert (grid.store / f"out.{job_id}.txt").read_text() == EXPECTED_OUTPUT
    assert counter.read_text() == "x", "the payload ran more than once"
    assert not [path for path in grid.store.iterdir() if path.name.endswith(".part")]


def test_the_records_of_a_good_job_are_the_expected_ones(grid: Grid) -> None:
    """If a record is added, the sweep below must know it."""
    job_id, counter = submit(grid)
    assert grid.pilot("--jobs", "1", "--no-cleanup").wait(60) == 0, grid.output()
    check_finished(grid, job_id, counter)
    assert tuple(grid.events(job_id)) == RECORDS


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("record", range(1, len(RECORDS) + 1))
def test_a_pilot_killed_at_a_record_is_followed_by_one_that_finishes_the_job(
    grid: Grid, when: str, record: int
) -> None:
    """Same final report as without a crash, whatever the point."""
    job_id, counter = submit(grid)
    mortal = grid.pilot(
        "--jobs", "1", "--no-cleanup", program=("tests/crash/mortal_pilot.py", when, str(record))
    )
    assert mortal.wait(60) == -9, grid.output()
    if when == "before" and record == 1:
        # The job was given to a pilot that died before it could write that down: only the server's watcher knows.
        assert grid.status(job_id) == "sent"
        return
    rescuer = grid.pilot("--jobs", "1", "--no-cleanup")
    assert rescuer.wait(60) in (0, 82), grid.output()
    check_finished(grid, job_id, counter)
    if when == "before" or record < len(RECORDS):
        assert "Resumed" in grid.events(job_id)
    report = final_report(grid, job_id)
    assert (report["status"], report["pilot_error_code"], report["trans_exit_code"]) == ("finished", 0, 0)
    outputs = report["outputs"]
    assert isinstance(outputs, list)
    assert [file["lfn"] for file in outputs] == ["out.N.txt", "log.N.tgz"]


def test_cutting_the_journal_after_each_record_gives_the_same_report(grid: Grid) -> None:
    """The work directory as it was at the end, the journal cut: all effects are there, and nobody knows of them."""
    job_id, counter = submit(grid)
    assert grid.pilot("--jobs", "1", "--no-cleanup").wait(60) == 0, grid.output()
    check_finished(grid, job_id, counter)
    expected = final_report(grid, job_id)
    journal = grid.job_dir(job_id) / "picard" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    for cut in range(1, len(lines)):
        journal.write_bytes(b"".join(lines[:cut]) + lines[cut][: len(lines[cut]) // 2])
        (grid.job_dir(job_id) / "picard" / "report.json").unlink(missing_ok=True)
        pilot = grid.pilot("--no-cleanup", program=("tests/crash/indulgent_pilot.py",))
        assert pilot.wait(60) == 0, grid.output()
        assert grid.events(job_id)[-1] == "ReportAccepted", (cut, grid.output())
        assert final_report(grid, job_id) == expected, cut
    assert counter.read_text() == "x", "the payload ran more than once"
