"""The pilot's loop: it looks at what has arrived, asks for jobs while it may, and leaves when it must.

What follows from a job's event is `pilot.stepping`; when to ask and when to leave is decided by `lifecycle.pilot`.
"""

import asyncio
import logging
import signal
from typing import TYPE_CHECKING

from picard_pilot.lifecycle.pilot import Ask, Leave, Leaving, Situation, WaitUntil, decide
from picard_pilot.lifecycle.recovery import Claim, Judgement
from picard_pilot.lifecycle.table import entry
from picard_pilot.model import events as ev
from picard_pilot.model.states import State
from picard_pilot.pilot import recovery, signals
from picard_pilot.pilot.acquire import Acquirer
from picard_pilot.pilot.ends import LAST_WORD_S, Ends
from picard_pilot.pilot.exits import exit_for
from picard_pilot.pilot.faults import disowned, server_kill
from picard_pilot.pilot.jobs import Jobs
from picard_pilot.pilot.lookout import Lookout
from picard_pilot.pilot.opening import open_job
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.slot import Slot
from picard_pilot.pilot.status import note_job_id, waiting, write_pilot_heartbeat
from picard_pilot.pilot.stepping import Stepper
from picard_pilot.pilot.teller import Tellers
from picard_pilot.pilot.waiting import first_of
from picard_pilot.pilot.ways import NodeWays
from picard_pilot.pilot.work import JobWork

if TYPE_CHECKING:
    from picard_pilot.pilot.costs import SlotCosts

log = logging.getLogger("picard.pilot")

JOBS_AT_ONCE = 1
"""Jobs that run beside each other in one pilot. The machine and the journal hold any number."""

BEAT_S = 60.0
"""How often pilot_heartbeat.json is replaced and leases are renewed: Harvester takes a gap of ten minutes for a
suspended node, another host half an hour for a pilot that is gone (`journal.lease`)."""

BEATS_PER_LINE = 10
"""A line in the log every ten minutes: the batch wrapper ends a pilot whose log does not grow for an hour."""


