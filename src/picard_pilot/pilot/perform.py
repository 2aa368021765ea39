"""Performing instructions: each one calls the rooms that can do it and ends in the event that tells how it went.

What follows from the event is decided in `lifecycle`. Every method may be called again after a crash.
"""

import logging
import random
from collections.abc import Callable
from pathlib import Path

import msgspec

# With a job, and not with its failure: that may be that the file system is gone on which this program lies.
from picard_pilot.diagnosis.catalogue import codes  # noqa: F401
from picard_pilot.experiments.hooks import HookFailed
from picard_pilot.journal import file as journal_file
from picard_pilot.journal import lease
from picard_pilot.lifecycle.report import exit_usage, final_report
from picard_pilot.model import events as ev
from picard_pilot.model import instructions as do
from picard_pilot.model.orders import KILL
from picard_pilot.model.policy import RecoveryPolicy
from picard_pilot.model.states import Phase
from picard_pilot.model.stop import Stop, StopKind
from picard_pilot.panda.outbox import Accepted, Outbox
from picard_pilot.payload import jobdir
from picard_pilot.pilot import faults, recovery
from picard_pilot.pilot.confining import NotConfined
from picard_pilot.pilot.ends import Until
from picard_pilot.pilot.extract import log_extract
from picard_pilot.pilot.hooking import Hooks
from picard_pilot.pilot.noting import tidy_after_payload
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.payloads import Payloads
from picard_pilot.pilot.staging import Staging
from picard_pilot.pilot.teller import Tellers
from picard_pilot.pilot.waiting import first_of
from picard_pilot.pilot.watching import final_usage
from picard_pilot.pilot.work import JobWork

log = logging.getLogger("picard.perform")

REPORT_FILE = "report.json"

Post = Callable[[JobWork, int, ev.Event], None]


