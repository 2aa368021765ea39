"""Keeping what is known of the slot's end up to date: the sources, what has to leave before it, the payloads' warning.

What follows from it is `lifecycle.deadline`, kept by `pilot.ends`; reading one source is `watch.slot`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from picard_pilot.lifecycle.deadline import KnownEnd, Load
from picard_pilot.model.slot import Found, Question, SlotEnd
from picard_pilot.model.states import HAS_PAYLOAD
from picard_pilot.pilot.ends import Ends
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.work import JobWork

if TYPE_CHECKING:
    from picard_pilot.system.http import HttpClient

log = logging.getLogger("picard.slot")

LOOK_S = 60.0
"""How often all is read again: a site's word should be heard within a minute, a token be missed before its end."""

LOOK_WHEN_LATE_S = 5.0
"""Once payloads are warned: a job that starts its payload then should hear of it at once."""

ANSWER_S = 10.0
"""What a batch system's command, or features behind a URL, may take."""

HOLD_FIRST_QUESTION_S = 5.0
"""The first job is asked for without knowing the end if the batch system has not said it by then; a controller that
answers does so in 50 ms."""

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
        self._http: HttpClient | None = None
        self._said: tuple[KnownEnd, bool] | None = None
        self._stops_at: float | None = None
        self._warned: set[int] = set()
        self._began_utc = parts.clock.now_utc()
        self._questions = self._read_environment()
        self.hold_until = 0.0
        """Until when (monotonic) no job should be asked for, since the batch system is being asked for the end."""
        if self._questions:
            self.hold_until = parts.clock.monotonic() + HOLD_FIRST_QUESTION_S

    def start(self, group: asyncio.TaskGroup) -> "asyncio.Task[None]":
        """Look once, then again and again. Cancel the task at the end."""
        self.look()
        return group.create_task(self._run(), name="keep an eye on the end of the slot")

    def close(self) -> None:
        """Let go of the connection to features behind a URL."""
        if self._http is not None:
            self._http.close()

    def look(self) -> None:
        """Read what lies on this node, and judge anew."""
        if self._parts.settings.drain_file:
            from picard_pilot.watch.slot import drain

            self._ends.know("drain file", drain.look(Path(self._parts.settings.drain_file)))
        self._ends.know("credentials", self._parts.expiries(self._parts.clock.now_utc()))
        if features := self._features_here():
            self._ends.know("features", features)
        self._judge()

    def meet(self, work: JobWork) -> None:
        """Let a job know the end of the slot, as it is known now."""
        work.slot = self._ends.view()

    # Sources

    def _read_environment(self) -> list[Question]:
        """What does not change while the pilot runs; returns what has to be asked for."""
        began = self._began_utc
        queue = self._parts.site.queue
        if queue.limits.maxtime_s is not None:
            origin = queue.origins.get("limits.maxtime_s")
            told = "" if origin is None else f" ({origin.source} {origin.detail})"
            evidence = f"maxtime = {queue.limits.maxtime_s} s{told}, counted from the pilot's start"
            name = f"the maxtime of queue {queue.name}"
            self._ends.know(
                "queue",
                Found(ends=(SlotEnd(at=began + queue.limits.maxtime_s, name=name, evidence=evidence),)),
            )
        questions = []
        for number, found in enumerate(self._ask_batch_systems()):
            self._ends.know(f"batch system {number}", found)
            if found.question is not None:
                questions.append(found.question)
        return questions

    def _ask_batch_systems(self) -> list[Found]:
        """What each batch system says of which there are signs: one may run within another."""
        environ, found = self._parts.environ, []
        if environ.get("_CONDOR_JOB_AD") or environ.get("_CONDOR_MACHINE_AD"):
            from picard_pilot.watch.slot import htcondor

            found.append(htcondor.look(environ, self._session_began()))
        if environ.get("SLURM_JOB_ID"):
            from picard_pilot.watch.slot import slurm

            found.append(slurm.look(environ))
        if environ.get("PBS_JOBID"):
            from picard_pilot.watch.slot import pbs

            found.append(pbs.look(environ, self._session_began()))
        if environ.get("LSB_JOBID"):
            from picard_pilot.watch.slot import lsf

            found.append(lsf.look(environ))
        return found

    def _session_began(self) -> float:
        from picard_pilot.watch.slot.words import session_began_at

        return session_began_at() or self._began_utc

    def _features(self) -> dict[str, str]:
        environ = self._parts.environ
        if not (environ.get("MACHINEFEATURES") or environ.get("JOBFEATURES")):
            return {}
        from picard_pilot.watch.slot import features

        return features.wanted(environ)

    def _features_here(self) -> Found | None:
        """What the features in directories say; None where there are none, or where they are behind a URL."""
        wanted = self._features()
        if not wanted:
            return None
        from picard_pilot.watch.slot import features

        if any(map(features.is_url, wanted.values())):
            return None
        texts = {key: text for key, path in wanted.items() if (text := features.read_file(path)) is not None}
        return features.understand(texts, self._session_began())

    # The task

    async def _run(self) -> None:
        try:
            for number, question in enumerate(self._questions):
                self._ends.know(f"answer {number}", await self._answer(question))
            if self._questions:
                self.hold_until = 0.0
                self.look()
                self._wake()
            while True:
                await self._read_urls()
                self.look()
                await self._parts.clock.sleep(self._pause_s())
        finally:
            self.close()

    def _pause_s(self) -> float:
        left_s = self._ends.deadline.warns_at - self._parts.clock.monotonic()
        return LOOK_WHEN_LATE_S if left_s <= 0 else min(LOOK_S, left_s)

    async def _answer(self, question: Question) -> Found:
        """What the batch system's command says; nothing where it cannot be had."""
        from picard_pilot.system.run import run

        parts = self._parts
        result = await run(
            question.argv, cwd=parts.workdir, env=parts.environ, time_limit_s=ANSWER_S, grace_s=1.0
        )
        if not result.ok:
            says = (result.stderr_tail.strip() or str(result.ended_by)).splitlines()[-1]
            return Found(
                doubts=(f"the end of the slot is not known from {' '.join(question.argv)}: {says[:200]}",)
            )
        return question.read(result.stdout_tail, parts.clock.now_utc())

    async def _read_urls(self) -> None:
        wanted = self._features()
        if not wanted:
            return
        from picard_pilot.watch.slot import features

        if not any(map(features.is_url, wanted.values())):
            return
        texts = {}
        for key, address in wanted.items():
            text = await self._fetch(address) if features.is_url(address) else features.read_file(address)
            if text is not None:
                texts[key] = text
        self._ends.know("features", features.understand(texts, self._session_began()))

    async def _fetch(self, address: str) -> str | None:
        """A feature behind a URL, asked for without any credential; None where it cannot be had."""
        from picard_pilot.system.http import HttpClient, HttpError, HttpRequest

        if self._http is None:
            self._http = HttpClient(user_agent="picard-pilot", environment=self._parts.environ, threads=1)
        request = HttpRequest(method="GET", url=address, repeatable=True)
        try:
            answer = await self._http.request(request, deadline_s=ANSWER_S)
        except HttpError as error:
            log.debug("%s", error)
            return None
        return answer.body[:1000].decode("utf-8", "replace") if answer.status == 200 else None

    # What follows

    def _judge(self) -> None:
        """Compute the deadline from what is known now; tell people, status.json and payloads of it."""
        works = list(self._jobs())
        self._ends.measured(_load(works), self._parts.rates.rate(self._parts.settings.assumed_rate_bytes))
        now = self._ends.deadline
        late = self._ends.leave_by is None and self._parts.clock.monotonic() >= now.warns_at
        if self._said != (now.known, late):
            self._said = now.known, late
            log.info("%s", self._ends.says())
        changed, self._stops_at = self._stops_at != now.stops_at, now.stops_at
        if changed:
            self._wake()
        for work in works:
            self.meet(work)
            if changed:
                self._show(work)
            if late and work.case.state in HAS_PAYLOAD and work.job_id not in self._warned:
                self._warn(work)
            elif not late and self._ends.leave_by is None and work.job_id in self._warned:
                self._withdraw(work)

    def _warn(self, work: JobWork) -> None:
        from picard_pilot.pilot import notice

        slot = self._ends.view()
        self._warned.add(work.job_id)
        log.warning("job %s: its payload is told that it will be stopped: %s", work.job_id, self._ends.says())
        try:
            notice.write(work.bundle, slot, self._parts.settings.stop_grace_s)
        except OSError as error:
            log.warning("job %s: %s could not be written: %s", work.job_id, notice.NAME, error.strerror)
        named = self._parts.settings.warning_signal or self._parts.site.queue.params.get("warning_signal")
        if named is None or work.launcher is None:
            return
        name = str(named).removeprefix("SIG")
        try:
            told = notice.signal_those_who_know(work.launcher, name)
        except KeyError:
            log.error("the queue's warning_signal %r is no signal", named)
            return
        log.info("job %s: SIG%s sent to %d processes that catch it", work.job_id, name, told)

    def _withdraw(self, work: JobWork) -> None:
        from picard_pilot.pilot import notice

        self._warned.discard(work.job_id)
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
