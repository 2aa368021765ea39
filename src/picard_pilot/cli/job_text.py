"""A job told in sentences and tables, for people at a terminal. Scripts get the data itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from picard_pilot.cli.job_measured import measured
from picard_pilot.cli.moments import duration, shown, size
from picard_pilot.cli.screen import Screen, clean
from picard_pilot.wire.error_notes import error_in
from picard_pilot.wire.progress import pairs_in, progress_of

if TYPE_CHECKING:
    from picard_pilot.model.told_error import ToldError
    from picard_pilot.server.views import JobDetail, JobError, JobRow

_MARKS: dict[str, tuple[str, str]] = {
    "activated": ("·", "grey"),
    "sent": (">", "blue"),
    "starting": (">", "blue"),
    "running": (">", "blue"),
    "transferring": (">", "blue"),
    "holding": ("~", "yellow"),
    "finished": ("+", "green"),
    "failed": ("x", "red"),
    "cancelled": ("-", "grey"),
    "closed": ("-", "grey"),
}
"""A sign and a colour for each state; the word stands beside them, since nobody should need the colour."""

STATES = tuple(_MARKS)
"""The words for where a job can be on the server."""

ERROR_WIDTH = 100
"""Of an error in the list; `describe` tells it whole."""

INDENT = " " * 10
"""Before what is said of a file, below its name."""

STATE_WIDTH = max(map(len, _MARKS))

_ENDED = {
    "finished": "finished",
    "failed": "failed",
    "cancelled": "was cancelled",
    "closed": "was closed",
}


def state_text(status: str, screen: Screen) -> str:
    """A state with its sign, coloured where colours are wanted."""
    mark, colour = _MARKS.get(status, ("?", "yellow"))
    return screen.paint(f"{mark} {clean(status)}", colour)


def error_text(errors: list[dict[str, Any]] | None) -> str:
    """The first error of a job in a few words: a line of a table."""
    from picard_pilot.server.pages.words import shorten

    if not errors:
        return "-"
    first = errors[0]
    return shorten(clean(f"{first['component']}:{first['code']} {first['diag'] or ''}".strip()), ERROR_WIDTH)


def description(job: JobDetail, screen: Screen, clock: str, now: datetime) -> str:
    """Everything about a job that is known: sentences first, then its history, files, attempts."""
    lines = [*_sentences(job, now), ""]
    lines += _history(job, screen, clock, now)
    lines += _limits(job)
    lines += _files(job)
    if len(job.attempts) > 1:
        lines += ["", "attempts"]
        lines += [f"  {row.attempt_nr}  job {row.job_id}  {clean(row.status)}" for row in job.attempts]
    return "\n".join(lines)


def _sentences(job: JobDetail, now: datetime) -> Iterator[str]:
    row = job.row
    name = f" ({clean(row.name)})" if row.name else ""
    yield f"Job {row.job_id}{name} of {clean(row.owner)} at {clean(row.queue)} {_fate(row, now)}."
    yield from _end(job)
    if row.kill_requested and row.ended_at is None:
        yield "It is to be killed; its pilot is told with the next answer."
    if row.max_attempt > 1 or row.parent_id is not None:
        parent = f", after job {row.parent_id}" if row.parent_id is not None else ""
        yield f"It is attempt {row.attempt_nr} of at most {row.max_attempt}{parent}."
    yield f"Its command: {clean(job.transformation)} {clean(job.parameters)}"[:500].rstrip()
    if row.host:
        yield f"Its node: {clean(row.host)}" + (f", batch id {clean(row.batch_id)}" if row.batch_id else "")
    asked = ", ".join(f"{name} {value}" for name, value in job.resources.items() if value is not None)
    yield f"It asked for {row.cores} core{'s' if row.cores != 1 else ''}" + (f", {asked}." if asked else ".")
    metrics = str(job.usage.get("job_metrics", ""))
    if (moved := progress_of(row.status, row.sub_status, metrics)) is not None:
        yield f"Its files: {moved.says()}."
    if told := measured(job.usage):
        yield f"Measured: {', '.join(told)}"


def _end(job: JobDetail) -> Iterator[str]:
    """What the payload did, then all errors on record, the cause first."""
    from picard_pilot.server.pages.sentences import same_failures
    from picard_pilot.server.pages.source import ending_of

    if (ended := ending_of(job)) is not None:
        yield f"Its payload ended with {ended.says()}."
    told = error_in(pairs_in(str(job.usage.get("job_metrics", ""))))
    for error in job.row.errors:
        yield from _error(error, told, job.pilot_log)
    if job.same is not None and job.same.jobs > 1:
        yield f"  {same_failures(job.same)}"
    if told.fingerprint is not None:
        yield f"  No rule explains it: ppilot explain {told.fingerprint}"


def _error(error: JobError, told: ToldError, extract: str | None) -> Iterator[str]:
    """What went wrong, who can act, what to do, and where to read on, as on the job's page."""
    from picard_pilot.server.pages.source import failure_of

    known = failure_of(error, told, extract)
    name = f" {known.name}" if known.name else ""
    yield f"  {error.component} {error.code}{name}" + (f": {clean(error.diag)}" if error.diag else "")
    if known.finer:
        at = f" at {clean(known.endpoint)}" if known.endpoint else ""
        yield f"    class:       {clean(known.finer)}{at}"
    if known.blame:
        yield f"    who can act: {clean(known.blame)}"
    if known.next_step:
        yield f"    what to do:  {clean(known.next_step)}"
    if known.handle:
        yield f"    more:        ppilot explain {known.handle}"


