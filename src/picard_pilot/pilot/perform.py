"""Performing instructions: each one calls the rooms that can do it and ends in the event that tells how it went.

What follows from the event is decided in `lifecycle`. Every method may be called again after a crash.
"""

import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import msgspec

from picard_pilot.experiments.base import Experiment
from picard_pilot.experiments.environment import payload_environment
from picard_pilot.experiments.hooks import HookFailed, call_hook
from picard_pilot.journal import file as journal_file
from picard_pilot.journal import lease
from picard_pilot.journal.memory import MemoryJournal
from picard_pilot.lifecycle.report import final_report
from picard_pilot.lifecycle.table import step
from picard_pilot.model import events as ev
from picard_pilot.model import instructions as do
from picard_pilot.model.states import Phase
from picard_pilot.panda.outbox import Accepted, Outbox
from picard_pilot.payload import jobdir, launcher
from picard_pilot.payload.launch import (
    Elsewhere,
    Exited,
    LaunchFailed,
    LaunchHandle,
    LaunchSpec,
    Lost,
    Running,
)
from picard_pilot.pilot import faults
from picard_pilot.pilot.extract import log_extract
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.staging import Staging
from picard_pilot.pilot.teller import Tellers
from picard_pilot.pilot.work import JobWork
from picard_pilot.system import disk

log = logging.getLogger("picard.perform")

LAUNCH_DIRECTORY = "launch"
REPORT_FILE = "report.json"

Post = Callable[[JobWork, int, ev.Event], None]
P = ParamSpec("P")
T = TypeVar("T")


