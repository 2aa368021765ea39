"""A job in sentences: what it does now or how it ended, first; then attempts, waiting and silence.

Plain text without HTML, the same in the page, in `?format=json` and on the command line.
"""

from __future__ import annotations

import signal

from picard_pilot.model.ending import SIGNAL_BASE, signal_name
from picard_pilot.server.errors import Same
from picard_pilot.server.pages import words
from picard_pilot.server.pages.facts import Failure, JobFacts
from picard_pilot.server.pages.timeline import Span, spans

#: A pilot that has a job speaks at least every 30 minutes; twice that in silence is worth a sentence.
SILENCE_WORTH_SAYING_S = 3600.0

#: A heading of two lines; the whole text of an error stands in its card.
HEADLINE_CHARACTERS = 130

_DOING = {
    "starting": "is starting{where}",
    "setup": "is being set up{where}",
    "stagein": "is bringing its input{to}",
    "running": "is running its payload{where}",
    "stageout": "has run; its output is being stored",
    "finishing": "has stored its output; its log and last report are on their way",
}


def payload_end(status: int) -> str:
    """How a payload ended, from its exit status as it was told to the server: 128 + n for signal n."""
    if SIGNAL_BASE < status < SIGNAL_BASE + signal.NSIG:
        return f"its payload ended with {status}: {signal_name(status - SIGNAL_BASE)}"
    return f"its payload exited with {status}"


def same_failures(found: Same) -> str:
    """How many jobs failed of the same as one did. A number alone, which many causes share, is not the same."""
    if found.jobs == 1:
        return "no other job failed of the same"
    is_exact = found.fingerprint is not None or found.finer is not None
    what = "of the same" if is_exact else f"with the error {found.code}"
    return f"{words.count(found.jobs, 'job')} failed {what}, on {words.count(found.nodes, 'node')}"


def root_cause(job: JobFacts) -> Failure | None:
    """The first error on record: the others followed from it."""
    return job.failures[0] if job.failures else None


def cause(job: JobFacts) -> str | None:
    """Why a job failed, in half a sentence; None where nobody said."""
    failure = root_cause(job)
    lines = failure.says.strip().splitlines() if failure is not None else []
    if lines:
        return lines[0].rstrip(".")
    if job.ending is not None:
        return f"its payload ended with {job.ending.says()}"
    return payload_end(job.payload_exit) if job.payload_exit else None


def headline(job: JobFacts) -> str:
    """The one sentence on top of a job's page."""
    said = f"Job {job.job_id} {_predicate(job)}"
    return said if said.endswith("…") else said + "."


def _predicate(job: JobFacts) -> str:
    where = f" on {job.node}" if job.node else ""
    if job.status == "finished":
        return f"finished: {_harvest(job)}"
    if job.status == "failed":
        return f"failed: {words.shorten(cause(job) or 'no reason was recorded', HEADLINE_CHARACTERS)}"
    if job.status == "cancelled":
        return "was cancelled"
    if job.status == "closed":
        return "was closed; it counts as no attempt"
    if job.status in words.WAITING:
        return f"is waiting for a pilot{f' at queue {job.queue}' if job.queue else ''}"
    if job.status in ("sent", "starting", "running"):
        doing = _DOING.get(job.phase or "starting", _DOING["starting"])
        stopping = "; it has been asked to stop" if job.asked_to_stop else ""
        return doing.format(where=where, to=f" to {job.node}" if job.node else "") + stopping
    if job.phase == "holding":
        why = cause(job) or f"it could not be finished{where}, and a later pilot there goes on"
        return f"waits: {words.shorten(why, HEADLINE_CHARACTERS)}"
    return "has ended on its node; the server is checking its report"


def _harvest(job: JobFacts) -> str:
    stored = [file for file in job.files if file.role in ("output", "log") and file.surl]
    said = f"{words.count(len(stored), 'file')} stored" if stored else "it had nothing to store"
    took_s = _on_node_s(spans(job.history))
    return said if took_s is None else f"{said}, {words.duration(took_s)} from start to end"


def _on_node_s(found: list[Span]) -> float | None:
    worked = [span for span in found if span.phase != "queued"]
    if not worked or worked[-1].end_s is None:
        return None
    return worked[-1].end_s - worked[0].start_s


def details(job: JobFacts, now_s: float) -> list[str]:
    """The sentences below the headline, most useful first."""
    return [said for said in (_waited(job, now_s), *_attempts(job), _silence(job, now_s)) if said]


def _waited(job: JobFacts, now_s: float) -> str | None:
    queued = next((span for span in spans(job.history) if span.phase == "queued"), None)
    if queued is None:
        return None
    length = words.duration(queued.length_s(now_s))
    if queued.end_s is None:
        return f"It has been waiting for {length}."
    return f"A pilot took it after {length} of waiting."


def _attempts(job: JobFacts) -> list[str]:
    said = []
    if job.max_attempts is not None and job.max_attempts > 1:
        said.append(f"This is attempt {job.attempt_nr} of at most {job.max_attempts}.")
    before = [other for other in job.attempts if other.attempt_nr < job.attempt_nr]
    after = [other for other in job.attempts if other.attempt_nr > job.attempt_nr]
    if before:
        last = max(before, key=lambda other: other.attempt_nr)
        said.append(f"The attempt before it, job {last.job_id}, {_ended(last.status)}.")
    if after:
        following = min(after, key=lambda other: other.attempt_nr)
        said.append(f"It was tried again as job {following.job_id}, which {_ended(following.status)}.")
    return said


def _ended(status: str) -> str:
    return (
        status
        if status in ("finished", "failed")
        else "was " + status
        if status in words.FINAL
        else f"is {status}"
    )


def _silence(job: JobFacts, now_s: float) -> str | None:
    if job.heard_s is None or job.status not in ("starting", "running"):
        return None
    silent_s = now_s - job.heard_s
    if silent_s < SILENCE_WORTH_SAYING_S:
        return None
    return f"Its pilot has not been heard of for {words.duration(silent_s)}."
