"""Kill -9 of a pilot, one and two real rescuers at once, and a server that has its own view of the job by then.

A diagonal through the product that tests/rooms/test_crash_sweep.py goes over as a whole on a virtual clock.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from grid import Grid, wait_for
from picard_pilot.server.info import DATABASE_NAME

RECORDS = (
    *("JobReceived", "Admitted", "Prepared", "InputStaged", "InputStaged", "InputStaged", "InputsReady"),
    *("PayloadStarted", "PayloadExited", "Diagnosed", "OutputStored", "OutputStored", "OutputsStored"),
    *("LogStored", "ReportAccepted"),
)
"""What a job with three inputs, two outputs and a log writes into its journal, in order."""

DIAGONAL = (
    ("after", "JobReceived", "unreachable", 1),
    ("after", "InputStaged", "failed", 2),
    ("before", "InputsReady", "ours", 2),
    ("before", "PayloadStarted", "ours", 2),
    ("after", "PayloadStarted", "reassigned", 2),
    ("before", "PayloadExited", "unreachable", 2),
    ("after", "PayloadExited", "failed", 1),
    ("before", "Diagnosed", "reassigned", 1),
    ("before", "OutputStored", "ours", 2),
    ("after", "OutputStored", "reassigned", 2),
    ("after", "OutputsStored", "unreachable", 1),
    ("before", "LogStored", "failed", 2),
    ("after", "LogStored", "unreachable", 2),
    ("before", "ReportAccepted", "ours", 2),
    ("after", "ReportAccepted", "ours", 2),
)
"""When the first pilot dies, how the server sees the job then, and how many rescuers come at once."""

Files = dict[str, tuple[int, int, int]]


def submit(grid: Grid) -> tuple[int, Path]:
    """A job that counts how often its payload ran; the counter is outside of everything that a pilot touches."""
    counter = grid.directory / "runs"
    names = ("a.dat", "b.dat", "c.dat")
    sums = [grid.put(name, name.encode() * 100) for name in names]
    job_id = grid.submit_python(
        f"import os\nopen({str(counter)!r}, 'a').write('x')\n"
        f"data = ''.join(open(name).read() for name in {names!r})\n"
        "for part in '12':\n"
        "    open(f\"out{part}.{os.environ['PANDAID']}.txt\", 'w').write(part + data)\n",
        inFiles=",".join(names), fsize="500,500,500", checksum=",".join(sums), scopeIn="t,t,t", GUID="G1,G2,G3",
        ddmEndPointIn="DISK,DISK,DISK", outFiles="out1.$PANDAID.txt,out2.$PANDAID.txt", scopeOut="t,t",
    )  # fmt: skip
    return job_id, counter


def stored(grid: Grid) -> Files:
    """What stands on the storage; a file that was written anew is another one."""
    found = {path.name: path.stat() for path in grid.store.iterdir()}
    return {name: (one.st_ino, one.st_mtime_ns, one.st_size) for name, one in found.items()}


def at_server(grid: Grid, job_id: int, **values: object) -> tuple[object, ...]:
    """Change the job as a watcher or an operator would; what the server has heard of it, as it is then."""
    with closing(sqlite3.connect(Path(grid.info.data_dir, DATABASE_NAME), timeout=30)) as database, database:
        for column, value in values.items():
            database.execute(f"UPDATE jobs SET {column} = ? WHERE job_id = ?", (value, job_id))
        columns = "status, sub_status, updated_at, changed_at, pilot_error_code, pilot_error_diag"
        return tuple(database.execute(f"SELECT {columns} FROM jobs WHERE job_id = ?", (job_id,)).fetchone())


def rescue(grid: Grid, number: int) -> None:
    """So many pilots at once, until all of them have left."""
    pilots = [grid.pilot() for _ in range(number)]
    assert {pilot.wait(60) for pilot in pilots} <= {0, 82}, grid.output()[-5000:]


def rescue_in_vain(grid: Grid, number: int) -> None:
    """Pilots that cannot reach the server, killed like the first one once they know."""
    nobody = f"https://127.0.0.1:{os.getpid() % 1000 + 1}"
    pilots = [grid.pilot("--server", nobody) for _ in range(number)]
    wait_for(lambda: "the server cannot be asked" in grid.output(), "a rescuer to ask in vain")
    for pilot in pilots:
        pilot.kill()
        pilot.wait()


def finished(grid: Grid, job_id: int, counter: Path, before: Files) -> Iterator[str]:
    """What is wrong with a job that should have been rescued."""
    if grid.wait_status(job_id, "finished", "failed") != "finished":
        yield f"it failed: {grid.errors(job_id)}"
    content = "".join(name * 100 for name in ("a.dat", "b.dat", "c.dat"))
    for part in "12":
        if (grid.store / f"out{part}.{job_id}.txt").read_text() != part + content:
            yield f"output {part} is not what the payload wrote"
    after = stored(grid)
    if rewritten := [name for name in before if after.get(name) != before[name]]:
        yield f"stored again: {rewritten}"
    registered = {file["lfn"] for file in grid.job(job_id)["files"] if file["role"] != "input"}
    if registered != {f"out1.{job_id}.txt", f"out2.{job_id}.txt", f"log.{job_id}.tgz"}:
        yield f"reported {registered}"
    if counter.read_text() != "x":
        yield "the payload ran more than once"


@pytest.mark.parametrize(("when", "record", "view", "rescuers"), DIAGONAL)
def test_killed_and_rescued(grid: Grid, when: str, record: str, view: str, rescuers: int) -> None:
    """What is ours is finished once; what is not is ended and removed, and nobody hears of it again."""
    job_id, counter = submit(grid)
    number = str(RECORDS.index(record) + 1)
    mortal = grid.pilot("--jobs", "1", program=("tests/crash/mortal_pilot.py", when, number))
    assert mortal.wait(60) == -9, grid.output()
    if view in ("failed", "reassigned"):
        change: dict[str, object] = {"status": "failed"} if view == "failed" else {"attempt_nr": 2}
        heard, before = at_server(grid, job_id, **change), stored(grid)
        rescue(grid, rescuers)
        assert stored(grid) == before
        assert at_server(grid, job_id) == heard
        assert not counter.exists() or counter.read_text() == "x"
    else:
        before = stored(grid)
        if view == "unreachable":
            rescue_in_vain(grid, rescuers)
        rescue(grid, rescuers)
        assert list(finished(grid, job_id, counter, before)) == [], grid.output()[-5000:]
    assert not grid.job_dir(job_id).exists()
    # A store that died with its pilot leaves its temporary name on storages without a server; a rescuer leaves none.
    left = [path.name.split(".")[1] for path in grid.store.glob(".*.part")]
    assert len(left) == len(set(left)), left
