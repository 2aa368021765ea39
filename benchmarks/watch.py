"""What it costs to watch a payload: a tree of a hundred processes, one of shared memory, a large directory."""

import asyncio
import os
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from figures import Figure
from place import place

from picard_pilot.lifecycle.limits import limits_for
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.job import Job
from picard_pilot.model.site import Queue
from picard_pilot.model.states import Phase
from picard_pilot.payload import launcher
from picard_pilot.payload.launch import LaunchHandle, LaunchSpec
from picard_pilot.testing.clock import VirtualClock
from picard_pilot.watch import directory, pss, tree
from picard_pilot.watch.sampler import PERIOD_S, Sampler, Subject
from picard_pilot.watch.series import Series
from picard_pilot.watch.summary import Summary
from picard_pilot.watch.watcher import Watcher

PROCESSES = 100
SHARED_MB = 256
WORKERS = 8
FILES = 10_000

_SLEEPERS = f"n=1; while [ $n -lt {PROCESSES} ]; do sleep 1000 & n=$((n+1)); done; wait"
_SHARERS = f"""
import os, signal
data = bytearray(os.urandom(4096)) * (256 * {SHARED_MB})
for n in range({WORKERS}):
    if os.fork() == 0:
        open(f"ready-{{n}}", "w").close()
        signal.pause()
open("ready", "w").close()
signal.pause()
"""


def watch(times: int) -> list[Figure]:
    """One look at a time, and what it makes of a core."""
    with place() as here:
        return asyncio.run(_watch(here.directory, times))


async def _watch(folder: Path, times: int) -> list[Figure]:
    return [
        *await _hundred(folder / "hundred", times),
        *await _shared(folder / "shared", times),
        *_files(folder / "files", times),
    ]


async def _hundred(folder: Path, times: int) -> list[Figure]:
    async with _payload(folder, ("/bin/sh", "-c", _SLEEPERS)) as handle:
        walk_ms, pss_ms = [], []
        while len(_seen(handle).pids) < PROCESSES:  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.05)
        for _ in range(times):
            begun = time.thread_time()
            found = _seen(handle)
            between = time.thread_time()
            pss.read(found.pids, 0.0, 0)
            walk_ms.append((between - begun) * 1000)
            pss_ms.append((time.thread_time() - between) * 1000)
        share = await _whole(folder, handle, times)
    return [
        Figure(f"walk over {PROCESSES} processes with I/O, CPU time", walk_ms, "ms"),
        Figure(f"  whole looks, judged and summed up, each {PERIOD_S:.0f} s", share, "% core", "0.1"),
        Figure(f"  PSS of {PROCESSES} small processes", pss_ms, "ms"),
    ]


async def _whole(folder: Path, handle: LaunchHandle, times: int) -> list[float]:
    """The share of a core that all of it takes: threads, judgement, summary; PSS and the directory apart."""
    bundle = Bundle(
        directory=str(folder),
        private=str(folder / "picard"),
        stdout=str(folder / "stdout"),
        stderr=str(folder / "stderr"),
        job_report="",
    )
    subject = Subject(phase=Phase.RUNNING, launcher=handle.launcher)
    limits = limits_for(Job(job_id=1, attempt_nr=1), Queue(name="BENCH", panda_resource="BENCH"))
    # Time passes between looks as it would, so that what is read rarely is read rarely.
    clock = VirtualClock()
    sampler = Sampler(bundle, ("out.root",), lambda: subject, limits, clock)
    watcher = Watcher(sampler, limits, clock, cores=1, summary=Summary(), series=Series())
    shares = []
    try:
        watcher.add(await sampler.look())
        for _ in range(times):
            await clock.advance(PERIOD_S)
            apart_s = _apart_s(sampler)
            begun = _own_cpu_s()
            watcher.add(await sampler.look())
            cost_s = _own_cpu_s() - begun - (_apart_s(sampler) - apart_s)
            shares.append(cost_s / PERIOD_S * 100)
    finally:
        sampler.close()
    return shares


def _apart_s(sampler: Sampler) -> float:
    return sampler.spent_s["pss"] + sampler.spent_s["directory"]


async def _shared(folder: Path, times: int) -> list[Figure]:
    async with _payload(folder, (sys.executable, "-I", "-S", "-c", _SHARERS)) as handle:
        while len(list(folder.glob("ready*"))) <= WORKERS:  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.05)
        read_ms = []
        for _ in range(times):
            found = _seen(handle)
            begun = time.thread_time()
            reading = pss.read(found.pids, 0.0, found.sample.rss_bytes)
            read_ms.append((time.thread_time() - begun) * 1000)
    assert reading is not None
    return [
        Figure(f"PSS of {WORKERS} workers that share {SHARED_MB} MB, CPU time", read_ms, "ms"),
        Figure("  their summed RSS is so many times their PSS", [reading.rss_bytes / reading.pss_bytes], "x"),
    ]


def _files(folder: Path, times: int) -> list[Figure]:
    for number in range(FILES):
        if number % 100 == 0:
            below = folder / str(number)
            below.mkdir(parents=True)
        (below / str(number)).touch()
    took_ms = []
    for _ in range(times):
        begun = time.thread_time()
        directory.measure(folder, 0.0)
        took_ms.append((time.thread_time() - begun) * 1000)
    return [Figure(f"directory of {FILES} files, CPU time", took_ms, "ms")]


def _seen(handle: LaunchHandle) -> tree.Seen:
    found = tree.look(handle.launcher)
    if found is None:
        raise SystemExit("the benchmark's payload has ended")
    return found


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@asynccontextmanager
async def _payload(folder: Path, argv: tuple[str, ...]) -> AsyncIterator[LaunchHandle]:
    folder.mkdir()
    spec = LaunchSpec(
        directory=str(folder / "launch"),
        argv=argv,
        cwd=str(folder),
        env={"PATH": os.defpath},
        stdout=str(folder / "stdout"),
        stderr=str(folder / "stderr"),
    )
    handle = await launcher.launch(spec)
    try:
        yield handle
    finally:
        launcher.kill(handle)
        await launcher.wait(handle)