class Performer:
    """Knows the rooms. `perform` is its whole interface while jobs run."""

    def __init__(self, parts: Parts, tellers: Tellers, post: Post, plugin_failed: Callable[[], None]) -> None:
        """`post` takes the events that come before an instruction's last one, such as each staged file.

        `plugin_failed` is called when a hook of the experiment misbehaves.
        """
        self._plugin_failed = plugin_failed
        self._parts = parts
        self._tellers = tellers
        self._staging = Staging(parts, post)
        self._outbox = Outbox(parts.dispatcher, parts.clock, random.Random(parts.seed))

    async def perform(self, work: JobWork, generation: int, instruction: do.Instruction) -> ev.Event | None:
        """Do what is asked, and return how it ended; None where nothing is left to decide."""
        match instruction:
            case do.Admit():
                return await self._admit(work)
            case do.Prepare():
                return await self._prepare(work)
            case do.StageIn():
                return await self._staging.stage_in(work, generation)
            case do.Launch():
                return await self._launch(work)
            case do.Watch():
                return await self._watch(work)
            case do.StopPayload(grace_s=grace_s):
                await self._stop_payload(work, grace_s)
            case do.Diagnose():
                return await self._diagnose(work)
            case do.StageOut():
                return await self._staging.stage_out(work, generation)
            case do.StoreLog():
                return await self._staging.store_log(work)
            case do.Report():
                return await self._report(work)
            case do.CleanUp():
                self._clean_up(work)
        return None

    # The directory and its journal

    def open(self, arrived: ev.JobReceived) -> JobWork:
        """Make the job's directory and write its first record: from here on it cannot be forgotten.

        Where no directory can be made, the job lives in memory alone, to be reported failed at once.
        """
        parts = self._parts
        try:
            bundle = jobdir.make(parts.workdir, arrived.job.job_id, arrived.job.attempt_nr)
            lease.take(Path(bundle.private), parts.owner, parts.clock.now_utc(), parts.is_alive)
            journal = journal_file.Journal(
                Path(bundle.private, journal_file.NAME), parts.owner.pilot, parts.clock.now_utc
            )
            record = journal.append(arrived)
        except (OSError, journal_file.JournalFull) as error:
            return self._in_memory(arrived, error)
        case, _ = step(None, record.event, record.at)
        return JobWork(case, bundle, journal)

    def _in_memory(self, arrived: ev.JobReceived, error: Exception) -> JobWork:
        log.error("job %s: no directory for it: %s", arrived.job.job_id, error)
        refused = msgspec.structs.replace(
            arrived, refusal=arrived.refusal or faults.directory_fault(error, self._parts.workdir)
        )
        journal = MemoryJournal(self._parts.owner.pilot, self._parts.clock.now_utc)
        record = journal.append(refused)
        case, _ = step(None, refused, record.at)
        nowhere = self._parts.workdir / f"{jobdir.PREFIX}{arrived.job.job_id}.none"
        return JobWork(case, jobdir.bundle_of(nowhere), journal)

    def release(self, work: JobWork) -> None:
        """Let go of the directory, so that a later pilot can take it up. May be called twice."""
        work.journal.close()
        lease.release(Path(work.bundle.private), self._parts.owner)

    def _clean_up(self, work: JobWork) -> None:
        if not self._parts.settings.cleanup:
            log.info("job %s: kept in %s", work.job_id, work.bundle.directory)
            return
        for problem in jobdir.remove(work.bundle):
            log.warning("job %s: not removed: %s", work.job_id, problem)

    # Before the payload

    async def _admit(self, work: JobWork) -> ev.Event:
        try:
            refusal = await self._hook(work, self._experiment.check, work.case.job, self._parts.site)
        except HookFailed as failed:
            return ev.Refused(fault=faults.hook_fault(failed, Phase.STARTING))
        return ev.Admitted() if refusal is None else ev.Refused(fault=faults.refusal_fault(refusal))

    async def _prepare(self, work: JobWork) -> ev.Event:
        try:
            preparation = await self._hook(
                work, self._experiment.prepare, work.case.job, self._parts.site, self._parts.node
            )
        except HookFailed as failed:
            return ev.SetupFailed(fault=faults.hook_fault(failed, Phase.SETUP))
        return ev.Prepared(preparation=preparation)

    # The payload

    async def _launch(self, work: JobWork) -> ev.Event:
        """Start the payload, or find that it was started before: the launch directory knows."""
        directory = Path(work.bundle.private, LAUNCH_DIRECTORY)
        found = await launcher.find(directory)
        if isinstance(found, Running | Exited | Lost):
            return _started(work, found)
        try:
            spec = await self._launch_spec(work, directory)
            handle = await launcher.launch(spec)
        except HookFailed as failed:
            return ev.LaunchFailed(fault=faults.hook_fault(failed, Phase.RUNNING))
        except LaunchFailed as failed:
            return ev.LaunchFailed(fault=faults.start_fault(failed.error))
        return _started(work, handle)

    async def _launch_spec(self, work: JobWork, directory: Path) -> LaunchSpec:
        job, site, bundle = work.case.job, self._parts.site, work.bundle
        hooks = self._experiment
        variables = await self._hook(work, hooks.environment, job, site, bundle)
        needs = await self._hook(work, hooks.credentials, job)
        command = await self._hook(work, hooks.command, job, site, bundle)
        environment = payload_environment(
            self._parts.environ, site.queue.environment, variables, command.environment, keep=needs.variables
        )
        return LaunchSpec(
            directory=str(directory),
            argv=command.argv,
            cwd=bundle.directory,
            env=environment,
            stdout=bundle.stdout,
            stderr=bundle.stderr,
            output_limit_bytes=self._parts.settings.output_limit_bytes,
        )

    async def _watch(self, work: JobWork) -> ev.Event:
        """Wait for the payload, whoever started it."""
        found = await launcher.find(Path(work.bundle.private, LAUNCH_DIRECTORY))
        if isinstance(found, Running):
            work.launcher = found.handle.launcher
            found = await launcher.wait(found.handle)
        match found:
            case Exited(exit=ended):
                return ev.PayloadExited(exit=ended)
            case Lost():
                killed = launcher.kill_leftovers(found)
                log.warning(
                    "job %s: payload lost (%s), %s leftovers killed", work.job_id, found.reason, killed
                )
                return ev.PayloadLost(fault=faults.lost_fault(found.reason.replace("_", " ")))
            case Elsewhere(handle=handle):
                return ev.PayloadLost(
                    fault=faults.lost_fault(f"it was started on another host, {handle.host}")
                )
            case _:
                return ev.PayloadLost(fault=faults.lost_fault("it was never started"))

    async def _stop_payload(self, work: JobWork, grace_s: float) -> None:
        found = await launcher.find(Path(work.bundle.private, LAUNCH_DIRECTORY))
        if isinstance(found, Running):
            why = work.case.stop.kind.value if work.case.stop else "stop"
            launcher.stop(found.handle, grace_s, why)

    async def _diagnose(self, work: JobWork) -> ev.Event:
        case = work.case
        if case.exit is None:
            return ev.Diagnosed()
        try:
            outcome = await self._hook(work, self._experiment.outcome, case.job, work.bundle, case.exit)
        except HookFailed as failed:
            return ev.Diagnosed(faults=(faults.hook_fault(failed, Phase.STAGEOUT),))
        full = case.exit.exit_code != 0 and disk.is_full(Path(work.bundle.directory))
        return ev.Diagnosed(
            faults=faults.payload_faults(case.exit, outcome, work.bundle, full), outcome=outcome
        )

    # The end

    async def _report(self, work: JobWork) -> ev.Event | None:
        """Tell the final report until the server has it; cancelled when the pilot must leave before."""
        await self._tellers.hush(work)
        report = final_report(work.case, self._parts.sender, log_extract(work.case, work.bundle))
        delivered = await self._outbox.deliver(report, Path(work.bundle.private, REPORT_FILE))
        if not isinstance(delivered, Accepted):
            return None
        log.info(
            "job %s: %s, and the server has the report (%s)", work.job_id, report.status, delivered.answer
        )
        return ev.ReportAccepted(answer=delivered.answer)

    @property
    def _experiment(self) -> Experiment:
        return self._parts.experiment

    async def _hook(self, work: JobWork, hook: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a hook of the experiment; one that fails ends the pilot's taking of jobs."""
        try:
            return await call_hook(self._parts.settings.hook_limit_s, hook, *args, **kwargs)
        except HookFailed as failed:
            log.error("job %s: %s", work.job_id, failed)
            self._plugin_failed()
            raise


def _started(work: JobWork, found: LaunchHandle | Running | Exited | Lost) -> ev.Event:
    """The payload's identity, as the launch directory holds it."""
    handle = found if isinstance(found, LaunchHandle) else found.handle
    work.launcher = handle.launcher
    return ev.PayloadStarted(
        pid=handle.main.pid, start_ticks=handle.main.start_ticks, started_at=handle.started_at
    )
