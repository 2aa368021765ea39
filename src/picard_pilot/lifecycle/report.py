"""What to tell the server about a case: the update on the way and the final report, both pure folds of the case.

The same journal always gives the same final report, whichever pilot sends it. How they travel is `panda`.
"""

from collections.abc import Mapping

import msgspec

from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.cost import cost
from picard_pilot.lifecycle.ending import ending, exit_status
from picard_pilot.lifecycle.holding import held_until, moment
from picard_pilot.model.fault import Fault
from picard_pilot.model.report import JobStatus, Update, UsageSummary
from picard_pilot.model.site import FEDERATION
from picard_pilot.model.states import BEFORE_PAYLOAD, Phase, State
from picard_pilot.model.told_error import ToldError
from picard_pilot.model.waiting import JOB, LATER_PILOT, OUTPUTS, Waiting


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """Who reports: facts of the pilot and its node that go into every update; unknown is None."""

    site_name: str
    node: str
    pilot_id: str | None = None
    batch_id: str | None = None
    scheduler_id: str | None = None


def update(case: Case, sender: Sender, usage: UsageSummary | None = None) -> Update:
    """The message for a case that goes on: where it is, since when, and what it has used."""
    return Update(
        job_id=case.job.job_id,
        attempt_nr=case.job.attempt_nr,
        status=_status(case),
        phase=case.phase,
        phase_since=case.since,
        site_name=sender.site_name,
        node=sender.node,
        scheduler_id=sender.scheduler_id,
        pilot_id=sender.pilot_id,
        # A real server refuses every update that changes a batch id with letters in it: the first pilot's stays.
        batch_id=None if case.resumed else sender.batch_id,
        start_time=case.received_at,
        core_count=case.job.requirements.cores,
        usage=usage or UsageSummary(),
        n_input_files=len(case.job.inputs),
        pilot_error_code=_waiting_code(case),
        pilot_error_diag=holding_text(case),
    )


def holding_text(case: Case) -> str | None:
    """Where the job or its outputs wait, until when, who comes back, and why; None for a job that never had to."""
    held = case.held
    if case.suspended_because is not None and case.left_at is not None:
        until = held_until(case.job, case.entered.get(State.HOLDING, case.since))
        made = case.job.outputs and case.suspended_from in (State.STAGING_OUT, State.ARCHIVING)
        why, what = case.suspended_because, OUTPUTS if made else JOB
        return Waiting(case.left_at, moment(until), LATER_PILOT, why, what).text()
    if held is None:
        return None
    who = LATER_PILOT if held.again_at is None else f"this pilot at {moment(held.again_at)}"
    return Waiting(held.where, moment(held.until), who, held.faults[0].diag).text()


def _waiting_code(case: Case) -> int | None:
    """The error number beside the sentence: without one the server's pages would not show it."""
    if case.held is not None:
        return case.held.faults[0].code
    if case.suspended_because is None:
        return None
    cause = case.faults[0] if case.faults else case.stop.fault if case.stop else None
    return None if cause is None else cause.code


def final_report(
    case: Case, sender: Sender, pilot_log: str | None = None, metrics: Mapping[str, str] | None = None
) -> Update:
    """The report that ends the job: the payload's own record, the verdict, and where each output really is.

    `pilot_log` is an extract of the log for people, sent for failed jobs; `metrics` are the experiment's own.
    """
    failed = case.failed
    cause = case.faults[0] if case.faults else None
    stored = (*case.stored.values(), *((case.log,) if case.log else ()))
    return msgspec.structs.replace(
        update(case, sender, exit_usage(case)),
        status=JobStatus.FAILED if failed else JobStatus.FINISHED,
        phase=Phase.FAILED if failed else Phase.FINISHED,
        end_time=case.ended_at,
        n_events=case.outcome.n_events,
        timing_s=_timing(case),
        pilot_error_code=cause.code if cause else 0,
        pilot_error_diag=cause.diag if cause else _after_waiting(case),
        exe_error_code=case.outcome.exe_error_code or 0,
        exe_error_diag=case.outcome.exe_error_diag or "",
        trans_exit_code=exit_status(case.exit) if case.exit else None,
        ending=ending(case),
        metrics={**_metrics(case), **(metrics or {})},
        error=_told(cause) if cause else None,
        cost=cost(case),
        metadata=None if failed else case.outcome.metadata,
        pilot_log=_with_ending(case, pilot_log) if failed else None,
        outputs=stored,
    )


