"""A night of pilots on nodes whose clocks are days apart: the server's clock decides how long outputs wait."""

import time
from datetime import UTC, datetime

from test_storage_nights import HERE, Storages, submit

from grid import Grid
from picard_pilot.model.waiting import waiting_in

HOUR_S = 3600.0


def run(grid: Grid, days_ahead: float, *flags: str) -> int:
    """A pilot's exit code."""
    program = ("tests/trip/wrong_clock_pilot.py", str(days_ahead))
    return grid.pilot(*flags, program=program, PYTHONPATH=HERE).wait(60)


def test_outputs_wait_on_nodes_whose_clocks_are_days_apart(grid: Grid) -> None:
    """Three days behind, and three days ahead, which is beyond every window: both say so, neither loses anything, and
    people are told the true end of the wait."""
    storages = Storages(grid, alternative=False)
    job_id, counter = submit(grid)
    storages.trouble("contact and logs", storages.first)
    assert run(grid, -3, "--jobs", "1") == 0, grid.output()
    assert "s behind the server's; times of jobs go by the server's" in grid.output()
    assert grid.wait_status(job_id, "holding", "finished", "failed") == "holding"
    told = waiting_in(grid.errors(job_id)["pilot"][1])
    assert told is not None
    until = datetime.strptime(told.until, "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC).timestamp()
    assert 46 * HOUR_S < until - time.time() < 48 * HOUR_S
    assert run(grid, 3) == 0, grid.output()
    assert "s ahead of the server's; times of jobs go by the server's" in grid.output()
    assert "OutputsHeld" in grid.events(job_id)[-3:], grid.events(job_id)
    assert grid.status(job_id) == "holding", grid.errors(job_id)
    storages.well()
    assert run(grid, 3) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished", (grid.errors(job_id), grid.output())
    assert (storages.first / f"out.{job_id}.txt").read_text() == "precious"
    assert counter.read_text() == "x"
