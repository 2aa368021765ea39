"""The pilot's loop: one event at a time is written to its job's journal, then its instructions are performed.

What to do is decided by `lifecycle`; how each thing is done is `pilot.perform`; this is the only place where
the two meet.
"""

import asyncio
import logging
import signal
from collections import deque
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from picard_pilot.journal.file import JournalFull
from picard_pilot.lifecycle.pilot import Ask, Leave, Leaving, Situation, WaitUntil, decide
from picard_pilot.lifecycle.table import NoSuchTransition, entry
from picard_pilot.model import events as ev
from picard_pilot.model import instructions as do
from picard_pilot.model.states import State
from picard_pilot.model.stop import Stop, StopKind
from picard_pilot.pilot import signals
from picard_pilot.pilot.acquire import Acquirer
from picard_pilot.pilot.exits import exit_for
from picard_pilot.pilot.faults import disk_full_fault, lifetime_fault, server_kill
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.status import note_job_id, progress, waiting, write_pilot_heartbeat, write_status
from picard_pilot.pilot.teller import Tellers
from picard_pilot.pilot.waiting import first_of
from picard_pilot.pilot.work import JobWork
from picard_pilot.system.log import about, lines_about

if TYPE_CHECKING:
    from picard_pilot.pilot.perform import Performer

log = logging.getLogger("picard.pilot")

JOBS_AT_ONCE = 1
"""Jobs that run beside each other in one pilot. The machine and the journal hold any number."""

JOB_LOG = "pilotlog.txt"
"""The pilot's lines about one job, in its own directory: what goes into its log archive."""

BEAT_S = 60.0
"""How often pilot_heartbeat.json is replaced and leases are renewed: Harvester takes a gap of ten minutes for a
suspended node, another host two hours for a pilot that is gone."""

BEATS_PER_LINE = 10
"""A line in the log every ten minutes: the batch wrapper ends a pilot whose log does not grow for an hour."""

SHOW_S = 1.0
"""How often status.json follows single files; it is written as a whole, and a job may have thousands of inputs."""

HAS_PAYLOAD = frozenset({State.LAUNCHING, State.RUNNING, State.STOPPING})
"""States in which a signal to the pilot has to leave a payload its grace."""

LAST_WORD_S = 1.0
"""How long a leaving pilot waits for updates that are under way (`holding`); its exit follows within 2 s."""


