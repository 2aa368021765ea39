"""Pieces for tests of the pilot's own rooms: parts with a virtual clock, and a dispatcher that says what it is told."""

from collections import deque
from pathlib import Path
from typing import Any

from picard_pilot.experiments.generic import Generic
from picard_pilot.journal.lease import Owner
from picard_pilot.journal.memory import MemoryJournal
from picard_pilot.lifecycle.report import Sender
from picard_pilot.lifecycle.table import step
from picard_pilot.model import events as ev
from picard_pilot.model.bundle import Node
from picard_pilot.model.job import Job
from picard_pilot.model.orders import Ask, NoJobs, Orders, ServerTrouble, Standing
from picard_pilot.model.report import Update
from picard_pilot.model.site import Queue, Site
from picard_pilot.payload.jobdir import bundle_of
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.work import JobWork
from picard_pilot.settings.read import settings_for
from picard_pilot.system.log import Log
from picard_pilot.system.redact import Redactor
from picard_pilot.testing.clock import VirtualClock

DOWN = ServerTrouble(
    kind="refused", evidence="nobody listens", where="POST here", may_pass=True, may_have_arrived=False
)


class ToldDispatcher:
    """Answers from lists, then the same for ever; remembers what it was asked and told, with the time."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.told: list[tuple[float, Update]] = []
        self.asked: list[tuple[float, Ask]] = []
        self.answers: deque[Orders | ServerTrouble] = deque()
        self.jobs: deque[Any] = deque()
        self.down = False

    async def tell(self, update: Update, *, deadline_s: float | None = None) -> Orders | ServerTrouble:
        self.told.append((self._clock.monotonic(), update))
        if self.down:
            return DOWN
        return self.answers.popleft() if self.answers else Orders()

    async def acquire(self, ask: Ask) -> Any:
        self.asked.append((self._clock.monotonic(), ask))
        if self.down:
            return DOWN
        return self.jobs.popleft() if self.jobs else NoJobs(message="No jobs in PanDA")

    async def status(self, job_ids: tuple[int, ...]) -> tuple[Standing, ...] | ServerTrouble:
        if self.down:
            return DOWN
        return tuple(Standing(job_id=job_id, status="running") for job_id in job_ids)

    async def orders_for(self, job_ids: tuple[int, ...]) -> tuple[Standing, ...] | ServerTrouble:
        return ()

    @property
    def phases(self) -> list[str]:
        return [update.phase for _, update in self.told]


def parts_for(clock: VirtualClock, dispatcher: ToldDispatcher, directory: Path, **settings: Any) -> Parts:
    """Parts of a pilot of which only clock, dispatcher and settings matter."""
    unused: Any = None
    return Parts(
        settings=settings_for(
            # What one test finds out about its storages is no business of others.
            **{"queue": "Q", "command_poll_s": 0.0, "node_directory": str(directory / "node"), **settings}
        ),
        environ={},
        workdir=directory,
        owner=Owner(pilot="p1", host="h", boot_id="b", pid=1, start_ticks=1),
        node=Node(host="h", cores=1),
        site=Site(queue=Queue(name="Q", panda_resource="Q")),
        sender=Sender(site_name="Q", node="h"),
        experiment=Generic(),
        dispatcher=dispatcher,  # type: ignore[arg-type]
        worker=unused,
        clock=clock,
        log=Log([], None, Redactor()),
        seed=7,
        is_alive=lambda pid, ticks: False,
    )


def work_for(directory: Path, clock: VirtualClock) -> JobWork:
    """A job that was just received, with its journal in memory."""
    journal = MemoryJournal("p1", clock.now_utc)
    received = ev.JobReceived(job=Job(job_id=5, attempt_nr=1), queue="Q")
    case, _ = step(None, received, journal.append(received).at)
    return JobWork(case, bundle_of(directory), journal)
