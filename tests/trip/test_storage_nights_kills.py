"""Kill -9 of whole pilots in the middle of storage nights: one copy counts and is the one that the report names."""

import signal
from pathlib import Path

import pytest
from test_storage_nights import HERE, Storages, record, run, submit

from grid import Grid

UP_TO_LOG = (
    *("JobReceived", "Admitted", "Prepared", "PayloadStarted", "PayloadExited", "Diagnosed"),
    *("OutputStored", "OutputsStored"),
)
"""The records of a job with one output, without trouble, before its log is stored."""


def mortal(when: str, number: int) -> tuple[str, ...]:
    """A pilot that dies around the n-th record that it writes."""
    return ("tests/crash/mortal_pilot.py", when, str(number))


def log_copies(storages: Storages, job_id: int) -> tuple[bool, bool]:
    """Whether the first and the second storage hold the log."""
    log = f"log.{job_id}.tgz"
    return (storages.first / log).exists(), (storages.second / log).exists()


@pytest.mark.parametrize(
    ("when", "event", "counts"),
    [
        ("after", "OutputDiverted", "first"),
        ("before", "OutputStored", "first"),
        ("after", "OutputStored", "second"),
        ("before", "OutputPlaceCleared", "second"),
        ("before", "LogStored", "second"),
    ],
)
def test_a_log_of_which_two_copies_stand(grid: Grid, when: str, event: str, counts: str) -> None:
    """No copy is removed before the journal says which one counts, and that one counts for every later pilot."""
    storages = Storages(grid)
    job_id, _ = submit(grid)
    storages.trouble("late and only logs", storages.first)
    order = [*UP_TO_LOG, "OutputDiverted", "OutputStored", "OutputPlaceCleared", "LogStored"]
    number = len(UP_TO_LOG) + order[len(UP_TO_LOG) :].index(event) + 1
    assert run(grid, "--jobs", "1", program=mortal(when, number)) == -signal.SIGKILL, grid.output()
    cleared = event == "LogStored" or (when, event) == ("before", "OutputPlaceCleared")
    assert log_copies(storages, job_id) == (not cleared, (when, event) != ("after", "OutputDiverted"))
    storages.well()
    assert run(grid) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert log_copies(storages, job_id) == (counts == "first", counts == "second")
    (log,) = [file for file in grid.job(job_id)["files"] if file["role"] == "log"]
    assert log["endpoint"] == ("DISK" if counts == "first" else "T1")


def catalogued(grid: Grid) -> None:
    """The same storages at a queue whose outputs are registered, in a book beside each storage's files."""
    text = grid.site_file.read_text()
    named = text.replace('["fickle_storage:Fickle"] }', '["notary:Notary", "fickle_storage:Fickle"] }')
    grid.site_file.write_text(named.replace("movers =", "register_outputs = true\nmovers ="))


@pytest.mark.parametrize(
    ("when", "event"),
    [("before", "OutputRegistering"), ("after", "OutputRegistering"), ("before", "OutputStored")],
)
def test_a_catalogue_that_may_know_of_one_copy_hears_of_no_other(grid: Grid, when: str, event: str) -> None:
    """The first storage refuses at first and is well later: what may be registered at the alternative stays there."""
    storages = Storages(grid)
    catalogued(grid)
    rooms = str(Path(HERE).parent / "rooms")
    job_id, counter = submit(grid)
    storages.trouble("late", storages.first)
    order = [*UP_TO_LOG[:6], "OutputDiverted", "OutputRegistering", "OutputStored"]
    path = f"{HERE}:{rooms}"
    killed = grid.pilot("--jobs", "1", program=mortal(when, order.index(event) + 1), PYTHONPATH=path)
    assert killed.wait(60) == -signal.SIGKILL, grid.output()
    storages.well()
    assert grid.pilot(PYTHONPATH=path).wait(60) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    lfn = f"out.{job_id}.txt"
    place = storages.first if when == "before" and event == "OutputRegistering" else storages.second
    books = [folder / "book" for folder in (storages.first, storages.second) if (folder / "book").exists()]
    told = {(book.parent, line.split()[0]) for book in books for line in book.read_text().splitlines()}
    assert {(folder, name) for folder, name in told if name == lfn} == {(place, lfn)}
    assert [(folder / lfn).exists() for folder in (storages.first, storages.second)] == [
        folder == place for folder in (storages.first, storages.second)
    ]
    assert record(grid, job_id)["surl"] == f"file://{place}/{lfn}"
    assert counter.read_text() == "x"
