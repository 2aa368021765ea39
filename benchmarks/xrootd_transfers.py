"""Transfers by the XRootD mover in its worker, beside `xrdcp` in the same run: one large file, many small ones.

A real server on loopback; far storages are imitated by a relay that delays. Best run under `unshare -n`: `xrdcp` asks
for the name of every address of the machine whenever it starts.
"""

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import processes
from figures import Figure
from place import environment

from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import FetchRequest, StoreRequest, TransferFailure
from picard_pilot.movers.measure import measure

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

from xrootd_alone import server_alone
from xrootd_server import why_not

LARGE_BYTES = 1 << 30
SMALL_BYTES = 10_000
SMALL_FILES = 1000
SAMPLE = 60
"""Processes of `xrdcp` that are timed; the rest would take as long each."""
ROUND_TRIP_MS = 20.0
_MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
"""Both ends are in memory where the machine has such a folder: a disk is slow in its own way, and others use it too."""
CONFIG = "xrootd.chksum max 32 adler32"
"""The server's checksums, without which `xrdcp` has none to compare with."""


def large_file(times: int) -> list[Figure]:
    """One large file with its checksum, as `xrdcp` does it and as the worker does."""
    if (reason := why_not()) is not None:
        return [Figure(f"xrootd: {reason}", [], "")]
    with _memory() as directory, server_alone(CONFIG, _MEMORY) as (root, storage):
        block = os.urandom(1 << 20)
        storage.put("large", block * (LARGE_BYTES >> 20))
        said = measure(ChecksumKind.ADLER32)
        for _ in range(LARGE_BYTES >> 20):
            said.update(memoryview(block))
        return asyncio.run(_large_file(directory, f"{root}/large", said.result(), times))


async def _large_file(directory: Path, surl: str, said: Checksum, times: int) -> list[Figure]:
    target = directory / "target"
    request = FetchRequest(lfn="large", surl=surl, target=str(target), size_bytes=LARGE_BYTES, checksum=said)
    theirs, unpaged, ours, peak = [], [], [], []
    async with TransferWorker(environment=environment()) as worker:
        for turn in range(times + 1):
            took = [
                _xrdcp(surl, target),
                _xrdcp(surl, target, XRD_CPUSEPGWRTRD="0"),
                await _transfer(worker, request),
            ]
            if turn:  # the first one computes the server's checksum, and fills the caches
                for values, seconds in zip((theirs, unpaged, ours), took, strict=True):
                    values.append(seconds)
        assert worker.pid is not None
        peak.append(processes.memory_mb(worker.pid, "VmHWM"))
    gigabytes = LARGE_BYTES / 1e9
    return [
        Figure("xrdcp --cksum, 1.07 GB file", [gigabytes / each for each in theirs], "GB/s", "(reference)"),
        Figure("  without page checksums", [gigabytes / each for each in unpaged], "GB/s", "(reference)"),
        Figure("xrootd mover, end-to-end adler32", [gigabytes / each for each in ours], "GB/s"),
        Figure("  times xrdcp's rate", [statistics.median(theirs) / statistics.median(ours)], "x", "0.95"),
        Figure(
            "  times that without page checksums", [statistics.median(unpaged) / statistics.median(ours)], "x"
        ),
        Figure("  peak memory of the worker", peak, "MB"),
    ]


def small_files(round_trip_ms: float = 0.0) -> list[Figure]:
    """A thousand small files down and up, beside one `xrdcp` process for each."""
    if (reason := why_not()) is not None:
        return [Figure(f"xrootd: {reason}", [], "")]
    with _memory() as directory, server_alone(CONFIG, _MEMORY) as (root, storage):
        for number in range(SMALL_FILES):
            storage.put(f"small/{number}", os.urandom(SMALL_BYTES))
        with _far(root, round_trip_ms) as far:
            return asyncio.run(_small_files(directory, far, round_trip_ms))


async def _small_files(directory: Path, root: str, round_trip_ms: float) -> list[Figure]:
    folder = directory / "small"
    folder.mkdir()
    down, up = [], []
    for number in range(SAMPLE):
        down.append(_xrdcp(f"{root}/small/{number}", folder / str(number)))
        up.append(_xrdcp(folder / str(number), f"{root}/sample/{number}"))
    async with TransferWorker(environment=environment()) as worker:
        await _transfer(worker, _fetch(root, folder, 0))  # the connection
        began = time.perf_counter()
        await asyncio.gather(
            *(_transfer(worker, _fetch(root, folder, number)) for number in range(SMALL_FILES))
        )
        ours_down = (time.perf_counter() - began) / SMALL_FILES
        began = time.perf_counter()
        await asyncio.gather(
            *(_transfer(worker, _store(root, folder, number)) for number in range(SMALL_FILES))
        )
        ours_up = (time.perf_counter() - began) / SMALL_FILES
    shutil.rmtree(folder)
    where = f", round trip {round_trip_ms:g} ms" if round_trip_ms else ""
    goal = "16" if round_trip_ms else "25"
    theirs_down, theirs_up = statistics.mean(down), statistics.mean(up)
    return [
        Figure(f"xrdcp, one process per 10 kB file{where}", [1000 * each for each in down], "ms"),
        Figure("  xrootd mover, per file of 1,000", [1000 * ours_down], "ms"),
        Figure("  times faster", [theirs_down / ours_down], "x", goal),
        Figure("  stored: xrdcp, one process per file, unverified", [1000 * each for each in up], "ms"),
        Figure("  stored: xrootd mover, verified by the server", [1000 * ours_up], "ms"),
        Figure("  stored: times faster", [theirs_up / ours_up], "x"),
    ]


def _fetch(root: str, folder: Path, number: int) -> FetchRequest:
    return FetchRequest(
        lfn=str(number),
        surl=f"{root}/small/{number}",
        target=str(folder / str(number)),
        size_bytes=SMALL_BYTES,
    )


def _store(root: str, folder: Path, number: int) -> StoreRequest:
    return StoreRequest(
        lfn=str(number),
        source=str(folder / str(number)),
        surl=f"{root}/stored/{number}",
        size_bytes=SMALL_BYTES,
    )


async def _transfer(worker: TransferWorker, request: FetchRequest | StoreRequest) -> float:
    """Seconds that one transfer takes."""
    began = time.perf_counter()
    done = await worker.transfer(request)
    if isinstance(done, TransferFailure):
        raise SystemExit(f"a transfer of the benchmark failed: {done.says}")
    return time.perf_counter() - began


def _xrdcp(source: Path | str, target: Path | str, **variables: str) -> float:
    """Seconds that one process of the distribution's client takes, with its own checksum where it reads."""
    check = ["--cksum", "adler32:source"] if isinstance(target, Path) else []
    began = time.perf_counter()
    subprocess.run(
        ["xrdcp", "--force", "--silent", *check, str(source), str(target)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
        env={**environment(), **variables},
    )
    return time.perf_counter() - began


@contextmanager
def _memory() -> Iterator[Path]:
    """A folder in memory for what is fetched."""
    with TemporaryDirectory(prefix="picard-bench-", dir=_MEMORY) as directory:
        yield Path(directory)


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
