"""A site with two local endpoints, a job's directory and a worker, for tests of stage-in and stage-out."""

import asyncio
import os
import zlib
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from picard_pilot.data.node_files import NodeFiles
from picard_pilot.data.paths import rucio_path
from picard_pilot.data.stagein import StageInResult, stage_in
from picard_pilot.data.stageout import Listeners, StageOutEvent, StageOutResult, stage_out
from picard_pilot.data.walk import Pace
from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.events import InputStaged, OutputStored
from picard_pilot.model.files import Checksum, ChecksumKind, FilePlace, FileRole, FileSpec, StoredFile
from picard_pilot.model.job import Job
from picard_pilot.model.site import Endpoint, Protocol, Queue, Site
from picard_pilot.model.transfer import How

SCOPE = "user.jdoe"

WITH_TESTING_MOVERS = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
"""The worker's environment, in which it finds movers of tests by their import path."""


class Ground:
    """Two storages, A before B, and the directory of one job."""

    def __init__(self, folder: Path, **queue: object) -> None:
        self.folder = folder
        self.directory = folder / "PanDA_Pilot-1"
        self.directory.mkdir()
        self.site = Site(
            queue=Queue(
                name="Q",
                panda_resource="Q",
                endpoints={"pr": ("A", "B"), "pw": ("A",), "pl": ("B",)},
                **queue,  # type: ignore[arg-type]
            ),
            endpoints={
                name: Endpoint(name=name, protocols=(Protocol(prefix=f"file://{folder}/{name}"),))
                for name in "AB"
            },
        )
        self.staged: list[InputStaged] = []
        self.stored: list[OutputStored] = []
        self.events: list[StageOutEvent] = []

    def at(self, endpoint: str, lfn: str) -> Path:
        """Where a file lies on an endpoint."""
        return self.folder / endpoint / rucio_path(SCOPE, lfn)

    def replica(self, endpoint: str, lfn: str, data: bytes) -> None:
        """Put a replica on an endpoint."""
        path = self.at(endpoint, lfn)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    async def stage_in(
        self,
        worker: TransferWorker,
        *files: FileSpec,
        done: dict[str, InputStaged] | None = None,
        local_files: dict[str, str] | None = None,
        job: Job | None = None,
        **more: object,
    ) -> StageInResult:
        """Stage these inputs; the events are kept in `staged`."""

        async def on_staged(event: InputStaged) -> None:
            if event.how != How.DIRECT:
                assert (self.directory / event.lfn).stat().st_size == event.size_bytes
            self.staged.append(event)

        return await stage_in(
            job=job or Job(job_id=1, attempt_nr=1, inputs=files),
            site=self.site,
            directory=self.directory,
            done=done or {},
            worker=worker,
            on_staged=on_staged,
            **{"node_files": NodeFiles(local_files or {}), **more},  # type: ignore[arg-type]
        )

    async def stage_out(
        self,
        worker: TransferWorker,
        *files: FileSpec,
        done: dict[str, StoredFile] | None = None,
        guids: dict[str, str] | None = None,
        touched: dict[str, tuple[FilePlace, ...]] | None = None,
        settled: dict[str, FilePlace] | None = None,
        job: Job | None = None,
        pace: Pace | None = None,
    ) -> StageOutResult:
        """Store these outputs; the events are kept in `stored` and, all of them, in `events`."""

        async def on_event(event: StageOutEvent) -> None:
            self.events.append(event)
            if isinstance(event, OutputStored):
                self.stored.append(event)

        return await stage_out(
            job=job or Job(job_id=1, attempt_nr=1, outputs=files),
            files=files,
            site=self.site,
            directory=self.directory,
            done=done or {},
            worker=worker,
            listeners=Listeners(on_event=on_event),
            guids=guids,
            touched=touched,
            settled=settled,
            pace=pace,
        )


def an_input(lfn: str, data: bytes | None = None, **more: object) -> FileSpec:
    """An input as its catalogue describes it; without data the catalogue says nothing."""
    said: dict[str, object] = {}
    if data is not None:
        value = f"{zlib.adler32(data):08x}"
        said = {"size_bytes": len(data), "checksum": Checksum(ChecksumKind.ADLER32, value)}
    return FileSpec(lfn=lfn, role=FileRole.INPUT, scope=SCOPE, **{**said, **more})  # type: ignore[arg-type]


def an_output(lfn: str, **more: object) -> FileSpec:
    """An output as the job names it."""
    return FileSpec(lfn=lfn, role=FileRole.OUTPUT, scope=SCOPE, **more)  # type: ignore[arg-type]


def with_worker(test: Callable[[TransferWorker], Coroutine[object, object, None]]) -> None:
    """Run a test's coroutine with a worker and a deadline."""

    async def run() -> None:
        async with asyncio.timeout(60), TransferWorker(environment=WITH_TESTING_MOVERS) as worker:
            await test(worker)

    asyncio.run(run())


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """Fresh storages and a fresh job directory."""
    return Ground(tmp_path)
