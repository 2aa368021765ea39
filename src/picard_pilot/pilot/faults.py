"""The faults that the pilot itself finds: stops, limits, lost payloads, hooks that failed, payloads that did.

Faults of transfers are made in `data`; the catalogue is `diagnosis.catalogue`.
"""

from collections.abc import Mapping
from pathlib import Path
from signal import SIGKILL

import msgspec

from picard_pilot.diagnosis.faults import fault
from picard_pilot.experiments.hooks import HookFailed
from picard_pilot.lifecycle.deadline import Deadline
from picard_pilot.lifecycle.holding import moment
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.command import PayloadExit, StartError, StartErrorKind
from picard_pilot.model.ending import SIGNAL_BASE, signal_name
from picard_pilot.model.facts import Facts
from picard_pilot.model.fault import Fault
from picard_pilot.model.orders import BadJob
from picard_pilot.model.policy import Refusal
from picard_pilot.model.states import Phase
from picard_pilot.model.stop import Stop, StopKind
from picard_pilot.system import disk

KILLED_BY_NOBODY_KNOWN = (
    "Compare the job's memory over time with its limit, and ask the site for the batch system's and the kernel's log "
    "of that minute: they say who sends a SIGKILL."
)
"""What to do where neither the pilot nor the kernel's counts know who killed a payload; its own log cannot know."""


def server_kill(command: str, grace_s: float) -> Stop:
    """The stop that the server's `tobekilled`, or its word that the job is over, means for a job."""
    says = {
        "tobekilled": "the server asked for the job to be killed",
        "alreadydone": "the server says that the job is already over",
        "badattemptnr": "the server says that this attempt is not the current one",
    }[command]
    found = fault("PANDAKILL", says, rule="server.command", evidence=(f"command: {command}",))
    return Stop(kind=StopKind.SERVER_KILL, fault=found, grace_s=grace_s)


def disowned(why: str) -> Stop:
    """What it means for a job that was found on disk that the server does not count it as ours any more."""
    says = f"an earlier pilot left the job, and it is not ours any more: {why}"
    return Stop(kind=StopKind.DISOWNED, fault=fault("PANDAKILL", says, rule="pilot.recovery"), grace_s=0.0)


def slot_end_fault(due: Deadline) -> Fault:
    """The slot ended, or was about to, while the job ran: by whose word, and what was read there."""
    end = due.end
    if not end.hard:
        return fault(end.error, f"{end.evidence} was over before the job was done", rule="pilot.lifetime")
    before_s = due.known.at - due.stops_at
    says = f"the slot ends at {moment(end.at)} by {end.name}, and the job was stopped {before_s:.0f} s before"
    return fault(
        end.error, says, rule="pilot.slot_end", evidence=(end.evidence, f"time kept: {due.reserve.says()}")
    )


def disk_full_fault(bundle: Bundle) -> Fault:
    """The disk had no room for the pilot's own records."""
    return fault(
        "NOLOCALSPACE",
        "the node's disk is full: the job's journal could only be written from its reserve",
        rule="journal.append",
        evidence=(bundle.directory,),
    )


def bad_description(job: BadJob) -> Fault:
    """The job's description cannot be worked on; the field is named."""
    from picard_pilot.diagnosis.catalogue.codes import BY_NUMBER

    name = BY_NUMBER[job.code].name if job.code in BY_NUMBER else "CONVERSIONFAILURE"
    return fault(
        name, f"{job.field}: {job.why}", rule="wire.jobdict", evidence=(job.evidence,), phase=Phase.STARTING
    )


def refusal_fault(refusal: Refusal) -> Fault:
    """The experiment will not run the job."""
    return fault(refusal.error, refusal.says, rule="experiment.check", evidence=(f"field {refusal.field}",))


def hook_fault(failed: HookFailed, phase: str) -> Fault:
    """A hook of the experiment overran or misbehaved."""
    return fault(
        "SETUPFAILURE",
        f"the hook {failed.hook} of the experiment {failed.plugin} failed",
        rule="experiment.hook",
        evidence=(failed.why,),
        phase=phase,
    )


