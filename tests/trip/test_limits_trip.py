"""Limits of running jobs, with a real pilot, server and payload: who breaks one is stopped, and told which and why."""

import json
import tarfile

import pytest

from grid import Grid

HOLD_MEMORY = "data = bytearray(b'x') * (80 << 20)\nimport signal\nsignal.pause()\n"
DO_NOTHING = "import signal\nsignal.pause()\n"
FILL_DIRECTORY = "import os\nopen('big', 'wb').write(os.urandom(4 << 20))\nimport signal\nsignal.pause()\n"
SPAWN = (
    "import subprocess, signal\n"
    "kept = [subprocess.Popen(['/bin/sleep', '1000']) for _ in range(650)]\nsignal.pause()\n"
)


def limit_queue(grid: Grid, **limits: int) -> None:
    """Give the queue limits of its own."""
    lines = "".join(f"{name} = {value}\n" for name, value in limits.items())
    text = grid.site_file.read_text()
    grid.site_file.write_text(f"{text}\n[queue.{grid.queue}.limits]\n{lines}")


@pytest.mark.parametrize(
    ("code", "limits", "flags", "number", "words"),
    [
        (HOLD_MEMORY, {"maxrss_mb": 20}, (), 1235, ("memory", "queue: maxrss 20 MB x 2", "PSS")),
        (
            FILL_DIRECTORY,
            {"maxwdir_mb": 2},
            (),
            1104,
            ("work directory", "queue: maxwdir 2 MB x 1.1", "files"),
        ),
        (DO_NOTHING, {"maxtime_s": 5}, (), 1213, ("wall time", "queue: maxtime 5 s")),
        (
            DO_NOTHING,
            {},
            ("--looping-limit", "4"),
            1150,
            ("without a sign of life", "default", "0.0 s of CPU"),
        ),
        (SPAWN, {}, (), 1305, ("processes", "default: 500 + 100 x 1 cores")),
    ],
    ids=["memory", "directory", "wall time", "looping", "processes"],
)
def test_a_job_that_breaks_a_limit_is_stopped_and_told_which(
    grid: Grid, code: str, limits: dict[str, int], flags: tuple[str, ...], number: int, words: tuple[str, ...]
) -> None:
    """Measure, limit with its origin, and evidence reach the server; the log leaves, nothing is left running."""
    limit_queue(grid, **limits)
    job_id = grid.submit_python(code)
    assert grid.pilot("--jobs", "1", *flags).wait(120) == 0, grid.output()
    assert grid.wait_status(job_id, "failed", "finished") == "failed"
    found, diag = grid.errors(job_id)["pilot"]
    assert found == number, diag
    for word in words:
        assert word in diag
    with tarfile.open(grid.store / f"log.{job_id}.tgz") as archive:
        member = next(each for each in archive if each.name.endswith("memory_monitor_summary.json"))
        file = archive.extractfile(member)
        assert file is not None
        assert json.load(file)["Max"]["nprocs"] >= 1
