"""Keeping what is known of the slot's end up to date, and telling it: the log, status.json, the payloads' warning.

Who says it is `pilot.slot_sources`; what follows from it is `lifecycle.deadline`, kept by `pilot.ends`.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from picard_pilot.lifecycle.deadline import KnownEnd, Load
from picard_pilot.model.command import ProcessId
from picard_pilot.model.states import HAS_PAYLOAD
from picard_pilot.pilot.ends import Ends
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.slot_sources import Sources
from picard_pilot.pilot.usage import payload_usage
from picard_pilot.pilot.work import JobWork

log = logging.getLogger("picard.slot")

LOOK_S = 60.0
"""How often all is read again: a site's word should be heard within a minute, a token be missed before its end."""

LOOK_WHEN_LATE_S = 5.0
"""Once payloads are warned: a job that starts its payload then should hear of it at once."""

ASK_AGAIN_S = 1800.0
"""How often the batch system's command is asked again: a site that moves the end of a job does so by hours, and the
controller answers for ten thousand pilots. It is asked once more before a payload is told that it will be stopped."""

HOLD_FIRST_QUESTION_S = 5.0
"""The first job is asked for without knowing the end if it could not be read by then; a controller that answers does
so in 50 ms."""

MOST_LOG_BYTES = 1_000_000_000
"""More does not go into a log archive."""