class Supervisor:
    """Runs one pilot from its first question to the server to its exit code."""

    def __init__(self, parts: Parts) -> None:
        """`parts` is all that the pilot is made of; see `pilot.wiring`."""
        self._parts = parts
        self._clock = parts.clock
        self._inbox: deque[tuple[JobWork, int, ev.Event]] = deque()
        self._arrival = asyncio.Event()
        self._works: list[JobWork] = []
        self._tellers = Tellers(parts, self._obey)
        self._acquirer = Acquirer(parts, self._wake)
        self._ends_at = self._clock.monotonic() + parts.settings.lifetime_s
        self._jobs_taken = 0
        self._draining: Leaving | None = None
        self._signal: signal.Signals | None = None
        self._lifetime_stopped_a_job = False
        self._leave_by: float | None = None

    @cached_property
    def _performer(self) -> "Performer":
        """Made when there is a job, since it brings the rooms along that only a job needs: 10 ms of a start."""
        from picard_pilot.pilot.perform import Performer

        hands = (self._post, self._take, self._plugin_failed)
        return Performer(self._parts, self._tellers, *hands, self._ends_at)

    async def run(self, left: list[JobWork]) -> int:
        """Take up the jobs that were `left`, then ask, run and report until there is a reason to leave.

        Returns the exit code. Whatever is not finished by then waits on disk for a later pilot.
        """
        signals.install(self._on_signal)
        taken_up = sum(not work.case.over for work in left)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._tellers.start(group)
                beat = group.create_task(self._beat(), name="show that the pilot lives")
                for work in left:
                    self._adopt(work)
                    self._handle(work, ev.Resumed(pilot=self._parts.owner.pilot))
                    self._stop_if_leaving(work)
                    if (stop := await self._performer.too_often(work)) is not None:
                        self._handle(work, ev.StopRequested(stop=stop))
                why = await self._loop()
                log.info("leaving: %s", self._signal.name + " received" if self._signal else why.value)
                beat.cancel()
                await self._tellers.close(LAST_WORD_S)
                for work in self._works:
                    self._let_go(work)
        finally:
            signals.remove()
        if self._signal is not None:
            return signals.EXIT_BASE + self._signal
        return exit_for(why, self._jobs_taken + taken_up, self._lifetime_stopped_a_job)

    async def _loop(self) -> Leaving:
        while True:
            # Deadlines are judged at one moment: one that passes below is no news to be waited for in vain.
            now = self._clock.monotonic()
            self._arrival.clear()
            while self._inbox:
                self._take(*self._inbox.popleft())
            for job in self._acquirer.arrived():
                self._receive(job)
            self._sweep()
            self._check_lifetime(now)
            self._check_leave_by(now)
            move = decide(self._situation(now))
            match move:
                case Leave(why):
                    return why
                case Ask():
                    self._acquirer.ask(self._group, self._ends_at - now)
                    await self._wait(now, None)
                case WaitUntil(when):
                    await self._wait(now, when)

    def _situation(self, now: float) -> Situation:
        lifetime = self._parts.settings.lifetime_s
        return Situation(
            now=now,
            lifetime_ends=self._ends_at,
            closing_reserve_s=min(self._parts.settings.report_grace_s, lifetime / 10),
            jobs_taken=self._jobs_taken,
            jobs_limit=self._parts.settings.jobs,
            jobs_active=len(self._active()) + self._acquirer.asking,
            jobs_at_once=JOBS_AT_ONCE,
            jobs_waiting=len(self._waiting()),
            draining=self._draining,
            dry_for_s=self._acquirer.dry_for_s,
            trouble_for_s=self._acquirer.trouble_for_s,
            next_ask=self._acquirer.next_ask,
            queue_patience_s=self._parts.settings.queue_patience_s,
            server_patience_s=self._parts.settings.server_patience_s,
        )

    def _active(self) -> list[JobWork]:
        """The jobs that this pilot still has something to do for."""
        return [work for work in self._works if work.case.state is not State.HOLDING and work.tasks]

    def _waiting(self) -> list[JobWork]:
        """The jobs whose outputs wait for a storage and for this pilot; none when it has to leave."""
        held = (work for work in self._works if work.case.state is State.HOLDING and work.tasks)
        return [] if self._leave_by is not None else list(held)

    def _unfinished(self) -> list[JobWork]:
        """The jobs that are neither over nor on hold; of some the next event may wait in the inbox alone."""
        return [work for work in self._works if not (work.case.over or work.case.state is State.HOLDING)]

    async def _wait(self, judged_at: float, until: float | None) -> None:
        """Until something arrives, or `until` on the monotonic clock, or the next deadline of the pilot itself.

        A deadline that had passed when all was judged was dealt with: it is no reason to look again at once.
        """
        ends = [end for end in (self._ends_at, self._leave_by, until) if end is not None and end > judged_at]
        pauses_s = [end - self._clock.monotonic() for end in sorted(ends)[:1]]
        await first_of(self._arrival.wait(), *map(self._clock.sleep, pauses_s))

    async def _beat(self) -> None:
        """Show that the pilot lives: a small file and the jobs' leases often, a line in the log now and then."""
        beats = 0
        while True:
            write_pilot_heartbeat(self._parts.workdir, self._tellers.last_server_update)
            await self._clock.sleep(BEAT_S)
            for work in [*self._unfinished(), *self._waiting()]:
                if not self._performer.renew(work):
                    self._let_go(work)
                    self._works.remove(work)
                    self._wake()
            beats += 1
            if beats % BEATS_PER_LINE == 0:
                for work in self._active():
                    log.info("job %s: %s", work.job_id, waiting(work.case, self._clock.now_utc()))

    # Jobs

    def _receive(self, arrived: ev.JobReceived) -> None:
        """A job that the server gave us: from here on we owe it a report."""
        job = arrived.job
        if any(work.job_id == job.job_id for work in self._works):
            log.error("the server gave us job %s although we have it already; passed over", job.job_id)
            return
        self._jobs_taken += 1
        log.info("job %s attempt %s received", job.job_id, job.attempt_nr)
        work = self._performer.open(arrived)
        self._draining = self._draining or work.unhoused
        self._adopt(work)
        self._show(work)
        note_job_id(self._parts.workdir, job.job_id)
        self._perform(work, entry(work.case))
        self._stop_if_leaving(work)

    def _adopt(self, work: JobWork) -> None:
        """From here on the job is this pilot's: its log and its updates begin."""
        self._works.append(work)
        if not work.case.over:
            self._tellers.add(work)
        try:
            work.end_log = self._parts.log.follow_job(work.job_id, Path(work.bundle.directory, JOB_LOG))
        except OSError as error:
            log.warning("job %s has no %s of its own: %s", work.job_id, JOB_LOG, error.strerror)

    def _post(self, work: JobWork, generation: int, event: ev.Event) -> None:
        """Called by tasks: `event` happened to the job while `generation` was current."""
        self._inbox.append((work, generation, event))
        self._wake()

    def _wake(self) -> None:
        """Let the loop look again: something has changed."""
        self._arrival.set()

    def _take(self, work: JobWork, generation: int, event: ev.Event) -> None:
        if generation == work.generation:
            self._handle(work, event)

    def _handle(self, work: JobWork, event: ev.Event) -> None:
        """Journal the event, move the case, perform what follows."""
        with lines_about(work.job_id, work.case.phase):
            self._move(work, event)

    def _move(self, work: JobWork, event: ev.Event) -> None:
        before = work.case
        was_full = work.disk_full
        try:
            then = work.record(event)
        except NoSuchTransition as error:
            log.error("%s; passed over", error)
            return
        except JournalFull as error:
            log.critical("the journal %s cannot be written, the disk is full; the job waits on disk", error)
            self._draining = self._draining or Leaving.NO_SPACE
            work.cancel_all()
            return
        except OSError as error:
            log.critical(
                "the journal of job %s cannot be written: %s; the job waits on disk", work.job_id, error
            )
            self._draining = self._draining or Leaving.NO_DIRECTORY
            work.cancel_all()
            return
        if work.case.phase is not before.phase:
            log.info("job %s: %s", work.job_id, progress(work.case, before.phase))
        if work.case.state is not before.state or self._clock.monotonic() >= work.shown_at + SHOW_S:
            self._show(work)
        self._perform(work, then)
        if work.disk_full and not was_full and not work.case.over:
            stop = Stop(
                kind=StopKind.LIMIT,
                fault=disk_full_fault(work.bundle),
                grace_s=self._parts.settings.stop_grace_s,
            )
            self._handle(work, ev.StopRequested(stop=stop))

    def _show(self, work: JobWork) -> None:
        work.shown_at = self._clock.monotonic()
        write_status(work.case, work.bundle, self._parts.owner.pilot, work.progress)

    def _perform(self, work: JobWork, instructions: tuple[do.Instruction, ...]) -> None:
        for instruction in instructions:
            match instruction:
                case do.Tell():
                    self._tellers.tell(work)
                case do.CancelWork():
                    work.cancel()
                case _:
                    self._start(work, instruction)

    def _start(self, work: JobWork, instruction: do.Instruction) -> None:
        kind = type(instruction)
        if (running := work.tasks.get(kind)) is not None:
            running.cancel()
        generation = work.generation

        async def perform() -> None:
            about(work.job_id, work.case.phase)
            event = await self._performer.perform(work, generation, instruction)
            if work.tasks.get(kind) is task:
                del work.tasks[kind]
            if event is not None:
                self._post(work, generation, event)
            self._wake()

        task = self._group.create_task(perform(), name=f"{kind.__name__} {work.job_id}")
        work.tasks[kind] = task

    def _sweep(self) -> None:
        """Let go of the jobs that are over, or that wait on disk for a later pilot."""
        for work in [work for work in self._works if not work.tasks]:
            if work.case.over or work.case.state is State.HOLDING:
                self._let_go(work)
                self._works.remove(work)

    def _let_go(self, work: JobWork) -> None:
        self._tellers.drop(work)
        work.cancel_all()
        work.end_log()
        self._performer.release(work)

    # Ends

    def _obey(self, work: JobWork, commands: tuple[str, ...]) -> None:
        """The server's commands on the back channel, split at their commas."""
        for command in commands:
            match command:
                case "tobekilled" | "alreadydone" | "badattemptnr":
                    stop = server_kill(command, self._parts.settings.stop_grace_s)
                    self._handle(work, ev.StopRequested(stop=stop))
                case "softkill":
                    log.info("softkill for job %s: it may end, and no further job is taken", work.job_id)
                    self._draining = self._draining or Leaving.DRAINING
                    self._wake()
                case "debug" | "debugoff":
                    wordy = command == "debug" or self._parts.settings.debug
                    logging.getLogger("picard").setLevel(logging.DEBUG if wordy else logging.INFO)
                case _:
                    log.info(
                        "the command %r for job %s is not known here; ignored", command[:80], work.job_id
                    )

    def _plugin_failed(self) -> None:
        """A plug-in that misbehaved once is given no further job."""
        self._draining = self._draining or Leaving.PLUGIN

    def _on_signal(self, number: signal.Signals) -> None:
        """The slot is ending: stop payloads, keep results, tell the server, leave. A second signal shortens it."""
        again = self._signal is not None
        settings = self._parts.settings
        grace_s = 0.0 if again else settings.stop_grace_s
        log.warning("%s received%s", number.name, " again: leaving now" if again else ": stopping")
        self._signal = self._signal or number
        self._draining = self._draining or Leaving.DRAINING
        running = any(work.case.state in HAS_PAYLOAD for work in self._works)
        patience_s = LAST_WORD_S if again else settings.report_grace_s + (grace_s if running else 0.0)
        leave_by = self._clock.monotonic() + patience_s
        self._leave_by = leave_by if self._leave_by is None else min(self._leave_by, leave_by)
        for work in self._unfinished():
            self._handle(work, ev.StopRequested(stop=signals.stop_for(number, grace_s)))
        self._wake()

    def _stop_if_leaving(self, work: JobWork) -> None:
        """A job that comes when the others were told to stop already."""
        if self._signal is not None:
            self._handle(work, ev.StopRequested(stop=signals.stop_for(self._signal, 0.0)))
        elif self._leave_by is not None:
            self._handle(work, ev.StopRequested(stop=self._lifetime_stop()))

    def _check_lifetime(self, now: float) -> None:
        """At the end of the pilot's own lifetime its payloads are stopped, and what is then left waits on disk."""
        if self._leave_by is not None or now < self._ends_at:
            return
        settings = self._parts.settings
        log.warning("the pilot's lifetime of %g s is over", settings.lifetime_s)
        self._leave_by = now + settings.stop_grace_s + settings.report_grace_s
        self._draining = self._draining or Leaving.LIFETIME
        for work in self._unfinished():
            self._handle(work, ev.StopRequested(stop=self._lifetime_stop()))

    def _lifetime_stop(self) -> Stop:
        self._lifetime_stopped_a_job = True
        settings = self._parts.settings
        return Stop(
            kind=StopKind.LIFETIME,
            fault=lifetime_fault(settings.lifetime_s),
            grace_s=settings.stop_grace_s,
        )

    def _check_leave_by(self, now: float) -> None:
        if self._leave_by is None or now < self._leave_by:
            return
        self._acquirer.abandon()
        for work in self._active():
            log.warning("job %s is not done; it waits on disk for a later pilot", work.job_id)
            if work.case.over:
                work.cancel_all()
                continue
            self._handle(work, ev.Suspended(reason="the pilot had to leave before the job was done"))
            if work.case.state is State.HOLDING:
                work.cancel_all()
