"""Twelve things that go wrong with transfers are told apart: each fault names phase, class and endpoint."""

import asyncio
from pathlib import Path
from typing import NamedTuple

import pytest
from staging_kit import WITH_TESTING_MOVERS, Ground, an_input, an_output

from picard_pilot.data.policy import RetryLimits
from picard_pilot.data.walk import Pace
from picard_pilot.data.worker import TransferWorker, WorkerLimits
from picard_pilot.diagnosis.catalogue.transfers import BY_KEY
from picard_pilot.lifecycle.case import Case
from picard_pilot.model.fault import Fault
from picard_pilot.model.job import Job
from picard_pilot.model.site import Endpoint, PathRule, Protocol, Queue, Site
from picard_pilot.model.states import State
from picard_pilot.payload.jobdir import bundle_of
from picard_pilot.pilot.extract import log_extract
from picard_pilot.system.redact import Redactor
from picard_pilot.testing.faulty_storage import FOLDER, PREFIX, FaultyStorage

DATA = b"an event" * 1000

STALL_S = 6.0
"""Of the worker's watch: longer than a busy machine needs to start a worker, which counts as silence too."""

ONCE = RetryLimits(longest_pause_s=0.0, patience_s=60.0, tries=1)


class Injected(NamedTuple):
    """What is injected, and the class and error that must be told. Nobody gave the pilot a credential."""

    finer: str
    name: str
    fault: dict[str, object] | None = None
    """Of the storage; None: something else is wrong."""


STAGEIN = (
    Injected("stagein/resolve", "STAGEINFAILED"),
    Injected("stagein/contact", "STAGEINFAILED", {"status": 503}),
    Injected("stagein/auth", "CERTIFICATEHASEXPIRED", {"status": 403}),
    Injected("stagein/specification", "STAGEINFAILED", {"status": 418}),
    Injected("stagein/missing", "MISSINGINPUTFILE", {"status": 404}),
    Injected("stagein/transfer", "STAGEINFAILED", {"status": 500}),
    Injected("stagein/checksum", "GETADMISMATCH", {"spoil": True}),
    Injected("stagein/timeout", "STAGEINTIMEOUT", {"hang_at": 4000}),
)

STAGEOUT = (
    Injected("stageout/contact", "STAGEOUTFAILED", {"status": 503}),
    Injected("stageout/auth", "CERTIFICATEHASEXPIRED", {"status": 403}),
    Injected("stageout/space", "NOREMOTESPACE", {"status": 507}),
    Injected("stageout/checksum", "PUTADMISMATCH", {"spoil": True}),
)

NOBODY = "http://no-such-host.invalid/"


@pytest.fixture
def ground(tmp_path: Path, storage: FaultyStorage) -> Ground:
    """One storage by http, and one of which the host has no address."""
    made = Ground(tmp_path)
    places = {"FAULTY": f"{storage.url}{PREFIX}/{FOLDER}", "NOBODY": NOBODY}
    made.site = Site(
        queue=Queue(name="Q", panda_resource="Q"),
        endpoints={
            name: Endpoint(name=name, protocols=(Protocol(prefix=prefix),), paths=PathRule.FLAT)
            for name, prefix in places.items()
        },
    )
    return made


def use(ground: Ground, endpoint: str) -> None:
    """Let the queue read and write there and nowhere else."""
    queue = Queue(name="Q", panda_resource="Q", endpoints={"pr": (endpoint,), "pw": (endpoint,)})
    ground.site = Site(queue=queue, endpoints=ground.site.endpoints)


async def stage_in(ground: Ground, worker: TransferWorker, storage: FaultyStorage, case: Injected) -> Fault:
    """The fault of an input with which this goes wrong."""
    use(ground, "NOBODY" if case.fault is None else "FAULTY")
    lfn = case.finer.partition("/")[2]
    storage.put(lfn, DATA)
    if case.fault is not None:
        storage.fault("GET", lfn, **case.fault)
    result = await ground.stage_in(worker, an_input(lfn, DATA), pace=Pace(limits=ONCE))
    (fault,) = result.faults
    return fault


async def stage_out(ground: Ground, worker: TransferWorker, storage: FaultyStorage, case: Injected) -> Fault:
    """The fault of an output with which this goes wrong."""
    use(ground, "FAULTY")
    lfn = f"out-{case.finer.partition('/')[2]}"
    (ground.directory / lfn).write_bytes(DATA)
    assert case.fault is not None
    # The mover writes under a temporary name.
    storage.fault("PUT", **case.fault)
    result = await ground.stage_out(worker, an_output(lfn), pace=Pace(limits=ONCE))
    storage.heal()
    (fault,) = result.faults
    return fault


def test_twelve_injected_faults_are_twelve_classes(ground: Ground, storage: FaultyStorage) -> None:
    """Each with its number, its class and the endpoint; the catalogue knows under which number a class is told."""
    told: dict[str, Fault] = {}

    async def run() -> None:
        limits = WorkerLimits(stall_s=STALL_S)
        async with (
            asyncio.timeout(120),
            TransferWorker(environment=WITH_TESTING_MOVERS, limits=limits) as worker,
        ):
            for case in STAGEIN:
                told[case.finer] = await stage_in(ground, worker, storage, case)
            for case in STAGEOUT:
                told[case.finer] = await stage_out(ground, worker, storage, case)

    asyncio.run(run())
    assert {key: (fault.finer, fault.name) for key, fault in told.items()} == {
        case.finer: (case.finer, case.name) for case in (*STAGEIN, *STAGEOUT)
    }
    assert len({fault.finer for fault in told.values()}) == 12
    for key, fault in told.items():
        assert fault.endpoint == ("NOBODY" if key == "stagein/resolve" else "FAULTY")
        assert fault.name in BY_KEY[key].told_as
    assert "1099 STAGEINFAILED (storage; stagein/contact at FAULTY): " in extract(
        ground, told["stagein/contact"]
    )


def extract(ground: Ground, fault: Fault) -> str:
    """What the server gets of the logs of a job with this fault."""
    job = Job(job_id=1, attempt_nr=1)
    case = Case(job=job, queue="Q", state=State.CLOSING, since=0.0, received_at=0.0, faults=(fault,))
    return log_extract(case, bundle_of(ground.directory), Redactor()) or ""
