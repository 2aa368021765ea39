"""A worker in moods, two storages and a job, for tests of where outputs go; the fixtures `ground` and `two`."""

from typing import Any

import msgspec
import pytest
from staging_kit import Ground, an_output, ground, with_worker

from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.job import Job
from picard_pilot.model.policy import AltStageOut
from picard_pilot.model.transfer import (
    AnyResult,
    FailureClass,
    FileFacts,
    Registered,
    RegisterRequest,
    Removed,
    RemoveRequest,
    Replicas,
    ReplicasRequest,
    StatRequest,
    StoreRequest,
    TransferFailure,
    Transferred,
)
from picard_pilot.testing.mover_kit import CONTENT

__all__ = ["ground"]  # the fixture


class Moody:
    """A worker that fails as it is told, by endpoint, and else does what the real one does."""

    def __init__(self, worker: TransferWorker, failures: dict[str, list[TransferFailure]]) -> None:
        self._worker = worker
        self._failures = failures
        self.late: set[str] = set()
        """Endpoints that take the file before they fail."""
        self.blind: set[str] = set()
        """Endpoints that cannot be looked at."""
        self.asked: list[str] = []
        self.catalogue: list[TransferFailure] | None = None
        """Failures of a catalogue, one per question; None: there is none."""
        self.registered: list[str] = []

    async def transfer(self, request: StoreRequest, on_progress: Any = None) -> AnyResult:
        assert request.context.endpoint is not None
        name = request.context.endpoint.name
        self.asked.append(name)
        waiting = self._failures.get(name, [])
        if not waiting:
            return await self._worker.transfer(request, on_progress)
        if name in self.late:
            assert isinstance(await self._worker.transfer(request), Transferred)
        return waiting.pop(0)

    async def replicas(self, request: ReplicasRequest) -> Replicas:
        assert request.dids == ()
        return Replicas(files=(), catalogue="" if self.catalogue is None else "told")

    async def register(self, request: RegisterRequest) -> Registered | TransferFailure:
        assert self.catalogue is not None and not request.stored.register
        if self.catalogue:
            return self.catalogue.pop(0)
        self.registered.append(request.surl)
        return Registered(catalogue="told")

    async def stat(self, request: StatRequest) -> FileFacts | TransferFailure:
        assert request.context.endpoint is not None
        if request.context.endpoint.name in self.blind:
            return failure(FailureClass.CONTACT)
        return await self._worker.stat(request)

    async def remove(self, request: RemoveRequest) -> Removed | TransferFailure:
        return await self._worker.remove(request)


def failure(kind: FailureClass, **more: Any) -> TransferFailure:
    return TransferFailure(kind=kind, says=f"a failure of kind {kind}", **more)


def a_job(mode: AltStageOut | None = AltStageOut.ON, attempt_nr: int = 1) -> Job:
    return Job(job_id=1, attempt_nr=attempt_nr, outputs=(an_output("out"),), alt_stage_out=mode)


@pytest.fixture
def two(ground: Ground) -> Ground:
    """Storage A is meant, B is the alternative; the output is written."""
    queue = msgspec.structs.replace(ground.site.queue, endpoints={"pw": ("A",), "write_alternative": ("B",)})
    ground.site = msgspec.structs.replace(ground.site, queue=queue)
    (ground.directory / "out").write_bytes(CONTENT)
    return ground


def run(
    ground: Ground,
    failures: dict[str, list[TransferFailure]],
    *,
    late: str = "",
    blind: str = "",
    catalogue: list[TransferFailure] | None = None,
    **more: Any,
) -> tuple[Any, Moody]:
    """The result of storing the output with these failures in store."""
    found: list[Any] = []

    async def test(worker: TransferWorker) -> None:
        moody = Moody(worker, failures)
        moody.late, moody.blind, moody.catalogue = set(late), set(blind), catalogue
        found.append(await ground.stage_out(moody, an_output("out"), **{"job": a_job(), **more}))  # type: ignore[arg-type]
        found.append(moody)

    with_worker(test)
    return found[0], found[1]
