"""Transfers by the http mover in its worker, beside `curl` and `xrdcp` in one run: a large file, many small ones.

A real XRootD door on loopback; far storages are imitated by a relay that delays. Best run under `unshare -n`: `xrdcp`
asks for the name of every address of the machine whenever it starts.
"""

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import processes
from figures import Figure
from place import environment, place

from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import FetchRequest, StorageAccess, StoreRequest, TransferFailure
from picard_pilot.movers.http import HttpMover
from picard_pilot.movers.measure import measure
from picard_pilot.system.http_transfer import HttpTransfers

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

from xrootd_alone import server_alone
from xrootd_server import why_not

LARGE_BYTES = 1 << 30
SMALL_BYTES = 10_000
SMALL_FILES = 1000
SAMPLE = 60
"""Processes of `xrdcp` that are timed; the rest would take as long each."""
ROUND_TRIP_MS = 20.0
CONFIG = "xrootd.chksum max 32 adler32\nxrd.protocol http libXrdHttp.so"


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
        return asyncio.run(_large_file(here.directory, f"{_http(root)}/large", said.result(), times))


async def _large_file(directory: Path, url: str, said: Checksum, times: int) -> list[Figure]:
    target = directory / "target"
    request = FetchRequest(lfn="large", surl=url, target=str(target), size_bytes=LARGE_BYTES, checksum=said)
    theirs, ours, up, their_up = [], [], [], []
    async with TransferWorker(environment=environment()) as worker:
        for turn in range(times + 1):
            took = [
                _curl("--output", str(target), url),
                await _transfer(worker, request),
                _curl("--output", os.devnull, "--upload-file", str(target), f"{url}.curl-{turn}"),
                await _transfer(worker, _store(url, target, f"large.ours-{turn}")),
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
    if (reason := why_not()) is not None:
        return [Figure(f"http: {reason}", [], "")]
    with place() as here, server_alone(CONFIG) as (root, storage):
        contents = [os.urandom(SMALL_BYTES) for _ in range(SMALL_FILES)]
        for number, data in enumerate(contents):
            storage.put(f"small/{number}", data)
        said = [Checksum(ChecksumKind.ADLER32, f"{zlib.adler32(data):08x}") for data in contents]
        with _far(root, round_trip_ms) as far:
            return asyncio.run(_small_files(here.directory, far, said, round_trip_ms))


async def _small_files(
    directory: Path, root: str, said: list[Checksum], round_trip_ms: float
) -> list[Figure]:
    folder = directory / "small"
    folder.mkdir()
    url = _http(root)
    theirs = [_xrdcp(f"{root}/small/{number}", folder / str(number)) for number in range(SAMPLE)]
    fetches = [
        FetchRequest(
            lfn=str(number),
            surl=f"{url}/small/{number}",
            target=str(folder / str(number)),
            size_bytes=SMALL_BYTES,
            checksum=checksum,
        )
        for number, checksum in enumerate(said)
    ]
    alone = None if round_trip_ms else _one_thread(fetches)
    async with TransferWorker(environment=environment()) as worker:
        await _transfer(worker, fetches[0])
        began = time.perf_counter()
        await asyncio.gather(*(_transfer(worker, fetch) for fetch in fetches))
        down = (time.perf_counter() - began) / SMALL_FILES
        began = time.perf_counter()
        stores = [
            _store(f"{url}/x", folder / str(number), f"stored-{number}") for number in range(SMALL_FILES)
        ]
        await asyncio.gather(*(_transfer(worker, store) for store in stores))
        up = (time.perf_counter() - began) / SMALL_FILES
    shutil.rmtree(folder)
    where = f", round trip {round_trip_ms:g} ms" if round_trip_ms else ""
    one = statistics.mean(theirs)
    figures = [
        Figure(f"xrdcp, one process per 10 kB file{where}", [1000 * each for each in theirs], "ms"),
        Figure("  http mover in its worker, per file of 1,000", [1000 * down], "ms"),
        Figure("  times faster", [one / down], "x", "40"),
        Figure("  stored: http mover, verified by the server", [1000 * up], "ms"),
    ]
    if alone is not None:
        figures.append(Figure("  the mover alone, one thread, per file", [1000 * alone], "ms", "0.36 ms"))
        figures.append(Figure("  times faster", [one / alone], "x"))
    return figures


def checksum_share(times: int) -> list[Figure]:
    """What adler32 adds to one large file that is copied by http, in this process."""
    if (reason := why_not()) is not None:
        return [Figure(f"http: {reason}", [], "")]
    with place() as here, server_alone(CONFIG) as (root, storage):
        storage.put("large", os.urandom(1 << 20) * (LARGE_BYTES >> 20))
        url = f"{_http(root)}/large"
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


def _one_thread(fetches: list[FetchRequest]) -> float:
    """Seconds per file without the worker around the mover."""
    mover = HttpMover()
    mover.fetch(fetches[0], lambda _: None)
    began = time.perf_counter()
    for fetch in fetches:
        mover.fetch(fetch, lambda _: None)
    return (time.perf_counter() - began) / len(fetches)


def _store(url: str, source: Path, name: str) -> StoreRequest:
    return StoreRequest(lfn=name, source=str(source), surl=f"{url.rpartition('/')[0]}/{name}")


async def _transfer(worker: TransferWorker, request: FetchRequest | StoreRequest) -> float:
    """Seconds that one transfer takes."""
    began = time.perf_counter()
    done = await worker.transfer(request)
    if isinstance(done, TransferFailure):
        raise SystemExit(f"a transfer of the benchmark failed: {done.says}")
    return time.perf_counter() - began


def _curl(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run(["curl", "--silent", "--fail", *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _xrdcp(source: str, target: Path) -> float:
    """Seconds that one process of the distribution's client takes."""
    began = time.perf_counter()
    subprocess.run(
        ["xrdcp", "--force", "--silent", source, str(target)], stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - began


def _http(root: str) -> str:
    return root.replace("root://", "http://", 1).replace("//data", "/data")


@contextmanager
def _far(root: str, round_trip_ms: float) -> Iterator[str]:
    """The server's address, or that of a relay to it with this round trip."""
    if not round_trip_ms:
        yield root
        return
    host_and_port, _, path = root.removeprefix("root://").partition("//")
    relay = Path(__file__).with_name("relay.py")
    command = [sys.executable, str(relay), host_and_port.rpartition(":")[2], str(round_trip_ms / 2)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        try:
            yield f"root://127.0.0.1:{started.stdout.readline().strip()}//{path}"
        finally:
            started.kill()
