"""One job's watch in this pilot, from stage-in to stage-out: what breaks a limit stops the job.

Looking and judging are `watch` and `lifecycle.judging`; what a stop does to the job is `lifecycle.table`.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import msgspec

from picard_pilot.diagnosis.faults import fault
from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.limits import Defaults, limits_for
from picard_pilot.lifecycle.report import exit_usage
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.fault import Fault
from picard_pilot.model.job import Job
from picard_pilot.model.limits import Breach, Limit
from picard_pilot.model.report import UsageSummary
from picard_pilot.model.site import Queue
from picard_pilot.model.states import Phase, State
from picard_pilot.model.stop import Stop, StopKind
from picard_pilot.model.usage import CgroupSample, ToldLimit, UsageNow
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.work import JobWork
from picard_pilot.settings.settings import Settings
from picard_pilot.watch import cgroups
from picard_pilot.watch.sampler import Sampler, Subject
from picard_pilot.watch.series import Series
from picard_pilot.watch.summary import Summary
from picard_pilot.watch.watcher import Watcher

log = logging.getLogger("picard.watch")

WRITE_S = 60.0
"""How often the files in the job's directory are brought up to date, as prmon does."""

WITH_PAYLOAD = (State.RUNNING, State.STOPPING)


class Watching:
    """Watches one job until it is cancelled. `usage` and `payload_ended` may be called at any time."""

    def __init__(self, parts: Parts, work: JobWork, stop: Callable[[JobWork, Stop], None]) -> None:
        """`stop` is called with each broken limit."""
        job, clock = work.case.job, parts.clock
        self._parts, self._work, self._stop = parts, work, stop
        self._slot = cgroups.memory_group_of(os.getpid())
        self._own_group: Path | None = None
        self.limits: tuple[Limit, ...] = limits_for(job, parts.site.queue, defaults_of(parts.settings))
        self._untold = told_limits(job, parts.site.queue, parts.settings)
        outputs = [file.lfn for file in job.outputs]
        self._sampler = Sampler(work.bundle, outputs, self._subject, self.limits, clock)
        self._watcher = Watcher(
            self._sampler,
            self.limits,
            clock,
            cores=job.requirements.cores,
            summary=Summary.resume(work.bundle),
            series=Series.resume(work.bundle),
            group_before=None if self._slot is None else cgroups.read(self._slot),
        )

    async def run(self) -> None:
        """Look and judge, for as long as the job lasts."""
        for limit in self.limits:
            log.debug("job %s: limit of %s: %s", self._work.job_id, limit.measure, limit.says())
        try:
            async with asyncio.TaskGroup() as group, aclosing(self._watcher.breaches()) as breaches:
                group.create_task(self._write_now_and_then())
                async for breach in breaches:
                    log.warning("job %s: %s", self._work.job_id, breach.says())
                    self._stop(self._work, self._stop_for(breach))
        finally:
            self._sampler.close()

    def usage(self) -> UsageSummary:
        """What the payload has used so far."""
        return self._watcher.summary.usage()

    def take_now(self) -> UsageNow | None:
        """The newest look at the payload for one update; None before the first."""
        return self._watcher.take_now()

    def take_limits(self) -> tuple[ToldLimit, ...]:
        """The job's limits for one update; nobody gets them twice."""
        limits, self._untold = self._untold, ()
        return limits

    def payload_is_in(self, group: Path) -> None:
        """The payload has a control group of its own: from here on its account counts, if it counts memory."""
        if cgroups.counts_memory(group):
            self._own_group = group
            self._watcher.begin_group(CgroupSample(oom_kills=0))

    def group_ends(self, group: Path) -> None:
        """The payload is gone, and its group will be: the last account of it."""
        if group == self._own_group:
            self._watcher.take_group(cgroups.read(group))

    def payload_ended(self, ended: PayloadExit) -> tuple[Fault, ...]:
        """What the kernel's account adds to a bad end: a lack of memory. Leaves the files as they are to stay."""
        if self._slot is not None and self._own_group is None:
            self._watcher.take_group(cgroups.read(self._slot))
        self._write()
        evidence = self._watcher.kernel_evidence
        if not evidence or (ended.exit_code == 0 and ended.signal is None):
            return ()
        says = f"the kernel ended {self._watcher.kernel_kills} of the payload's processes for lack of memory"
        rule, phase = "watch.oom_kill", Phase.RUNNING
        return (fault("PAYLOADOUTOFMEMORY", says, rule=rule, evidence=evidence, phase=phase),)

    def _subject(self) -> Subject:
        work, moving = self._work, self._work.moving
        return Subject(
            phase=work.case.phase,
            launcher=work.launcher if work.case.state in WITH_PAYLOAD else None,
            cgroup=self._own_group if work.case.state in WITH_PAYLOAD else None,
            slot_cgroup=self._slot if self._own_group is None else None,
            moved_bytes=None if moving is None else moving.progress().bytes_done,
        )

    def _stop_for(self, breach: Breach) -> Stop:
        found = fault(
            breach.error,
            breach.says(),
            rule=f"limit.{breach.limit.measure.name.lower()}",
            evidence=breach.evidence,
            phase=self._work.case.phase,
        )
        return Stop(kind=StopKind.LIMIT, fault=found, grace_s=self._parts.settings.stop_grace_s)

    async def _write_now_and_then(self) -> None:
        while True:
            await self._parts.clock.sleep(WRITE_S)
            if self._work.case.state in WITH_PAYLOAD:
                self._write()

    def _write(self) -> None:
        """A full disk or a directory that the payload locked costs no more than the files."""
        try:
            self._watcher.write(self._work.bundle)
        except OSError as error:
            log.info("job %s: what it uses cannot be written down: %s", self._work.job_id, error)


def final_usage(case: Case, bundle: Bundle) -> UsageSummary:
    """What the payload used in all: as its launcher counted it, and what was seen of it by whichever pilot watched."""
    counted, seen = exit_usage(case), Summary.resume(bundle).usage()
    return msgspec.structs.replace(
        seen,
        cpu_time_s=counted.cpu_time_s,
        max_rss_kb=max(
            (each for each in (seen.max_rss_kb, counted.max_rss_kb) if each is not None), default=None
        ),
        stdout_bytes=counted.stdout_bytes,
        stderr_bytes=counted.stderr_bytes,
    )


def told_limits(job: Job, queue: Queue, settings: Settings) -> tuple[ToldLimit, ...]:
    """All limits of the job for the server's pages, that on stdout and stderr too, which the launcher watches."""
    text = msgspec.structs.replace(
        defaults_of(settings), output_text_bytes=settings.output_limit_bytes or None
    )
    return tuple(
        ToldLimit(
            measure=limit.measure.value,
            value=limit.value,
            unit=limit.unit.value,
            origin=limit.origin.value,
            detail=limit.detail,
        )
        for limit in limits_for(job, queue, text)
    )


def defaults_of(settings: Settings) -> Defaults:
    """What the settings say about limits; 0 stands for none. The launcher itself watches stdout and stderr."""
    return Defaults(
        quiet_s=settings.looping_limit_s or None,
        free_space_bytes=settings.free_space_limit_bytes or None,
        output_text_bytes=None,
    )