def _fate(row: JobRow, now: datetime) -> str:
    if row.status in _ENDED:
        if row.ended_at is not None and row.started_at is not None:
            return f"{_ENDED[row.status]} after running for {duration((row.ended_at - row.started_at).total_seconds())}"
        return _ENDED[row.status]
    phase = f", in the phase {clean(row.sub_status)}" if row.sub_status else ""
    age = duration((now - row.changed_at).total_seconds())
    if row.status == "activated":
        return f"waits for a pilot since {age}"
    return f"is {clean(row.status)} since {age}{phase}"


def _history(job: JobDetail, screen: Screen, clock: str, now: datetime) -> Iterator[str]:
    yield "history"
    when_width = 22 if clock == "utc" else 19 if clock == "local" else 10
    for place, change in enumerate(job.history):
        following = job.history[place + 1].at if place + 1 < len(job.history) else None
        stayed = duration((following - change.at).total_seconds()) if following else ""
        words = [change.sub_status or "", change.note or "", f"on {change.host}" if change.host else ""]
        rest = ", ".join(clean(word) for word in words if word)
        when = shown(change.at, clock, now)
        state = state_text(change.status, screen) + " " * (STATE_WIDTH - len(change.status))
        yield f"  {when:<{when_width}}  {state} {stayed:>7}  by {change.who}  {rest}".rstrip()


def _limits(job: JobDetail) -> Iterator[str]:
    """How near the job is, or came, to each of its limits."""
    from picard_pilot.server.pages.source import near_of

    near = near_of(job)
    if not near:
        return
    yield ""
    yield "limits"
    for limit in near:
        share = limit.share if limit.share is not None else limit.most_share
        yield f"  {'' if share is None else f'{share:.0%}':>5}  {clean(limit.says())}"


def _files(job: JobDetail) -> Iterator[str]:
    from picard_pilot.server.pages.source import files_of
    from picard_pilot.server.pages.words import file_state, way

    if not job.files:
        return
    yield ""
    yield "files"
    for file in files_of(job):
        facts = f"{file_state(file)}, {size(file.size_bytes)}, {file.checksum or 'no checksum'}"
        yield f"  {file.role:<6}  {clean(file.lfn)}  {facts}"
        if file.surl:
            yield f"{INDENT}{clean(file.surl)}"
        if file.how:
            yield f"{INDENT}{clean(file.endpoint or '-')}, {way(file.how)}: {clean(file.why or '-')}"
        elif file.endpoint and not file.surl:
            yield f"{INDENT}{clean(file.endpoint)}"
        for tried in file.failed_tries:
            yield f"{INDENT}in vain, {clean(tried)}"
