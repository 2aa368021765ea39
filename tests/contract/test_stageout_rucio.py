"""Outputs of a job at a site with a real Rucio: only the copy that counts is in the catalogue."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from test_catalogue_rucio import SITE, Desk, here, limited

from picard_pilot.data.stageout import Listeners, StageOutEvent, stage_out
from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.files import FilePlace, FileRole, FileSpec
from picard_pilot.model.job import Job
from picard_pilot.model.site import Endpoint, Protocol, Queue, Site
from picard_pilot.model.transfer import FailureClass, StoreRequest, TransferFailure
from picard_pilot.testing.mover_kit import CONTENT

__all__ = ["here"]  # the fixture
pytestmark = pytest.mark.xdist_group("rucio")
_numbers = itertools.count(9000)


class LateAtFirst:
    """A worker whose first endpoint takes the file and never says so."""

    def __init__(self, worker: TransferWorker, first: str) -> None:
        self._worker = worker
        self._first = first

    def __getattr__(self, name: str) -> Any:
        return getattr(self._worker, name)

    async def transfer(self, request: StoreRequest, on_progress: Any = None) -> Any:
        """Store, and tell the truth only about the second endpoint."""
        done = await self._worker.transfer(request, on_progress)
        assert request.context.endpoint is not None
        if request.context.endpoint.name != self._first:
            return done
        return TransferFailure(kind=FailureClass.TIMEOUT, says="no byte for 60 s", surl=request.surl)


def test_a_late_success_leaves_one_registered_replica(here: Desk, tmp_path: Path) -> None:
    """The first storage took it late, the alternative counts: Rucio knows one, and one exists."""
    number = next(_numbers)
    names = [f"{kind}{number}_DATADISK" for kind in ("FIRST", "SECOND")]
    for name in names:
        here.catalogue.add_rse(name, f"root://{name.lower().replace('_', '-')}.example.org:1094//data/")
        (tmp_path / name).mkdir()
    lfn = f"out.{number}.root"
    output = FileSpec(lfn=lfn, role=FileRole.OUTPUT, scope=here.catalogue.scope)
    site = Site(
        queue=Queue(
            name="Q",
            panda_resource="Q",
            site=SITE,
            endpoints={"pw": (names[0],), "write_alternative": (names[1],)},
            movers={"default": ("rucio", "local")},
            register_outputs=True,
        ),
        endpoints={
            name: Endpoint(name=name, protocols=(Protocol(prefix=f"file://{tmp_path}/{name}"),))
            for name in names
        },
    )
    directory = tmp_path / "job"
    directory.mkdir()
    (directory / lfn).write_bytes(CONTENT)
    events: list[StageOutEvent] = []

    async def happened(event: StageOutEvent) -> None:
        events.append(event)

    async def act() -> Any:
        async with here.worker() as worker:
            moody: Any = LateAtFirst(worker, names[0])
            return await stage_out(
                job=Job(job_id=number, attempt_nr=1, outputs=(output,)),
                files=(output,),
                site=site,
                directory=directory,
                done={},
                worker=moody,
                listeners=Listeners(on_event=happened),
            )

    result = limited(act())
    assert result.faults == (), result.decisions
    assert [type(event).__name__ for event in events] == [
        "OutputDiverted",
        "OutputRegistering",
        "OutputStored",
        "OutputPlaceCleared",
    ]
    assert isinstance(events[1].at, FilePlace) and events[1].at.endpoint == names[1]  # type: ignore[union-attr]
    assert list(here.catalogue.replicas(lfn)) == [names[1]]
    assert not list((tmp_path / names[0]).rglob("*.root"))
    assert len(list((tmp_path / names[1]).rglob("*.root"))) == 1