class Performer:
    """Knows the rooms. `perform` is its whole interface while jobs run."""

    def __init__(
        self,
        parts: Parts,
        tellers: Tellers,
        post: Post,
        record: Post,
        plugin_failed: Callable[[], None],
        until: Callable[[], Until],
    ) -> None:
        """`post` takes the events that come before an instruction's last one, such as each staged file.

        `record` does so too, and returns only when the event is in the journal. `plugin_failed` is called when a hook
        of the experiment misbehaves. `until` tells how much time there is.
        """
        self._hooks = Hooks(parts, plugin_failed)
        self._parts = parts
        self._tellers = tellers
        self._payloads = Payloads(parts, self._hooks)
        self._staging = Staging(parts, self._hooks, post, record, tellers.tell_progress, until)
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
                return await self._payloads.launch(work)
            case do.Watch():
                return await self._payloads.watch(work)
            case do.StopPayload(grace_s=grace_s):
                await self._payloads.stop(work, grace_s)
            case do.Diagnose():
                return await self._payloads.diagnose(work)
            case do.StageOut():
                return await self._permission(work) or await self._staging.stage_out(work, generation)
            case do.AwaitBreak(until=until):
                await self._parts.clock.sleep(until - work.now(self._parts.clock))
                return ev.BreakOver()
            case do.LastWord():
                await self._last_word(work)
            case do.StoreLog():
                return await self._permission(work) or await self._staging.store_log(work, generation)
            case do.Report():
                return await self._report(work)
            case do.CleanUp():
                await self._clean_up(work)
        return None

    async def _permission(self, work: JobWork) -> ev.Event | None:
        return await recovery.permission(self._parts, work)

    # The job as a whole

    async def too_often(self, work: JobWork) -> Stop | None:
        """The stop for a job that brought down as many pilots as its experiment or the settings allow; None while it
        may go on."""
        try:
            policy = await self._hooks.call(self._hooks.experiment.recovery_policy, work.case.job)
        except HookFailed:
            policy = RecoveryPolicy()
        allowed = policy.max_attempts
        if work.case.crashes <= (self._parts.settings.recovery_attempts if allowed is None else allowed):
            return None
        return Stop(kind=StopKind.LIMIT, fault=faults.too_often_fault(work.case.crashes), grace_s=0.0)

    def renew(self, work: JobWork) -> bool:
        """Renew the lease on the job's directory. False when a pilot elsewhere has taken the job over meanwhile."""
        parts = self._parts
        try:
            lease.take(Path(work.bundle.private), parts.owner, parts.job_time(), parts.is_alive)
        except lease.LeaseHeld as held:
            log.critical("job %s is not ours any more: %s", work.job_id, held)
            return False
        except OSError as error:
            log.info("job %s: its lease cannot be renewed: %s", work.job_id, error)
        return True

    def release(self, work: JobWork) -> None:
        """Let go of the directory, so that a later pilot can take it up. May be called twice."""
        recovery.let_go(self._parts, work)

    async def _clean_up(self, work: JobWork) -> None:
        launch_directory = Path(work.bundle.private, jobdir.LAUNCH_DIRECTORY)
        switch = self._payloads.confining.switch_of(work)
        await tidy_after_payload(self._parts.ledger, work.bundle, launch_directory, work.job_id, switch)
        self._parts.ledger.over.add(work.job_id)
        if not self._parts.settings.cleanup:
            log.info("job %s: kept in %s", work.job_id, work.bundle.directory)
            return
        await self._payloads.confining.remove(work)
        work.close_files()
        for problem in jobdir.remove(work.bundle, last=journal_file.NAME):
            log.warning("job %s: not removed: %s", work.job_id, problem)

    # Before the payload

    async def _admit(self, work: JobWork) -> ev.Event:
        self._staging.get_ready(work)
        try:
            job, site = work.case.job, self._parts.site
            refusal = await self._hooks.call(self._hooks.experiment.check, job, site)
            container = await self._hooks.call(self._hooks.experiment.container, job, site)
        except HookFailed as failed:
            return ev.Refused(fault=faults.hook_fault(failed, Phase.STARTING))
        if refusal is not None:
            return ev.Refused(fault=faults.refusal_fault(refusal))
        try:
            await self._payloads.confining.choose(container)
        except NotConfined as not_confined:
            return ev.Refused(fault=not_confined.fault)
        return ev.Admitted()

    async def _prepare(self, work: JobWork) -> ev.Event:
        try:
            preparation = await self._hooks.call(
                self._hooks.experiment.prepare, work.case.job, self._parts.site, self._parts.node
            )
        except HookFailed as failed:
            return ev.SetupFailed(fault=faults.hook_fault(failed, Phase.SETUP))
        return ev.Prepared(preparation=preparation)

    # The end

    async def _last_word(self, work: JobWork) -> None:
        """Until the server knows that the job waits, or for as long as a pilot waits for a server without a job."""
        patience_s = self._parts.settings.server_patience_s
        await first_of(self._tellers.said(work), self._parts.clock.sleep(patience_s))

    async def _report(self, work: JobWork) -> ev.Event | None:
        """Tell the final report until the server has it; cancelled when the pilot must leave before."""
        report = final_report(
            work.case,
            self._parts.sender,
            log_extract(work.case, work.bundle, self._parts.log.redactor),
            await self._metrics(work),
        )
        report = msgspec.structs.replace(report, usage=final_usage(work.case, work.bundle))
        work.make_room()
        delivered = await self._outbox.deliver(
            report, Path(work.bundle.private, REPORT_FILE), when_saved=lambda: self._tellers.hush(work)
        )
        if not isinstance(delivered, Accepted):
            return None
        if delivered.answer == KILL:
            log.warning("job %s: %s, but the server had given the job up", work.job_id, report.status)
        else:
            log.info(
                "job %s: %s, and the server has the report (%s)", work.job_id, report.status, delivered.answer
            )
        return ev.ReportAccepted(answer=delivered.answer)

    async def _metrics(self, work: JobWork) -> dict[str, str]:
        """The experiment's facts for the server; a hook that fails costs only these."""
        job, bundle = work.case.job, work.bundle
        try:
            return await self._hooks.call(self._hooks.experiment.metrics, job, bundle, exit_usage(work.case))
        except HookFailed:
            return {}
