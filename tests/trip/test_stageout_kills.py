"""Kill -9 of a transfer worker, and of a pilot with it, in the middle of a store, during a break, and two that race."""

import os
import signal
from pathlib import Path

import pytest
from eventful_storage import EVENT, STOPPED
from test_bad_nights_kills import children_of
from test_storage_nights import HERE, Storages, record, run, submit

from grid import Grid, wait_for

NO_JOB = 82
"""How a pilot leaves that had nothing to do."""


class Eventful(Storages):
    """Storages at which a store can be stopped."""

    def __init__(self, grid: Grid) -> None:
        super().__init__(grid, alternative=False)
        text = grid.site_file.read_text()
        grid.site_file.write_text(text.replace("fickle_storage:Fickle", "eventful_storage:Eventful"))

    def stop(self, word: str, name: str) -> None:
        """The next store of such a file stops there."""
        (self.first / EVENT).write_text(f"{word} {name}")

    def wait_stopped(self) -> None:
        """Until a store has stopped."""
        wait_for((self.first / STOPPED).exists, "a store has stopped")

    def go_on(self) -> None:
        """Nothing is stopped any more."""
        (self.first / EVENT).unlink()


def check(grid: Grid, job_id: int, storages: Storages, counter: Path) -> None:
    """Finished, with output and log whole where the report says."""
    assert grid.wait_status(job_id, "finished", "failed") == "finished", (grid.errors(job_id), grid.output())
    lfn = f"out.{job_id}.txt"
    assert (storages.first / lfn).read_text() == "precious"
    assert record(grid, job_id)["surl"] == f"file://{storages.first}/{lfn}"
    (log,) = [file for file in grid.job(job_id)["files"] if file["role"] == "log"]
    assert (storages.first / f"log.{job_id}.tgz").stat().st_size == log["size_bytes"]
    assert counter.read_text() == "x"


@pytest.mark.parametrize("who", ["worker", "pilot"])
@pytest.mark.parametrize("name", ["out.", "log."])
@pytest.mark.parametrize("word", ["mid", "done"])
def test_a_store_that_is_killed(grid: Grid, who: str, name: str, word: str) -> None:
    """In mid-file nothing stands under the name, and it is stored again; what stands already is found there."""
    storages = Eventful(grid)
    storages.stop(word, name)
    job_id, counter = submit(grid)
    pilot = grid.pilot("--jobs", "1", "--no-cleanup", PYTHONPATH=HERE)
    storages.wait_stopped()
    stands = [path.name for path in storages.first.iterdir() if path.name.startswith(name)]
    assert len(stands) == (word == "done")
    if who == "worker":
        (worker,) = children_of(pilot.pid)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: worker not in children_of(pilot.pid), "the worker is gone")
        storages.go_on()
    else:
        pilot.kill()
        assert pilot.wait(60) == -signal.SIGKILL
        storages.go_on()
        pilot = grid.pilot("--no-cleanup", PYTHONPATH=HERE)
    assert pilot.wait(60) == 0, grid.output()[-3000:]
    check(grid, job_id, storages, counter)
    if name == "out.":
        (stored,) = [one["event"] for one in grid.journal(job_id) if one["event"]["event"] == "OutputStored"]
        assert ("already there" in stored["reason"]) is (word == "done")


@pytest.mark.parametrize(("when", "event"), [("before", "BreakOver"), ("after", "BreakOver")])
def test_a_pilot_that_is_killed_at_the_end_of_its_break(grid: Grid, when: str, event: str) -> None:
    """The next pilot needs no more than the journal: it stores what waited, once."""
    storages = Eventful(grid)
    job_id, counter = submit(grid)
    storages.trouble("contact and logs", storages.first)
    assert (
        run(grid, "--jobs", "1", program=("tests/crash/mortal_in_break.py", when, event)) == -signal.SIGKILL
    )
    assert ("BreakOver" in grid.events(job_id)) is (when == "after")
    assert grid.wait_status(job_id, "holding", "failed", "finished") == "holding"
    storages.well()
    assert run(grid, "--no-cleanup") == 0, grid.output()
    check(grid, job_id, storages, counter)
    assert grid.events(job_id).count("OutputStored") == 1


def test_a_pilot_that_is_killed_in_a_long_break(grid: Grid) -> None:
    """It waits for an hour, with its lease on the job: dead, it keeps nobody else from it."""
    storages = Eventful(grid)
    job_id, counter = submit(grid)
    storages.trouble("contact and logs", storages.first)
    pilot = grid.pilot(
        "--jobs", "1", PYTHONPATH=HERE, program=("tests/crash/mortal_in_break.py", "after", "-")
    )
    wait_for(lambda: grid.events(job_id).count("OutputsHeld") == 2, "the second break has begun")
    assert run(grid, "--jobs", "1") == NO_JOB, grid.output()
    assert "holds this job" in grid.output()
    pilot.kill()
    pilot.wait()
    storages.well()
    assert run(grid, "--no-cleanup") == 0, grid.output()
    check(grid, job_id, storages, counter)


def test_two_pilots_that_find_a_held_job(grid: Grid) -> None:
    """Exactly one takes it, while the other one sees whose it is; it is stored once."""
    storages = Eventful(grid)
    job_id, counter = submit(grid)
    storages.trouble("contact and logs", storages.first)
    assert run(grid, "--jobs", "1") == 0, grid.output()
    assert grid.wait_status(job_id, "holding", "failed", "finished") == "holding"
    storages.well()
    storages.stop("mid", "out.")
    pilots = [grid.pilot("--no-cleanup", PYTHONPATH=HERE) for _ in range(2)]
    storages.wait_stopped()
    wait_for(lambda: "holds this job" in grid.output(), "the other one has seen it")
    wait_for(lambda: any(pilot.poll() is not None for pilot in pilots), "the other one has left")
    storages.go_on()
    assert {pilot.wait(60) for pilot in pilots} == {0, NO_JOB}, grid.output()
    check(grid, job_id, storages, counter)
    events = grid.events(job_id)
    assert (events.count("Resumed"), events.count("OutputStored")) == (1, 1)
