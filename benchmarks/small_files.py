"""A thousand small files by a mover in its worker, in turns with one `xrdcp` process for each file.

Pilot, worker and server share the machine with whatever else runs there, so no time means much by itself: what is
compared is measured in turns, and the figure is the ratio of the medians. Both clients know the checksums beforehand.
"""

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from figures import Figure
from place import environment

from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import FetchRequest, StoreRequest, TransferFailure

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

from xrootd_alone import server_alone
from xrootd_server import why_not

FILE_BYTES = 10_000
FILES = 1000
STORED = 200
"""How many of them are stored in each turn."""
SAMPLE = 15
"""Processes of `xrdcp` in each turn; the rest of the files would take as long each."""
TURNS = 5
FAR_TURNS = 3
WARM_UP = 50
"""Files that are moved before: connections, the worker's threads, and the modules that it imports on use."""
ROUND_TRIP_MS = 20.0
MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
"""Both ends are in memory where the machine has such a folder: a disk is slow in its own way, and others use it too.
On one, making and renaming a file of 10 kB was seen to take longer than to bring it."""
CHECKSUMS = "xrootd.chksum max 32 adler32"
"""A server with checksums, and room to compute them: it has four places else, and lets others wait for seconds."""
CONFIG = f"{CHECKSUMS}\nxrd.protocol http libXrdHttp.so"


class Turn(NamedTuple):
    """Seconds per file in one turn; of `xrdcp` those of each process."""

    xrdcp_down: Sequence[float]
    down: float
    xrdcp_up: Sequence[float]
    up: float


class SmallFiles:
    """The files at a server, and the two ways to move them. `root` is where `xrdcp` finds them, `url` the mover."""

    def __init__(self, directory: Path, root: str, url: str, checksums: Sequence[Checksum]) -> None:
        self._directory = directory
        self._root = root
        self._url = url
        self._checksums = checksums

    async def turns(self, count: int) -> list[Turn]:
        """Measure so many times, with one worker."""
        async with TransferWorker(environment=environment()) as worker:
            await self._turn(worker, "warm-up", WARM_UP)
            return [await self._turn(worker, str(number), FILES) for number in range(count)]

    async def _turn(self, worker: TransferWorker, name: str, files: int) -> Turn:
        folder = self._directory / name
        folder.mkdir()
        sample = range(min(SAMPLE, files))
        xrdcp_down = [
            xrdcp(f"{self._root}/small/{n}", folder / f"{n}", f"adler32:{self._checksums[n].value}")
            for n in sample
        ]
        down = await _all(worker, self.fetches(folder)[:files])
        xrdcp_up = [xrdcp(folder / f"{n}", f"{self._root}/xrdcp-{name}/{n}") for n in sample]
        up = await _all(worker, self._stores(folder, name, min(STORED, files)))
        shutil.rmtree(folder)
        return Turn(xrdcp_down, down, xrdcp_up, up)

    def fetches(self, folder: Path) -> list[FetchRequest]:
        """All files into this folder."""
        return [
            FetchRequest(
                lfn=str(number),
                surl=f"{self._url}/small/{number}",
                target=str(folder / str(number)),
                size_bytes=FILE_BYTES,
                checksum=checksum,
            )
            for number, checksum in enumerate(self._checksums)
        ]

    def _stores(self, folder: Path, name: str, count: int) -> list[StoreRequest]:
        return [
            StoreRequest(
                lfn=str(number),
                source=str(folder / str(number)),
                surl=f"{self._url}/stored-{name}/{number}",
                size_bytes=FILE_BYTES,
            )
            for number in range(count)
        ]


@contextmanager
def small_files(scheme: str, round_trip_ms: float = 0.0) -> Iterator[SmallFiles]:
    """A server with the files, so far away."""
    with memory() as directory, server_alone(CONFIG, MEMORY) as (root, storage):
        checksums = []
        for number in range(FILES):
            data = os.urandom(FILE_BYTES)
            storage.put(f"small/{number}", data)
            checksums.append(Checksum(ChecksumKind.ADLER32, f"{zlib.adler32(data):08x}"))
        with far(root, round_trip_ms) as at:
            yield SmallFiles(directory, at, at if scheme == "root" else http(at), checksums)


def http(root: str) -> str:
    """The same server's address by http."""
    return root.replace("root://", "http://", 1).replace("//data", "/data")


def beside_xrdcp(mover: str, scheme: str, goal: str, round_trip_ms: float = 0.0) -> list[Figure]:
    """The files down and up by one mover, and how many times faster than by `xrdcp`."""
    if (reason := why_not()) is not None:
        return [Figure(f"{mover}: {reason}", [], "")]
    with small_files(scheme, round_trip_ms) as files:
        turns = asyncio.run(files.turns(FAR_TURNS if round_trip_ms else TURNS))
    where = f", round trip {round_trip_ms:g} ms" if round_trip_ms else ""
    return [
        *_figures(
            [turn.xrdcp_down for turn in turns],
            [turn.down for turn in turns],
            f"xrdcp, one process per 10 kB file{where}",
            f"  {mover} mover in its worker, per file of {FILES}",
            goal,
        ),
        *_figures(
            [turn.xrdcp_up for turn in turns],
            [turn.up for turn in turns],
            "  stored: xrdcp, one process per file, unverified",
            f"  stored: {mover} mover, verified by the server",
            "",
        ),
    ]


def _figures(
    theirs: Sequence[Sequence[float]], ours: Sequence[float], they: str, we: str, goal: str
) -> list[Figure]:
    every = [seconds for sample in theirs for seconds in sample]
    ratios = [statistics.median(sample) / seconds for sample, seconds in zip(theirs, ours, strict=True)]
    return [
        Figure(they, [1000 * seconds for seconds in every], "ms"),
        Figure(we, [1000 * seconds for seconds in ours], "ms"),
        Figure(
            "  times faster, of the medians", [statistics.median(every) / statistics.median(ours)], "x", goal
        ),
        Figure("  times faster, turn by turn", ratios, "x"),
    ]


async def _all(worker: TransferWorker, requests: Sequence[FetchRequest | StoreRequest]) -> float:
    """Seconds per file when all are asked for together."""
    began = time.perf_counter()
    await asyncio.gather(*(transfer(worker, request) for request in requests))
    return (time.perf_counter() - began) / len(requests)


async def transfer(worker: TransferWorker, request: FetchRequest | StoreRequest) -> float:
    """Seconds that one transfer takes."""
    began = time.perf_counter()
    done = await worker.transfer(request)
    if isinstance(done, TransferFailure):
        raise SystemExit(f"a transfer of the benchmark failed: {done.says}")
    return time.perf_counter() - began


def xrdcp(source: Path | str, target: Path | str, checksum: str = "", **variables: str) -> float:
    """Seconds that one process of the distribution's client takes; with a checksum it compares with that."""
    check = ["--cksum", checksum] if checksum else []
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
def memory() -> Iterator[Path]:
    """A folder in memory for what is fetched."""
    with TemporaryDirectory(prefix="picard-bench-", dir=MEMORY) as directory:
        yield Path(directory)


@contextmanager
def far(root: str, round_trip_ms: float) -> Iterator[str]:
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