def _with_ending(case: Case, pilot_log: str | None) -> str | None:
    """The extract for people, which begins with what the payload did, whatever is said to be the cause."""
    ended = ending(case)
    if ended is None:
        return pilot_log
    first = f"the payload ended with {ended.says()}"
    return first if pilot_log is None else f"{first}\n{pilot_log}"


def _told(cause: Fault) -> ToldError:
    return ToldError(
        blame=cause.blame.value,
        finer=cause.finer,
        endpoint=cause.endpoint,
        fingerprint=cause.fingerprint,
        likeness=cause.likeness,
        evidence=cause.evidence if cause.likeness else (),
    )


def _after_waiting(case: Case) -> str:
    """The server keeps a text that no other replaces: what was said while the outputs waited is no longer true."""
    if case.held is not None:
        return "the outputs waited for a storage, and are stored now"
    return "" if case.left_at is None else "the job waited for a later pilot, and is done now"


def _status(case: Case) -> JobStatus:
    # Once it has heard `holding`, the server takes no word but the last one; anything else shortens its patience.
    if case.state is State.HOLDING or case.held is not None:
        return JobStatus.HOLDING
    return JobStatus.STARTING if case.state in BEFORE_PAYLOAD else JobStatus.RUNNING


def exit_usage(case: Case) -> UsageSummary:
    """What the payload used in all; nothing for one that never ran or whose end is not known."""
    ended = case.exit
    if ended is None:
        return UsageSummary()
    cpu_s = [part for part in (ended.cpu_user_s, ended.cpu_system_s) if part is not None]
    rss = ended.max_rss_bytes
    return UsageSummary(
        cpu_time_s=round(sum(cpu_s)) if cpu_s else None,
        max_rss_kb=None if rss is None else rss // 1024,
        stdout_bytes=ended.stdout_bytes,
        stderr_bytes=ended.stderr_bytes,
    )


def _timing(case: Case) -> tuple[int, ...]:
    """Whole seconds: getjob, stagein, payload, stageout, initial setup, setup (the order of `pilot_timing`)."""

    def total(*states: State) -> int:
        return round(sum(case.spent.get(state, 0.0) for state in states))

    return (
        0,
        total(State.STAGING_IN),
        total(State.LAUNCHING, State.RUNNING, State.STOPPING),
        total(State.DIAGNOSING, State.STAGING_OUT, State.ARCHIVING),
        total(State.RECEIVED),
        total(State.SETTING_UP),
    )


def _metrics(case: Case) -> dict[str, str]:
    metrics = {}
    if case.outcome.n_events is not None:
        metrics["nEvents"] = str(case.outcome.n_events)
    elsewhere = sum(file.alternative for file in case.stored.values())
    if elsewhere:
        metrics["filesNormalStageOut"] = str(len(case.stored) - elsewhere)
        metrics["filesAltStageOut"] = str(elsewhere)
        metrics["altTransferred"] = str(elsewhere)
    federated = [file.size_bytes or 0 for file in case.staged.values() if file.endpoint == FEDERATION]
    if federated:
        # As pilots have called them since the federation was FAX; of a file read directly its size counts.
        metrics["filesWithFAX"] = str(len(federated))
        metrics["bytesWithFAX"] = str(sum(federated))
    if case.resumed:
        metrics["resumed"] = str(case.resumed)
    return metrics
