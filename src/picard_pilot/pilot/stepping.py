"""One step of a job: its event is written to the journal, the case moves, and what follows is begun as tasks.

What to do is decided by `lifecycle`; how each thing is done is `pilot.perform`; this is the only place where
the two meet.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from picard_pilot.journal.file import JournalFull, JournalTaken
from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.pilot import Leaving
from picard_pilot.lifecycle.table import NoSuchTransition
from picard_pilot.model import events as ev
from picard_pilot.model import instructions as do
from picard_pilot.model.states import State
from picard_pilot.model.stop import Stop, StopKind
from picard_pilot.pilot.ends import Until
from picard_pilot.pilot.faults import disk_full_fault
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.status import progress, write_status
from picard_pilot.pilot.teller import Tellers
from picard_pilot.pilot.work import JobWork
from picard_pilot.system.log import about, lines_about

if TYPE_CHECKING:
    from picard_pilot.pilot.costs import SlotCosts
    from picard_pilot.pilot.perform import Performer

log = logging.getLogger("picard.pilot")

SHOW_S = 1.0
"""How often status.json follows single files; it is written as a whole, and a job may have thousands of inputs."""


WATCHED = (do.StageIn, do.Launch, do.Watch, do.StageOut)
"""What a job does while its limits hold."""

UNWATCHED = frozenset({State.CLOSING, State.FINISHED, State.FAILED, State.HOLDING})


class Stepper:
    """Takes events of jobs, its own tasks' among them, one at a time."""

    def __init__(
        self, parts: Parts, tellers: Tellers, drain: Callable[[Leaving], None], until: Callable[[], Until]
    ) -> None:
        """`drain` is called where no further job should be taken; `until` tells how much time there is."""
        self._parts = parts
        self._tellers = tellers
        self._drain = drain
        self._until = until
        self._inbox: deque[tuple[JobWork, int, ev.Event]] = deque()
        self.arrival = asyncio.Event()
        """Set when something has changed that the pilot's loop should look at."""

    @cached_property
    def performer(self) -> "Performer":
        """Made when there is a job, since it brings the rooms along that only a job needs: 10 ms of a start."""
        from picard_pilot.pilot.perform import Performer

        # A plug-in that misbehaved once is given no further job.
        hands = (self.post, self._take, lambda: self._drain(Leaving.PLUGIN))
        return Performer(self._parts, self._tellers, *hands, self._until)

    @cached_property
    def costs(self) -> "SlotCosts":
        """What the slot is spent on; made with the first job, or at the end."""
        from picard_pilot.pilot.costs import SlotCosts

        return SlotCosts(self._parts)

    def start(self, group: asyncio.TaskGroup) -> None:
        """From here on, what follows from an event can be begun."""
        self._group = group

    def wake(self) -> None:
        """Let the loop look again: something has changed."""
        self.arrival.set()

    def post(self, work: JobWork, generation: int, event: ev.Event) -> None:
        """Called by tasks: `event` happened to the job while `generation` was current."""
        self._inbox.append((work, generation, event))
        self.wake()

    def take_posted(self) -> None:
        """Handle what the tasks have posted until now."""
        while self._inbox:
            self._take(*self._inbox.popleft())

    def handle(self, work: JobWork, event: ev.Event) -> None:
        """Journal the event, move the case, begin what follows."""
        with lines_about(work.job_id, work.case.phase):
            self._step(work, event)

    def begin(self, work: JobWork, instructions: tuple[do.Instruction, ...]) -> None:
        """Begin what is to be done; the end of each comes back as an event."""
        for instruction in instructions:
            match instruction:
                case do.Tell():
                    self._tellers.tell(work)
                case do.CancelWork():
                    work.cancel()
                case _:
                    self._start(work, instruction)
                    if isinstance(instruction, WATCHED):
                        self._watch(work)

    def _watch(self, work: JobWork) -> None:
        """From here on the job's limits hold; a broken one stops it."""
        if work.watch is not None:
            return
        from picard_pilot.pilot.watching import Watching  # with a job only, as the performer

        work.watching = Watching(self._parts, work, self._stop)
        work.watch = self._group.create_task(work.watching.run(), name=f"watch {work.job_id}")

    def _stop(self, work: JobWork, stop: Stop) -> None:
        self.handle(work, ev.StopRequested(stop=stop))
        self.wake()

    def show(self, work: JobWork) -> None:
        """Write status.json."""
        work.shown_at = self._parts.clock.monotonic()
        confined = self._parts.ways.view(work.confined)
        write_status(work.case, work.bundle, self._parts.owner.pilot, work.progress, work.slot, confined)

    def _take(self, work: JobWork, generation: int, event: ev.Event) -> None:
        if generation == work.generation:
            self.handle(work, event)

    def _step(self, work: JobWork, event: ev.Event) -> None:
        before, was_full = work.case, work.disk_full
        then = self._record(work, event)
        if then is None:
            return
        self._tell_people(work, before)
        if work.case.state in UNWATCHED:
            work.unwatch()
        self.begin(work, then)
        if work.disk_full and not was_full and not work.case.over:
            stop = Stop(
                kind=StopKind.LIMIT,
                fault=disk_full_fault(work.bundle),
                grace_s=self._parts.settings.stop_grace_s,
            )
            self.handle(work, ev.StopRequested(stop=stop))

    def _record(self, work: JobWork, event: ev.Event) -> tuple[do.Instruction, ...] | None:
        """What follows from the event; None where it cannot happen now, or could not be written."""
        try:
            return work.record(event)
        except NoSuchTransition as error:
            log.error("%s; passed over", error)
            return None
        except JournalFull as error:
            log.critical("the journal %s cannot be written, the disk is full; the job waits on disk", error)
            self._drain(Leaving.NO_SPACE)
        except JournalTaken as error:
            log.critical("job %s is let go of: %s", work.job_id, error.strerror)
            self._tellers.drop(work)
        except OSError as error:
            log.critical(
                "the journal of job %s cannot be written: %s; the job waits on disk", work.job_id, error
            )
            self._drain(Leaving.NO_DIRECTORY)
        work.cancel_all()
        self.wake()  # it may have been a task that recorded it, and nothing more will come from that
        return None

    def _tell_people(self, work: JobWork, before: Case) -> None:
        """A line of the log for each phase, and status.json for each state, or for files now and then."""
        case = work.case
        if case.phase is not before.phase:
            self.costs.moved(work)
            log.info("job %s: %s", work.job_id, progress(case, before.phase))
        if case.state is not before.state or self._parts.clock.monotonic() >= work.shown_at + SHOW_S:
            self.show(work)

    def _start(self, work: JobWork, instruction: do.Instruction) -> None:
        kind = type(instruction)
        if (running := work.tasks.get(kind)) is not None:
            running.cancel()
        generation = work.generation

        async def perform() -> None:
            about(work.job_id, work.case.phase)
            event = await self.performer.perform(work, generation, instruction)
            if work.tasks.get(kind) is task:
                del work.tasks[kind]
            if event is not None:
                self.post(work, generation, event)
            self.wake()

        task = self._group.create_task(perform(), name=f"{kind.__name__} {work.job_id}")
        work.tasks[kind] = task