class Supervisor:
    """Runs one pilot from its first question to the server to its exit code."""

    def __init__(self, parts: Parts) -> None:
        """`parts` is all that the pilot is made of; see `pilot.wiring`."""
        self._parts = parts
        self._clock = parts.clock
        self._ends = Ends(parts.settings, parts.clock)
        self._tellers = Tellers(parts, self._obey)
        self._stepper = Stepper(parts, self._tellers, self._ends.drain, self._ends.until)
        self._jobs = Jobs(parts, self._tellers, self._stepper)
        self._acquirer = Acquirer(parts, self._stepper.wake)
        self._slot = Slot(parts, self._ends, self._jobs.unfinished, self._stepper.show, self._stepper.wake)
        self.lookout = Lookout(parts, self._take_up, self._stepper.wake)
        self._jobs_taken = 0
        self._ways: asyncio.Task[NodeWays] | None = None

    @property
    def costs(self) -> "SlotCosts":
        """What the slot was spent on."""
        return self._stepper.costs

    async def run(self, left: list[JobWork], *, only_left: bool = False) -> int:
        """Take up the jobs that were `left`, then ask, run and report until there is a reason to leave.

        With `only_left` no other job is asked for. Returns the exit code. Whatever is not finished then waits on disk
        for a later pilot.
        """
        signals.install(self._on_signal)
        if only_left:
            self._ends.drain(Leaving.ONLY_LEFT)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._tellers.start(group)
                self._stepper.start(group)
                beat = group.create_task(self._beat(), name="show that the pilot lives")
                slot = self._slot.start(group)
                await self.lookout.take(left)
                why = await self._loop()
                log.info(
                    "leaving: %s", self._ends.signal.name + " received" if self._ends.signal else why.value
                )
                beat.cancel()
                slot.cancel()
                if self._ways is not None:
                    self._ways.cancel()
                await self._tellers.close(LAST_WORD_S)
                self._jobs.let_go_of_all()
        finally:
            signals.remove()
        if self._ends.signal is not None:
            return signals.EXIT_BASE + self._ends.signal
        return exit_for(why, self._jobs_taken + self.lookout.taken, self._ends.stopped_with)

    async def _loop(self) -> Leaving:
        while True:
            # Deadlines are judged at one moment: one that passes below is no news to be waited for in vain.
            now = self._clock.monotonic()
            self._stepper.arrival.clear()
            self._stepper.take_posted()
            for job in self._acquirer.arrived():
                self._receive(job)
            for work in self._jobs.sweep():
                if work.case.waiting:
                    self.lookout.put_down(work.bundle.directory)
            self._check_ends(now)
            move = decide(self._situation(now))
            match move:
                case Leave(why):
                    return why
                case Ask():
                    if not self.lookout.look(self._group, now):
                        self._acquirer.ask(self._group, self._ends.deadline.stops_at - now)
                    self._try_ways()
                    await self._wait(now, None)
                case WaitUntil(when):
                    await self._wait(now, when)

    def _try_ways(self) -> None:
        """Find out how payloads can be confined here, while the server looks for the first job."""
        if self._ways is None:
            self._ways = self._group.create_task(self._parts.ways.known(), name="try ways to confine")

    def _situation(self, now: float) -> Situation:
        return Situation(
            now=now,
            no_job_after=self._ends.deadline.no_job_after,
            jobs_taken=self._jobs_taken,
            jobs_limit=self._parts.settings.jobs,
            jobs_active=len(self._jobs.active()) + self._acquirer.asking + self.lookout.looking,
            jobs_at_once=JOBS_AT_ONCE,
            jobs_waiting=len(self._waiting()),
            draining=self._ends.draining,
            dry_for_s=self._acquirer.dry_for_s,
            trouble_for_s=self._acquirer.trouble_for_s,
            next_ask=max(self._acquirer.next_ask, self._slot.hold_until),
            queue_patience_s=self._parts.settings.queue_patience_s,
            server_patience_s=self._parts.settings.server_patience_s,
        )

    def _waiting(self) -> list[JobWork]:
        """The jobs that wait for this pilot to try their outputs again; none when it has to leave."""
        return [] if self._ends.leave_by is not None else self._jobs.waiting()

    async def _wait(self, judged_at: float, until: float | None) -> None:
        """Until something arrives, or `until` on the monotonic clock, or the next deadline of the pilot itself.

        A deadline that had passed when all was judged was dealt with: it is no reason to look again at once.
        """
        deadlines = (self._ends.deadline.stops_at, self._ends.leave_by, until)
        ends = [end for end in deadlines if end is not None and end > judged_at]
        pauses_s = [end - self._clock.monotonic() for end in sorted(ends)[:1]]
        await first_of(self._stepper.arrival.wait(), *map(self._clock.sleep, pauses_s))

    async def _beat(self) -> None:
        """Show that the pilot lives: a small file and the jobs' leases often, a line in the log now and then."""
        beats = 0
        while True:
            write_pilot_heartbeat(self._parts.workdir, self._tellers.last_server_update)
            await self._clock.sleep(BEAT_S)
            self._jobs.renew([*self._jobs.unfinished(), *self._waiting()])
            beats += 1
            if beats % BEATS_PER_LINE == 0:
                for work in self._jobs.active():
                    log.info("job %s: %s", work.job_id, waiting(work.case, self._parts.job_time()))

    # Jobs come

    async def _take_up(self, work: JobWork, judgement: Judgement) -> None:
        """A job that an earlier pilot left: go on with it, leave it to a later one, or be rid of it."""
        me = self._parts.owner.pilot
        match judgement.claim:
            case Claim.LEAVE:
                recovery.let_go(self._parts, work)
                return
            case Claim.DISOWN:
                self._jobs.adopt(work, silently=True)
                self._stepper.handle(
                    work, ev.Resumed(pilot=me, stop=disowned(judgement.why), seen_alive_at=work.last_sign_at)
                )
                return
        self._slot.meet(work)
        self._jobs.adopt(work)
        self._stepper.handle(work, ev.Resumed(pilot=me, seen_alive_at=work.last_sign_at))
        self._stop_if_leaving(work)
        if (stop := await self._stepper.performer.too_often(work)) is not None:
            self._stepper.handle(work, ev.StopRequested(stop=stop))

    def _receive(self, arrived: ev.JobReceived) -> None:
        """A job that the server gave us: from here on we owe it a report."""
        job = arrived.job
        if any(work.job_id == job.job_id for work in self._jobs):
            log.error("the server gave us job %s although we have it already; passed over", job.job_id)
            return
        self._jobs_taken += 1
        log.info("job %s attempt %s received", job.job_id, job.attempt_nr)
        work = open_job(self._parts, arrived)
        self.lookout.had(work.bundle.directory)
        if work.unhoused is not None:
            self._ends.drain(work.unhoused)
        self._slot.meet(work)
        self._jobs.adopt(work)
        self._stepper.show(work)
        note_job_id(self._parts.workdir, job.job_id)
        self._stepper.begin(work, entry(work.case))
        self._stop_if_leaving(work)

    def _stop_if_leaving(self, work: JobWork) -> None:
        """A job that comes when the others were told to stop already."""
        if (stop := self._ends.stop_for_newcomer()) is not None:
            self._stepper.handle(work, ev.StopRequested(stop=stop))

    # Ends

    def _obey(self, work: JobWork, commands: tuple[str, ...]) -> None:
        """The server's commands on the back channel, split at their commas."""
        for command in commands:
            match command:
                case "tobekilled" | "alreadydone" | "badattemptnr":
                    stop = server_kill(command, self._parts.settings.stop_grace_s)
                    self._stepper.handle(work, ev.StopRequested(stop=stop))
                case "softkill":
                    log.info("softkill for job %s: it may end, and no further job is taken", work.job_id)
                    self._ends.drain(Leaving.DRAINING)
                    self._stepper.wake()
                case "debug" | "debugoff":
                    wordy = command == "debug" or self._parts.settings.debug
                    logging.getLogger("picard").setLevel(logging.DEBUG if wordy else logging.INFO)
                case _:
                    log.info(
                        "the command %r for job %s is not known here; ignored", command[:80], work.job_id
                    )

    def _on_signal(self, number: signal.Signals) -> None:
        """The slot is ending: stop payloads, keep results, tell the server, leave."""
        stop = self._ends.signalled(number, with_payload=self._jobs.has_payload())
        for work in self._jobs.unfinished():
            self._slot.meet(work)
            self._stepper.handle(work, ev.StopRequested(stop=stop))
        self._stepper.wake()

    def _check_ends(self, now: float) -> None:
        """At the end of the slot payloads are stopped, and what cannot leave before it waits on disk."""
        if self._ends.slot_is_over(now):
            for work in self._jobs.unfinished():
                self._stepper.handle(work, ev.StopRequested(stop=self._ends.slot_stop()))
        if self._ends.must_leave(now):
            self._acquirer.abandon()
            self.lookout.abandon()
            self._suspend_jobs()

    def _suspend_jobs(self) -> None:
        for work in self._jobs.active():
            log.warning("job %s is not done; it waits on disk for a later pilot", work.job_id)
            if work.case.over:
                work.cancel_all()
                continue
            where = recovery.place_of(self._parts, work)
            why = "the pilot had to leave before the job was done"
            self._stepper.handle(work, ev.Suspended(reason=why, where=where))
            if work.case.state is State.HOLDING:
                work.cancel_all()
