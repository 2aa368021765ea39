"""Transfers by the XRootD mover in its worker, beside `xrdcp` in the same run: one large file, many small ones.

A real server on loopback; what is measured of small files is `small_files`. Best run under `unshare -n`: `xrdcp` asks
for the name of every address of the machine whenever it starts.
"""

import asyncio
import os
import statistics
from pathlib import Path

import processes
from figures import Figure
from place import environment
from small_files import CHECKSUMS, MEMORY, beside_xrdcp, memory, server_alone, transfer, why_not, xrdcp

from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import FetchRequest
from picard_pilot.movers.measure import measure

LARGE_BYTES = 1 << 30


def large_file(times: int) -> list[Figure]:
    """One large file with its checksum, as `xrdcp` does it and as the worker does."""
    if (reason := why_not()) is not None:
        return [Figure(f"xrootd: {reason}", [], "")]
    with memory() as directory, server_alone(CHECKSUMS, MEMORY) as (root, storage):
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
                xrdcp(surl, target, "adler32:source"),
                xrdcp(surl, target, "adler32:source", XRD_CPUSEPGWRTRD="0"),
                await transfer(worker, request),
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
    return beside_xrdcp("xrootd", "root", "16" if round_trip_ms else "25", round_trip_ms)
