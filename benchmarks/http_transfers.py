"""Transfers by the http mover in its worker, beside `curl` and `xrdcp` in one run: a large file, many small ones.

A real XRootD door on loopback; what is measured of small files is `small_files`. Best run under `unshare -n`: `xrdcp`
asks for the name of every address of the machine whenever it starts.
"""

import asyncio
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import processes
from figures import Figure
from place import environment, place
from small_files import CONFIG, beside_xrdcp, http, memory, server_alone, transfer, why_not
from small_files import small_files as the_files

from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import FetchRequest, StorageAccess, StoreRequest
from picard_pilot.movers.http import HttpMover
from picard_pilot.movers.measure import measure
from picard_pilot.system.http_transfer import HttpTransfers

LARGE_BYTES = 1 << 30


def large_file(times: int) -> list[Figure]:
    """One large file with its checksum, as `curl` does it without and as the worker does it with."""
    if (reason := why_not()) is not None:
        return [Figure(f"http: {reason}", [], "")]
    with place() as here, server_alone(CONFIG) as (root, storage):
        block = os.urandom(1 << 20)
        storage.put("large", block * (LARGE_BYTES >> 20))
        said = measure(ChecksumKind.ADLER32)
        for _ in range(LARGE_BYTES >> 20):
            said.update(memoryview(block))
        return asyncio.run(_large_file(here.directory, f"{http(root)}/large", said.result(), times))


async def _large_file(directory: Path, url: str, said: Checksum, times: int) -> list[Figure]:
    target = directory / "target"
    request = FetchRequest(lfn="large", surl=url, target=str(target), size_bytes=LARGE_BYTES, checksum=said)
    theirs, ours, up, their_up = [], [], [], []
    async with TransferWorker(environment=environment()) as worker:
        for turn in range(times + 1):
            took = [
                _curl("--output", str(target), url),
                await transfer(worker, request),
                _curl("--output", os.devnull, "--upload-file", str(target), f"{url}.curl-{turn}"),
                await transfer(worker, _store(url, target, f"large.ours-{turn}")),
            ]
            if turn:  # the first one fills the caches
                for values, seconds in zip((theirs, ours, their_up, up), took, strict=True):
                    values.append(seconds)
            for name in (f"{url}.curl-{turn}", f"{url.rpartition('/')[0]}/large.ours-{turn}"):
                _curl("--output", os.devnull, "--request", "DELETE", name)
        assert worker.pid is not None
        peak = processes.memory_mb(worker.pid, "VmHWM")
    gigabytes = LARGE_BYTES / 1e9
    return [
        Figure(
            "curl, 1.07 GB file, no checksum", [gigabytes / each for each in theirs], "GB/s", "(reference)"
        ),
        Figure("http mover, end-to-end adler32", [gigabytes / each for each in ours], "GB/s"),
        Figure("  times curl's rate", [statistics.median(theirs) / statistics.median(ours)], "x", "0.9"),
        Figure("  stored: curl, unverified", [gigabytes / each for each in their_up], "GB/s", "(reference)"),
        Figure("  stored: http mover, verified by the server", [gigabytes / each for each in up], "GB/s"),
        Figure("  peak memory of the worker", [peak], "MB"),
    ]


def small_files(round_trip_ms: float = 0.0) -> list[Figure]:
    """A thousand small files down and up, beside one `xrdcp` process for each."""
    return beside_xrdcp("http", "http", "40", round_trip_ms)


def mover_alone(times: int) -> list[Figure]:
    """The same files without the worker around the mover, in one thread of this process."""
    if (reason := why_not()) is not None:
        return [Figure(f"http: {reason}", [], "")]
    took = []
    with memory() as directory, the_files("http") as files:
        fetches = files.fetches(directory)
        mover = HttpMover()
        for turn in range(times + 1):
            began = time.perf_counter()
            for fetch in fetches:
                mover.fetch(fetch, lambda _: None)
            if turn:
                took.append((time.perf_counter() - began) / len(fetches))
    return [
        Figure("  http mover alone, one thread, per file", [1000 * each for each in took], "ms", "0.36 ms")
    ]


def checksum_share(times: int) -> list[Figure]:
    """What adler32 adds to one large file that is copied by http, in this process."""
    if (reason := why_not()) is not None:
        return [Figure(f"http: {reason}", [], "")]
    with place() as here, server_alone(CONFIG) as (root, storage):
        storage.put("large", os.urandom(1 << 20) * (LARGE_BYTES >> 20))
        url = f"{http(root)}/large"
        plain, measured = [], []
        for turn in range(times + 1):
            without = _copy(url, here.directory / "target", lambda _: None)
            running = measure(ChecksumKind.ADLER32)
            with_it = _copy(url, here.directory / "target", running.update)
            if turn:
                plain.append(without)
                measured.append(with_it)
    share = statistics.median(measured) / statistics.median(plain) - 1
    return [
        Figure("http, 1.07 GB to a file, no checksum", plain, "s", "(reference)"),
        Figure("  with adler32 while the bytes pass", measured, "s"),
        Figure("  the checksum's cost", [100 * share], "%", "25 %"),
    ]


def _copy(url: str, target: Path, look: Callable[[memoryview], None]) -> float:
    """Seconds for one download into a file."""
    transfers = HttpTransfers(user_agent="benchmark")
    began = time.perf_counter()
    with target.open("wb", buffering=0) as file:

        def write(block: memoryview) -> None:
            file.write(block)
            look(block)

        transfers.download(url, StorageAccess(), begin=lambda _: None, write=write)
    transfers.close()
    return time.perf_counter() - began


def _store(url: str, source: Path, name: str) -> StoreRequest:
    return StoreRequest(lfn=name, source=str(source), surl=f"{url.rpartition('/')[0]}/{name}")


def _curl(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run(["curl", "--silent", "--fail", *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
