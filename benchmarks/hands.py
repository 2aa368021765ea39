"""The smallest works: a command, a payload's launcher, a record of a journal, a transfer."""

import asyncio
import os
import subprocess
import time
from pathlib import Path

import processes
from figures import Figure
from place import environment, place

from picard_pilot.data.worker import TransferWorker
from picard_pilot.journal.file import NAME, Journal
from picard_pilot.model.events import Admitted
from picard_pilot.model.transfer import FetchRequest, Transferred
from picard_pilot.payload import launcher
from picard_pilot.payload.launch import LaunchSpec
from picard_pilot.system.run import run

LARGE_BYTES = 100_000_000


def commands(times: int) -> list[Figure]:
    """`run()` of /bin/true, and a payload's launcher."""
    with place() as here:
        return asyncio.run(_commands(here.directory, times))


async def _commands(directory: Path, times: int) -> list[Figure]:
    run_ms, launch_ms, over_ms, memory_mb = [], [], [], []
    for _ in range(times):
        begun = time.perf_counter()
        await run(["/bin/true"], cwd=directory, env={})
        run_ms.append((time.perf_counter() - begun) * 1000)
    for number in range(times):
        spec = _spec(directory, number, ("/bin/true",))
        begun = time.perf_counter()
        handle = await launcher.launch(spec)
        launched = time.perf_counter()
        await launcher.wait(handle)
        launch_ms.append((launched - begun) * 1000)
        over_ms.append((time.perf_counter() - begun) * 1000)
    handle = await launcher.launch(_spec(directory, times, ("/bin/sleep", "60")))
    try:
        memory_mb.append(processes.memory_mb(handle.launcher.pid))
    finally:
        launcher.kill(handle)
        await launcher.wait(handle)
    return [
        Figure("run() of /bin/true, to its typed result", run_ms, "ms"),
        Figure("launcher: payload recorded durably and started", launch_ms, "ms"),
        Figure("  /bin/true as a payload, to its exit record", over_ms, "ms"),
        Figure("  memory of a launcher", memory_mb, "MB"),
    ]


def _spec(directory: Path, number: int, argv: tuple[str, ...]) -> LaunchSpec:
    return LaunchSpec(
        directory=str(directory / f"launch-{number}"),
        argv=argv,
        cwd=str(directory),
        env={},
        stdout=str(directory / "stdout"),
        stderr=str(directory / "stderr"),
    )


def journal(times: int) -> list[Figure]:
    """One record, on the disk when `append` returns."""
    append_ms, sync_ms = [], []
    with place() as here:
        written = Journal(here.directory / NAME, "benchmark", time.time)
        fd = os.open(here.directory / "plain", os.O_WRONLY | os.O_CREAT)
        try:
            for _ in range(times):
                begun = time.perf_counter()
                written.append(Admitted())
                between = time.perf_counter()
                os.write(fd, b"x" * 100)
                os.fdatasync(fd)
                append_ms.append((between - begun) * 1000)
                sync_ms.append((time.perf_counter() - between) * 1000)
        finally:
            os.close(fd)
            written.close()
    return [
        Figure("journal: append one record durably", append_ms, "ms"),
        Figure("  write and fdatasync alone", sync_ms, "ms", "(reference)"),
    ]


def transfers(times: int) -> list[Figure]:
    """The transfer worker: its first transfer, the next ones, and its peak with a large file."""
    with place() as here:
        return asyncio.run(_transfers(here.directory, times))


async def _transfers(directory: Path, times: int) -> list[Figure]:
    source = directory / "large"
    source.write_bytes(os.urandom(1_000_000) * (LARGE_BYTES // 1_000_000))
    small = directory / "small"
    small.write_bytes(b"x" * 1000)
    cold_ms, warm_ms, peak_mb, large_s, copied_s = [], [], [], [], []
    for _ in range(times):
        async with TransferWorker(environment=environment()) as worker:
            cold_ms.append(await _fetch(worker, small, directory / "target") * 1000)
            warm_ms.append(await _fetch(worker, small, directory / "target") * 1000)
            copied_s.append(_copied(source, directory / "copy"))
            (directory / "large-target").unlink(missing_ok=True)
            large_s.append(await _fetch(worker, source, directory / "large-target"))
            assert worker.pid is not None
            peak_mb.append(processes.memory_mb(worker.pid, "VmHWM"))
    return [
        Figure("transfer worker: start and first small file", cold_ms, "ms"),
        Figure("  next small file", warm_ms, "ms"),
        Figure("  100 MB file, verified", large_s, "s"),
        Figure("  the same by cp --reflink=never, unverified", copied_s, "s", "(reference)"),
        Figure(
            "  times cp's rate", [cp / ours for cp, ours in zip(copied_s, large_s, strict=True)], "x", "0.7"
        ),
        Figure("  peak memory with the 100 MB file", peak_mb, "MB", "35 MB"),
    ]


def _copied(source: Path, target: Path) -> float:
    """Seconds that the distribution's own copy takes, onto a place where nothing stands."""
    target.unlink(missing_ok=True)
    begun = time.perf_counter()
    subprocess.run(["cp", "--reflink=never", str(source), str(target)], check=True)
    return time.perf_counter() - begun


async def _fetch(worker: TransferWorker, source: Path, target: Path) -> float:
    """Seconds that one file takes."""
    request = FetchRequest(
        lfn=source.name, surl=f"file://{source}", target=str(target), size_bytes=source.stat().st_size
    )
    begun = time.perf_counter()
    result = await worker.transfer(request)
    if not isinstance(result, Transferred):
        raise SystemExit(f"a transfer of the benchmark failed: {result}")
    return time.perf_counter() - begun
