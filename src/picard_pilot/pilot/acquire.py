"""Asking the server for jobs: one question at a time, with growing pauses after empty answers and trouble.

When to ask is decided in `lifecycle.pilot`; what comes of a job is `pilot.supervisor`.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator

from picard_pilot.model.events import JobReceived
from picard_pilot.model.job import Job
from picard_pilot.model.orders import Acquired, Ask, NoJobs, ServerTrouble
from picard_pilot.pilot.faults import bad_description
from picard_pilot.pilot.parts import Parts
from picard_pilot.system.backoff import Backoff

log = logging.getLogger("picard.acquire")

PAUSES = Backoff(first_s=5.0, longest_s=60.0)
"""Between two questions: an empty queue is asked some eight times in its minute, a dead server once a minute."""


class Acquirer:
    """Asks, and keeps what arrived until the supervisor takes it. Times are of the pilot's monotonic clock."""

    def __init__(self, parts: Parts, wake: Callable[[], None]) -> None:
        """`wake` is called when something has changed."""
        self._parts = parts
        self._wake = wake
        self._task: asyncio.Task[None] | None = None
        self._arrived: list[JobReceived] = []
        self._random = random.Random(parts.seed)
        self._pauses = self._fresh()
        self._dry_since: float | None = None
        self._trouble_since: float | None = None
        self.dry_for_s: float | None = None
        self.trouble_for_s: float | None = None
        self.next_ask = 0.0

    @property
    def asking(self) -> bool:
        """True while a question is under way: its answer may be a job that we then owe a report."""
        return self._task is not None

    def ask(self, group: asyncio.TaskGroup, remaining_s: float) -> None:
        """Ask once, unless a question is under way."""
        if self._task is None:
            self._task = group.create_task(self._ask(remaining_s), name="ask for a job")

    def arrived(self) -> list[JobReceived]:
        """What came since the last call, broken descriptions included."""
        arrived, self._arrived = self._arrived, []
        return arrived

    def abandon(self) -> None:
        """Give the question up that is under way: the pilot has no time left for its answer."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _ask(self, remaining_s: float) -> None:
        settings, site = self._parts.settings, self._parts.site
        ask = Ask(
            site_name=site.queue.panda_resource,
            label=settings.job_label,
            resource_type=settings.resource_type or site.queue.resource_type,
            memory_mb=settings.memory_mb or site.queue.limits.maxrss_mb,
            disk_mb=settings.disk_mb or self._parts.node.free_disk_mb,
            remaining_time_s=max(1, int(remaining_s)),
            node=self._parts.sender.node,
            computing_element=site.queue.name,
            scheduler_id=self._parts.sender.scheduler_id,
            harvester_id=settings.harvester_id,
            worker_id=settings.worker_id,
            timeout_s=settings.acquire_timeout_s,
        )
        answer = await self._parts.dispatcher.acquire(ask)
        kept = await self._keep(answer) if isinstance(answer, Acquired) else 0
        now = self._parts.clock.monotonic()
        match answer:
            case Acquired() if kept:
                self._note(now, dry=False, trouble=False)
                self.next_ask = now
                self._pauses = self._fresh()
            case Acquired():
                # A server that goes on like this must not be asked in a circle.
                self._note(now, dry=False, trouble=True)
                self.next_ask = now + self._pause_s(self.trouble_for_s, settings.server_patience_s)
            case NoJobs(message=message):
                self._note(now, dry=True, trouble=False)
                self.next_ask = now + self._pause_s(self.dry_for_s, settings.queue_patience_s)
                log.info("no job (%s), for %.0f s now", message, self.dry_for_s or 0.0)
            case ServerTrouble():
                self._note(now, dry=False, trouble=True)
                self.next_ask = now + self._pause_s(self.trouble_for_s, settings.server_patience_s)
                log.warning("%s; no answer of use for %.0f s now", answer.says, self.trouble_for_s or 0.0)
        self._task = None
        self._wake()

    async def _keep(self, answer: Acquired) -> int:
        """Keep every job that can be named, broken ones to be reported; how many there were."""
        queue = self._parts.site.queue.name
        self._arrived += [JobReceived(job=job, queue=queue) for job in answer.jobs]
        kept = len(answer.jobs)
        for bad in answer.bad:
            if bad.job_id is None:
                log.error("the server sent a job that cannot even be named: %s", bad.error)
                continue
            job = Job(job_id=bad.job_id, attempt_nr=await self._attempt_nr(bad.job_id, bad.attempt_nr))
            self._arrived.append(JobReceived(job=job, queue=queue, refusal=bad_description(bad)))
            kept += 1
        return kept

    async def _attempt_nr(self, job_id: int, attempt_nr: int | None) -> int:
        """The attempt of a broken job; the server is asked where it did not say, since it passes over a report
        about another attempt than the current one."""
        if attempt_nr is None:
            standings = await self._parts.dispatcher.status((job_id,))
            if not isinstance(standings, ServerTrouble):
                attempt_nr = next((one.attempt_nr for one in standings if one.job_id == job_id), None)
        return attempt_nr or 0

    def _note(self, now: float, *, dry: bool, trouble: bool) -> None:
        """Since when and for how long it has been like this."""
        self._dry_since = (now if self._dry_since is None else self._dry_since) if dry else None
        self._trouble_since = (
            (now if self._trouble_since is None else self._trouble_since) if trouble else None
        )
        self.dry_for_s = None if self._dry_since is None else now - self._dry_since
        self.trouble_for_s = None if self._trouble_since is None else now - self._trouble_since

    def _pause_s(self, lasted_s: float | None, patience_s: float) -> float:
        """The pause before the next question; the end of the patience is always used for a last one."""
        pause_s = next(self._pauses)
        left_s = patience_s - (lasted_s or 0.0)
        return min(pause_s, left_s) if left_s > 0 else pause_s

    def _fresh(self) -> Iterator[float]:
        return PAUSES.pauses(self._random)
