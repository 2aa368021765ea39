"""Stage-in: what one small input costs, and ten thousand of them: planning, memory, journal."""

import asyncio
import gc
import os
import time
from collections.abc import Callable
from pathlib import Path

import processes
from figures import Figure
from place import place

from picard_pilot.data.paths import rucio_path
from picard_pilot.data.stagein import stage_in
from picard_pilot.data.worker import TransferWorker
from picard_pilot.journal.file import NAME, Journal
from picard_pilot.lifecycle.table import step
from picard_pilot.model import events as ev
from picard_pilot.model.files import Checksum, ChecksumKind, FileRole, FileSpec
from picard_pilot.model.job import Job
from picard_pilot.model.site import Endpoint, Protocol, Queue, Site
from picard_pilot.model.transfer import FetchRequest, How, StoreRequest, TransferFailure, Transferred

MANY = 10_000
SMALL = b"x" * 10_000
SCOPE = "user.jdoe"
CHECKSUM = Checksum(ChecksumKind.ADLER32, "00000001")


class Elsewhere(TransferWorker):
    """A worker that moves nothing: every transfer is over at once, and the first one tells its time."""

    first_at: float | None = None

    async def transfer(
        self, request: FetchRequest | StoreRequest, on_progress: Callable[[int], None] | None = None
    ) -> Transferred | TransferFailure:
        """Note the first; succeed."""
        if self.first_at is None:
            self.first_at = time.perf_counter()
        return Transferred(
            surl=request.surl,
            size_bytes=request.size_bytes or 0,
            checksum=CHECKSUM,
            seconds=0.0,
            how=How.COPY,
            mover="none",
        )


def one_small_input(times: int) -> list[Figure]:
    """One file of 10 kB from a local storage, by a worker that runs already and by one that has to be started."""
    with place() as here:
        return asyncio.run(_one_small_input(here.directory, times))


async def _one_small_input(directory: Path, times: int) -> list[Figure]:
    site = _site(directory / "storage")
    file = FileSpec(lfn="in", role=FileRole.INPUT, scope=SCOPE)
    path = directory / "storage" / rucio_path(SCOPE, "in")
    path.parent.mkdir(parents=True)
    path.write_bytes(SMALL)
    warm, cold = [], []
    for number in range(times):
        async with TransferWorker() as worker:
            cold.append(await _staged(site, (file,), directory / f"cold-{number}", worker))
            warm.append(await _staged(site, (file,), directory / f"warm-{number}", worker))
    return [
        Figure("stage-in of one input of 10 kB (goal: 100 ms)", warm, "ms"),
        Figure("  with the start of the transfer worker", cold, "ms"),
    ]


async def _staged(site: Site, files: tuple[FileSpec, ...], directory: Path, worker: TransferWorker) -> float:
    directory.mkdir()
    begun = time.perf_counter()
    result = await stage_in(
        job=Job(job_id=1, attempt_nr=1, inputs=files),
        site=site,
        directory=directory,
        done={},
        worker=worker,
        on_staged=_nothing,
    )
    assert not result.faults, result
    return (time.perf_counter() - begun) * 1000


async def _nothing(event: ev.InputStaged) -> None:
    """Nobody listens."""


def many_inputs(times: int) -> list[Figure]:
    """Ten thousand inputs of one job, with journal and case, and no byte moved."""
    planning, whole, memory = [], [], []
    for _ in range(times):
        with place() as here:
            planned_ms, whole_ms, grown_mb = asyncio.run(_many_inputs(here.directory))
        planning.append(planned_ms)
        whole.append(whole_ms)
        memory.append(grown_mb)
    return [
        Figure(f"{MANY} inputs: planned, first transfer asked for (goal: 1000 ms)", planning, "ms"),
        Figure("  all asked for, journaled and folded", whole, "ms"),
        Figure("  growth of the pilot's memory (goal: 50 MB)", memory, "MB"),
    ]


async def _many_inputs(directory: Path) -> tuple[float, float, float]:
    site = _site(directory / "storage")
    files = tuple(
        FileSpec(
            lfn=f"AOD.01234567._{number:06d}.pool.root.1",
            role=FileRole.INPUT,
            scope=SCOPE,
            guid=f"{number:032X}",
            size_bytes=1000,
            checksum=CHECKSUM,
        )
        for number in range(MANY)
    )
    job = Job(job_id=1, attempt_nr=1, inputs=files)
    journal = Journal(directory / NAME, "bench", time.time)
    case = None
    for event in (ev.JobReceived(job=job, queue="Q"), ev.Admitted(), ev.Prepared()):
        record = journal.append(event)
        case, _ = step(case, event, record.at)
    gc.collect()
    before_mb = processes.memory_mb(os.getpid())

    async def staged(event: ev.InputStaged) -> None:
        nonlocal case
        record = journal.append(event)
        case, _ = step(case, event, record.at)

    async with Elsewhere() as worker:
        begun = time.perf_counter()
        result = await stage_in(
            job=job, site=site, directory=directory, done={}, worker=worker, on_staged=staged
        )
        journal.append(ev.InputsReady())
        ended = time.perf_counter()
    assert not result.faults
    assert case is not None and len(case.staged) == MANY
    assert worker.first_at is not None
    grown_mb = processes.memory_mb(os.getpid()) - before_mb
    journal.close()
    return (worker.first_at - begun) * 1000, (ended - begun) * 1000, grown_mb


def _site(storage: Path) -> Site:
    """A queue with two endpoints for inputs."""
    return Site(
        queue=Queue(name="Q", panda_resource="Q", endpoints={"pr": ("A", "B")}, movers={"pr": ("local",)}),
        endpoints={
            name: Endpoint(name=name, protocols=(Protocol(prefix=f"file://{storage}"),)) for name in "AB"
        },
    )
