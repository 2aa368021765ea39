"""Looking for jobs that others left: at a pilot's start, and again while it lives, whenever it is about to ask for one.

What is taken up is `pilot.recovery`; what then happens to a job is `pilot.supervisor`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from picard_pilot.lifecycle.recovery import Claim, Judgement
from picard_pilot.pilot import recovery
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.work import JobWork

log = logging.getLogger("picard.recovery")

LOOK_AGAIN_S = 600.0
"""A neighbour that died is noticed within so long by a pilot that has nothing else to do: well within the 2 h after
which the server gives up a silent job, and a look costs milliseconds."""

TakeUp = Callable[[JobWork, Judgement], Awaitable[None]]


class Lookout:
    """Finds left jobs for one pilot: `max_recoveries` of others' in all, and of those that it had in its hands before
    only the ones whose outputs wait for a storage."""

    def __init__(self, parts: Parts, take_up: TakeUp, wake: Callable[[], None]) -> None:
        """`take_up` does with each found job as it was judged; `wake` is called when all of a look are done with."""
        self._parts = parts
        self._take_up = take_up
        self._wake = wake
        self._had: set[Path] = set()
        self._put_down: set[Path] = set()
        self._passed_over: recovery.Reasons = {}
        self._room = parts.settings.max_recoveries
        self._next = parts.clock.monotonic() + LOOK_AGAIN_S
        self._task: asyncio.Task[None] | None = None
        self.judgements: dict[int, Judgement] = {}
        """What was judged of each job that was found, by its number."""
        self.taken = 0
        """How many were taken up that were not over."""

    @property
    def looking(self) -> bool:
        """True while the server is asked about what was found: it may become jobs of this pilot."""
        return self._task is not None

    def had(self, directory: str) -> None:
        """This job is or was the pilot's own: what it lets go of is for others."""
        self._had.add(Path(directory))

    def put_down(self, directory: str) -> None:
        """No storage took what this job of the pilot made, and it earns no break: the pilot looks after it as after
        what others left, since nobody else may come in time."""
        self._put_down.add(Path(directory))

    async def take(self, works: list[JobWork]) -> None:
        """Ask the server about these jobs, whose leases are ours, and do with each as it was judged."""
        left = list(works)
        try:
            for work, judgement in await recovery.judged(self._parts, works):
                self.judgements[work.job_id] = judgement
                if judgement.claim is not Claim.LEAVE:
                    self._count(work)
                left.remove(work)
                await self._take_up(work, judgement)
        finally:
            for work in left:  # the pilot leaves meanwhile
                recovery.let_go(self._parts, work)

    def look(self, group: asyncio.TaskGroup, now: float) -> bool:
        """Look again if it is time to; whether something was found. `now` is of the pilot's monotonic clock."""
        if not self._parts.settings.recover or self._room <= 0 or now < self._next or self.looking:
            return self.looking
        self._next = now + LOOK_AGAIN_S
        try:
            works = recovery.take_up(
                self._parts,
                [path for path in recovery.left_in(self._parts) if path not in self._had - self._put_down],
                limit=self._room,
                passed_over=self._passed_over,
                resting=True,
            )
        except OSError as error:
            log.warning("nobody can look for left jobs in %s: %s", self._parts.workdir, error)
            return False
        if works:
            self._task = group.create_task(self._take_found(works), name="take up what others left")
        return self.looking

    def _count(self, work: JobWork) -> None:
        path = Path(work.bundle.directory)
        if path not in self._had:
            self._room -= 1
            self.taken += not work.case.over
            self._had.add(path)
        self._put_down.discard(path)

    def abandon(self) -> None:
        """The pilot leaves: what was found stays where it is."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _take_found(self, works: list[JobWork]) -> None:
        try:
            await self.take(works)
        finally:
            self._task = None
            self._wake()