def directory_fault(error: Exception, workdir: Path) -> Fault:
    """The job's directory, or the journal in it, could not be made."""
    full = is_full(error)
    says = "the disk is full" if full else str(error)
    return fault(
        "NOLOCALSPACE" if full else "MKDIR",
        f"no directory for the job could be made in {workdir}: {says}",
        rule="payload.jobdir",
    )


def is_full(error: Exception) -> bool:
    """Whether an OSError or JournalFull means a full disk."""
    return not isinstance(error, OSError) or disk.is_full_error(error)


def start_fault(error: StartError) -> Fault:
    """The payload could not be started."""
    if error.kind is StartErrorKind.DISK_FULL:
        return fault("NOLOCALSPACE", "the payload could not be started: the disk is full", rule="launcher.start",
                     evidence=(error.evidence,), phase=Phase.RUNNING)  # fmt: skip
    if error.kind is StartErrorKind.NO_RESOURCES:
        return fault("RESOURCEUNAVAILABLE", "the payload could not be started: the node is out of resources",
                     rule="launcher.start", evidence=(error.evidence,), phase=Phase.RUNNING)  # fmt: skip
    words = error.kind.value.replace("_", " ")
    return fault("PAYLOADEXECUTIONEXCEPTION", f"the payload could not be started: {words}", rule="launcher.start",
                 evidence=(error.evidence,), phase=Phase.RUNNING)  # fmt: skip


def launch_directory_fault(error: Exception) -> Fault:
    """The launch directory cannot be used, or somebody holds it without starting the payload."""
    full = isinstance(error, OSError) and disk.is_full_error(error)
    name = "NOLOCALSPACE" if full else "PAYLOADEXECUTIONEXCEPTION"
    return fault(
        name, f"the payload could not be started: {error}", rule="launcher.start", phase=Phase.RUNNING
    )


def too_often_fault(times: int) -> Fault:
    """The job was taken up from its journal again and again, and no pilot could end it."""
    return fault(
        "INTERNALPILOTPROBLEM", f"{times} pilots took the job up and none could end it", rule="pilot.recovery"
    )


def lost_fault(why: str) -> Fault:
    """The launcher is gone without a record of the payload's end."""
    return fault(
        "KILLSIGNAL",
        "the payload was lost together with its launcher, so how it ended is not known",
        rule="launcher.lost",
        evidence=(why,),
        phase=Phase.RUNNING,
    )


def no_record_fault(why: str) -> Fault:
    """The launcher's records of the payload are gone or unreadable although it was started: its own doing."""
    return fault(
        "PAYLOADEXECUTIONFAILURE",
        "the records of the payload's launch are gone, so how it ended is not known",
        rule="launcher.records",
        evidence=(why,),
        phase=Phase.RUNNING,
    )


def end_fault(facts: Facts, known: Mapping[str, str] | None) -> Fault:
    """How the payload ended, in a fault that follows from all others: exit code or signal, with its own words.

    With `known` (names of node and job, with the word for each) nothing else explains it: then it has the log's most
    telling lines, and their fingerprint.
    """
    ended = facts.exit
    how = signal_name(ended.signal) if ended.signal is not None else f"exit code {ended.exit_code}"
    stands_for = f", which stands for {signal_name(facts.died_of)}" if facts.died_of is not None else ""
    from picard_pilot.diagnosis.own_words import own_words

    said = own_words(facts)
    evidence = () if said is None else (said,)
    found = fault(
        "PAYLOADEXECUTIONFAILURE",
        f"the payload ended with {how}{stands_for}",
        rule="payload.exit",
        evidence=evidence,
        phase=Phase.RUNNING,
    )
    if known is None:
        return found
    from picard_pilot.diagnosis.fingerprint import how_it_ended, likeness, telling_logs

    alike = likeness(telling_logs(facts), how_it_ended(facts), known)
    return msgspec.structs.replace(
        found,
        next_step=KILLED_BY_NOBODY_KNOWN if _was_killed(ended) else found.next_step,
        evidence=(*evidence, *(one for one in alike.evidence if said is None or one.text != said.text)),
        fingerprint=alike.fingerprint,
        likeness=alike.text,
    )


def _was_killed(ended: PayloadExit) -> bool:
    """Whether it, or the last child of its shell, died of a SIGKILL that nobody here sent."""
    return ended.stopped_by is None and SIGKILL in (ended.signal, (ended.exit_code or 0) - SIGNAL_BASE)
