"""A pilot says at its start whether a later one can find what it leaves, and acts on it."""

from test_storage_nights import Storages, run, submit

from grid import Grid


def test_in_a_directory_that_the_batch_system_empties_nothing_waits(grid: Grid) -> None:
    """The job fails at once, so that the server can try it again while there is time; elsewhere it waits."""
    storages = Storages(grid, alternative=False)
    job_id, _ = submit(grid)
    storages.trouble("contact", storages.first)
    assert run(grid, "--jobs", "1", _CONDOR_SCRATCH_DIR=str(grid.workdir)) == 0, grid.output()
    assert "recovery: no, what is left here at the end of the slot is lost" in grid.output()
    assert f"job {job_id}: nobody can come back to it" in grid.output()
    assert grid.wait_status(job_id, "holding", "finished", "failed") == "failed"
    assert not grid.job_dir(job_id).exists()
    other, _ = submit(grid)
    assert run(grid, "--jobs", "1") == 0, grid.output()
    assert f"that works in {grid.workdir}" in grid.output()
    assert grid.wait_status(other, "holding", "finished", "failed") == "holding"


def test_a_pilot_that_shall_not_recover_leaves_what_it_finds(grid: Grid) -> None:
    """And says so; the next one does it."""
    storages = Storages(grid, alternative=False)
    job_id, _ = submit(grid)
    storages.trouble("contact", storages.first)
    assert run(grid, "--jobs", "1") == 0, grid.output()
    storages.well()
    assert run(grid, "--no-recover") == 82, grid.output()
    assert "recovery: this pilot takes up nothing (--no-recover)" in grid.output()
    assert grid.status(job_id) == "holding"
    assert run(grid) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished"