class Slot:
    """The slot of this pilot. `look` costs less than a millisecond and waits for nothing; the rest is a task."""

    def __init__(
        self,
        parts: Parts,
        ends: Ends,
        jobs: Callable[[], Iterable[JobWork]],
        show: Callable[[JobWork], None],
        wake: Callable[[], None],
    ) -> None:
        """`jobs` are the pilot's present ones; `show` writes a job's status.json, and `wake` lets the pilot's loop look
        again, when what counts has changed."""
        self._parts = parts
        self._ends = ends
        self._jobs = jobs
        self._show = show
        self._wake = wake
        self._said: tuple[KnownEnd, bool] | None = None
        self._stops_at: float | None = None
        self._warned: dict[int, float] = {}
        """The jobs whose payloads were told, and the moment that they were told last."""
        self.sources = Sources(parts, ends.know, self._spent_s)
        self._ask_at = parts.clock.monotonic() + ASK_AGAIN_S
        self._asked_before: KnownEnd | None = None
        """The end before whose warning the batch system was asked last."""
        self.hold_until = 0.0
        """Until when (monotonic) no job should be asked for, since the end is still being asked for."""
        if self.sources.takes_time:
            self.hold_until = parts.clock.monotonic() + HOLD_FIRST_QUESTION_S

    def start(self, group: asyncio.TaskGroup) -> "asyncio.Task[None]":
        """Say what the environment says, then look again and again. Cancel the task at the end."""
        if not self.sources.takes_time:
            self.look()
        return group.create_task(self._run(), name="keep an eye on the end of the slot")

    async def _run(self) -> None:
        try:
            await self.sources.read()
            await self.sources.ask()
            self.hold_until = 0.0
            self._wake()
            while True:
                self.look()
                await self._parts.clock.sleep(self._pause_s())
                await self.sources.read()
                if self._is_time_to_ask():
                    await self.sources.ask(again=True)
        finally:
            self.sources.close()

    def _is_time_to_ask(self) -> bool:
        """Every half hour, and once while the next look is the last one before a warning."""
        now, due = self._now(), self._ends.deadline
        late = due.warns_at - now <= LOOK_S and self._asked_before != due.known
        if self._ends.leave_by is not None or (now < self._ask_at and not late):
            return False
        self._ask_at = now + ASK_AGAIN_S
        if late:
            self._asked_before = due.known
        return True

    def _spent_s(self) -> float:
        """CPU time of the pilot, of all that it has started and that is over, and of the payloads that run."""
        running = (payload_usage(work).cpu_time_s for work in self._jobs() if work.case.state in HAS_PAYLOAD)
        return sum(os.times()[:4]) + sum(seconds or 0 for seconds in running)

    def _pause_s(self) -> float:
        left_s = self._ends.deadline.warns_at - self._parts.clock.monotonic()
        return LOOK_WHEN_LATE_S if left_s <= 0 else min(LOOK_S, left_s)

    def meet(self, work: JobWork) -> None:
        """Let a job know the end of the slot, as it is known now."""
        asked_s, left_s = work.case.job.requirements.walltime_s, self._ends.deadline.stops_at - self._now()
        if work.slot is None and asked_s is not None and asked_s > left_s:
            log.warning(
                "job %s may need %d s, and %.0f s are left: it is run as far as it comes",
                work.job_id,
                asked_s,
                left_s,
            )
        work.slot = self._ends.view()

    def _now(self) -> float:
        return self._parts.clock.monotonic()

    def look(self) -> None:
        """Compute the deadline from what is known now; tell people, status.json and payloads of it."""
        works = list(self._jobs())
        self._ends.measured(_load(works), self._parts.rates.rate(self._parts.settings.assumed_rate_bytes))
        now = self._ends.deadline
        late = self._ends.leave_by is None and self._parts.clock.monotonic() >= now.warns_at
        if self._ends.leave_by is None and self._said != (now.known, late):
            self._said = now.known, late
            log.info("%s", self._ends.says())
        changed, self._stops_at = self._stops_at != now.stops_at, now.stops_at
        if changed:
            self._wake()
        for work in works:
            self.meet(work)
            if changed:
                self._show(work)
            if late and work.case.state in HAS_PAYLOAD:
                self._warn(work, now.stops_at)
            elif self._ends.leave_by is None and work.job_id in self._warned:
                self._withdraw(work)

    def _warn(self, work: JobWork, stops_at: float) -> None:
        """Write the notice, and write it again when its moment has changed; the signal is sent once."""
        from picard_pilot.pilot import notice

        told = self._warned.get(work.job_id)
        if told is not None and abs(told - stops_at) < 1.0:
            return
        self._warned[work.job_id] = stops_at
        log.warning("job %s: its payload is told that it will be stopped: %s", work.job_id, self._ends.says())
        try:
            notice.write(work.bundle, self._ends.view(), self._parts.settings.stop_grace_s)
        except OSError as error:
            log.warning("job %s: %s could not be written: %s", work.job_id, notice.NAME, error.strerror)
        if told is None and work.launcher is not None:
            self._signal(work.job_id, work.launcher)

    def _signal(self, job_id: int, launcher: ProcessId) -> None:
        from picard_pilot.pilot import notice

        named = self._parts.settings.warning_signal or self._parts.site.queue.params.get("warning_signal")
        if named is None:
            return
        name = str(named).removeprefix("SIG")
        try:
            told = notice.signal_those_who_know(launcher, name)
        except KeyError:
            log.error("the queue's warning_signal %r is no signal", named)
            return
        log.info("job %s: SIG%s sent to %d processes that catch it", job_id, name, told)

    def _withdraw(self, work: JobWork) -> None:
        from picard_pilot.pilot import notice

        del self._warned[work.job_id]
        log.info("job %s: its payload may go on: %s", work.job_id, self._ends.says())
        try:
            notice.withdraw(work.bundle)
        except OSError as error:
            log.warning("job %s: %s could not be removed: %s", work.job_id, notice.NAME, error.strerror)


def _load(works: Iterable[JobWork]) -> Load:
    """What has to leave: the outputs that are not stored yet, and what goes into the logs."""
    files = size_bytes = logs = log_bytes = 0
    for work in works:
        case = work.case
        if case.over:
            continue
        for file in case.job.outputs:
            if file.lfn not in case.stored:
                files += 1
                size_bytes += _size(Path(work.bundle.directory, file.lfn))
        if case.job.log is not None and case.log is None:
            logs += 1
            texts = work.bundle.stdout, work.bundle.stderr, f"{work.bundle.directory}/pilotlog.txt"
            log_bytes += min(MOST_LOG_BYTES, sum(_size(Path(path)) for path in texts))
    return Load(files=files, size_bytes=size_bytes, logs=logs, log_bytes=log_bytes)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # not written yet
