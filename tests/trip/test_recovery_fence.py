"""A later pilot asks the server before it touches what it found: reassigned, over, unreachable, unknown."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from grid import Grid, wait_for
from picard_pilot.server.info import DATABASE_NAME

CODE = (
    "import os, time\nopen('begun', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.02)\n"
    "open('out.' + os.environ['PANDAID'] + '.txt', 'w').write('saved')\n"
)


def left_job(
    grid: Grid, *flags: str, before: Callable[[Grid, int], object] | None = None, **environ: str
) -> int:
    """A job whose pilot was killed while its payload ran; `before` is done with it before the pilot comes."""
    job_id = grid.submit_python(CODE, outFiles="out.$PANDAID.txt", scopeOut="t")
    if before is not None:
        before(grid, job_id)
    pilot = grid.pilot("--jobs", "1", "--no-recover", *flags, **environ)
    wait_for(lambda: (grid.job_dir(job_id) / "begun").exists(), "the payload to run")
    grid.wait_event(job_id, "PayloadStarted")
    pilot.kill()
    pilot.wait()
    return job_id


def payload_pid(grid: Grid, job_id: int) -> int:
    """The payload's process."""
    records = [record["event"] for record in grid.journal(job_id)]
    return next(int(event["pid"]) for event in records if event["event"] == "PayloadStarted")


def alive(pid: int) -> bool:
    """Whether it runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def heard(grid: Grid, job_id: int) -> tuple[object, ...]:
    """What the server has heard of the job."""
    columns = "status, sub_status, updated_at, changed_at, pilot_error_code, pilot_error_diag, pilot_timing"
    with closing(sqlite3.connect(database(grid), timeout=30)) as connection:
        return tuple(connection.execute(f"SELECT {columns} FROM jobs WHERE job_id = ?", (job_id,)).fetchone())


def set_at_server(grid: Grid, number: int, **values: object) -> None:
    """As a watcher or an operator would have changed it meanwhile."""
    with closing(sqlite3.connect(database(grid), timeout=30)) as connection, connection:
        for column, value in values.items():
            connection.execute(f"UPDATE jobs SET {column} = ? WHERE job_id = ?", (value, number))


def database(grid: Grid) -> Path:
    """The server's own."""
    return Path(grid.info.data_dir, DATABASE_NAME)


@pytest.mark.parametrize("case", ["failed", "attempt"])
def test_what_is_not_ours_any_more_is_ended_and_removed(grid: Grid, case: str) -> None:
    """Nothing is stored, no report is sent, the payload ends, and the line says why."""
    job_id = left_job(grid)
    pid = payload_pid(grid, job_id)
    set_at_server(grid, job_id, **({"status": "failed"} if case == "failed" else {"attempt_nr": 2}))
    before = heard(grid, job_id)
    assert grid.pilot().wait(60) in (0, 82), grid.output()
    assert not alive(pid)
    assert not grid.job_dir(job_id).exists()
    assert list(grid.store.rglob(f"out.{job_id}.txt")) == []
    assert heard(grid, job_id) == before
    words = (
        "it is failed at the server" if case == "failed" else "the server is at attempt 2, this is attempt 1"
    )
    assert f"job {job_id}: it is removed, and nothing of it is stored or told; {words}" in grid.output()


def test_a_job_that_the_server_does_not_know_is_left_as_it_is(grid: Grid) -> None:
    """It may be the wrong server; a pilot that asks the right one finds everything."""
    job_id = left_job(grid)
    set_at_server(grid, job_id, job_id=-job_id)
    before = grid.events(job_id)
    assert grid.pilot().wait(60) in (0, 82), grid.output()
    assert "the server does not know the job" in grid.output()
    assert grid.events(job_id) == before
    assert alive(payload_pid(grid, job_id))
    set_at_server(grid, -job_id, job_id=job_id)
    (grid.job_dir(job_id) / "go").touch()
    assert grid.pilot().wait(60) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished"


def test_without_the_server_a_payload_that_runs_is_watched(grid: Grid) -> None:
    """But nothing is stored before the server has said whose the job is."""
    job_id = left_job(grid)
    pilot = grid.pilot("--server", f"https://127.0.0.1:{os.getpid() % 1000 + 1}", "--server-patience", "1")
    grid.wait_event(job_id, "Resumed")
    (grid.job_dir(job_id) / "go").touch()
    grid.wait_event(job_id, "Diagnosed")
    pilot.terminate()
    pilot.wait(60)
    assert "the server cannot be asked" in grid.output()
    assert "OutputStored" not in grid.events(job_id)
    assert grid.pilot().wait(60) == 0, grid.output()
    assert grid.wait_status(job_id, "finished", "failed") == "finished"
