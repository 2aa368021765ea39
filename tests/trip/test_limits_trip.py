"""Limits of running jobs, with a real pilot, server and payload: who breaks one is stopped, and told which and why."""

import json
import shlex
import sys
import tarfile
from typing import Any

import pytest

from grid import Grid, wait_for

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
    params = f"[queue.{grid.queue}.params]\npilot_walltime_grace = 10\n"
    grid.site_file.write_text(f"{text}\n[queue.{grid.queue}.limits]\n{lines}{params}")


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
        # The end of the slot comes before the queue's maxtime: only a job's own limit is ever broken.
        (DO_NOTHING, {}, (), 1213, ("wall time", "job: maxWalltime 5 s + 10 % (pilot_walltime_grace)")),
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
    spec = {"maxWalltime": 5} if number == 1213 else {}
    job_id = grid.submit_python(code, **spec)
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


WORK = """
import os, pathlib, sys, time
here = pathlib.Path(sys.argv[1])
held = bytearray(b"x") * (100 << 20)
pathlib.Path("scratch").write_bytes(os.urandom(3 << 20))
pathlib.Path("scratch").read_bytes()
workers = []
for _ in range(3):
    if (pid := os.fork()) == 0:
        end = time.process_time() + 0.5
        while not (here / "enough").exists() or time.process_time() < end:
            sum(held[:20000])
        os._exit(0)
    workers.append(pid)
print("working", flush=True)
for pid in workers:
    os.waitpid(pid, 0)
"""
"""Workers that share 100 MB, compute, and end when a file says so."""

KB_PER_MIB = 1024


def test_what_a_payload_uses_is_told_kept_and_archived(grid: Grid) -> None:
    """Each heartbeat has the fields that servers take, with sane values; the curve stays with the job, with its limits,
    and the summary with prmon's names is in the log archive."""
    limit_queue(grid, maxrss_mb=2000, maxwdir_mb=100)
    script = grid.directory / "work.py"
    script.write_text(WORK)
    job_id = grid.submit(
        shlex.quote(sys.executable), f"-S -E {shlex.quote(str(script))} {shlex.quote(str(grid.directory))}"
    )
    pilot = grid.pilot("--jobs", "1", "--heartbeat", "1")

    shared_kb = 100 * KB_PER_MIB

    def seen() -> Any:
        """The job, once a curve of three points shows the workers at work, and their memory and files were counted."""
        job = grid.job(job_id)
        at_work = [point for point in job["curve"] if point.get("processes", 0) >= 4]
        counted = {name: job["usage"].get(name, 0) for name in ("max_pss", "tot_wchar")}
        done = counted["max_pss"] >= shared_kb and counted["tot_wchar"] >= 3 * KB_PER_MIB
        return len(job["curve"]) >= 3 and at_work and done and job

    job = wait_for(seen, "a curve of the payload")
    usage, curve = job["usage"], job["curve"]
    for name in ("rss", "vmem", "swap", "pss"):
        assert usage[f"max_{name}"] >= usage[f"avg_{name}"] >= 0
    # What four processes share counts once in PSS, in RSS once for each.
    assert usage["max_pss"] < 2 * shared_kb
    assert 2 * shared_kb < usage["max_rss"] <= usage["max_vmem"]
    for name in ("rchar", "wchar", "rbytes", "wbytes"):
        assert usage[f"tot_{name}"] >= usage[f"rate_{name}"] >= 0
    assert usage["cpu_consumption_unit"] == "s" and usage["cpu_consumption_time"] >= 0
    walls, cpus = [point["wall_s"] for point in curve], [point["cpu_s"] for point in curve]
    assert walls == sorted(set(walls)) and cpus == sorted(cpus)
    assert all(point["free_bytes"] > 0 for point in curve)
    limits = {limit["measure"]: limit for limit in job["limits"]}
    assert limits["memory"]["value"] == 4000 * KB_PER_MIB**2
    assert (limits["memory"]["origin"], limits["memory"]["detail"]) == ("queue", "maxrss 2000 MB x 2")
    assert limits["work directory"]["detail"] == "maxwdir 100 MB x 1.1"
    (grid.directory / "enough").touch()
    assert pilot.wait(120) == 0, grid.output()
    assert grid.wait_status(job_id, "failed", "finished") == "finished", grid.errors(job_id)
    job = grid.job(job_id)
    assert len(job["curve"]) >= len(curve)
    assert job["usage"]["cpu_consumption_time"] >= 1
    with tarfile.open(grid.store / f"log.{job_id}.tgz") as archive:
        member = next(each for each in archive if each.name.endswith("memory_monitor_summary.json"))
        file = archive.extractfile(member)
        assert file is not None
        summary = json.load(file)
    names = {
        "pss",
        "rss",
        "swap",
        "vmem",
        "nprocs",
        "nthreads",
        "rchar",
        "wchar",
        "read_bytes",
        "write_bytes",
    }
    assert names | {"utime", "stime", "wtime"} <= summary["Max"].keys()
    assert names <= summary["Avg"].keys()
    assert summary["Max"]["pss"] == job["usage"]["max_pss"]
    assert summary["Max"]["nprocs"] >= 4
