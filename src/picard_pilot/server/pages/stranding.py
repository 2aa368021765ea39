"""The jobs that wait on nodes, as a page shows them: where what they made lies, until when, and who comes for it.

The sentence from which most of it is read is the pilot's (`model.waiting`).
"""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import Any

from picard_pilot.model.waiting import LATER_PILOT, Waiting, waiting_in
from picard_pilot.server.pages import sentences, words
from picard_pilot.server.pages.facts import JobFacts


def row(job: JobFacts, root: str, now_s: float) -> dict[str, Any]:
    """One line of the page."""
    waits = _waiting(job)
    until_s = None if waits is None else _seconds(waits.until)
    host, folder = _place(job, waits)
    return {
        "job_id": job.job_id,
        "name": job.name,
        "attempt_nr": job.attempt_nr,
        "href": f"{root}/jobs/{job.job_id}",
        "owner": job.owner,
        "since_s": job.changed_s,
        "host": host,
        "folder": folder,
        "until": None if waits is None else waits.until,
        "left": None if until_s is None or until_s <= now_s else _left(until_s - now_s),
        "over": until_s is not None and until_s <= now_s,
        "who": LATER_PILOT if waits is None else waits.who,
        "why": sentences.cause(job) or "its pilot had to leave before the job was done"
        if waits is None
        else waits.why,
        "command": None if folder is None else f"ppilot recover list {shlex.quote(folder)}",
    }


def told(job: JobFacts) -> dict[str, str] | None:
    """The same for programs, as the pilot told it; None where it left without saying so."""
    waits = _waiting(job)
    return None if waits is None else waits._asdict()


def caption(shown: int, total: int) -> str:
    """How many there are."""
    if shown < total:
        return f"Showing the newest {shown} of {total} stranded jobs"
    return f"{words.count(total, 'stranded job')}, the newest first"


def _waiting(job: JobFacts) -> Waiting | None:
    found = (waiting_in(failure.says) for failure in job.failures)
    return next((waits for waits in found if waits is not None), None)


def _place(job: JobFacts, waits: Waiting | None) -> tuple[str | None, str | None]:
    """Host and directory."""
    host, colon, folder = ("", "", "") if waits is None else waits.where.partition(":")
    return (host, folder) if colon else (job.node, None)


def _left(seconds: float) -> str:
    """To the minute: nobody needs it finer, and the page is not drawn again for each second."""
    minutes = int(seconds // words.MINUTE_S)
    if minutes < 60:
        return f"{minutes} min left"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min left"


def _seconds(until: str) -> float | None:
    try:
        return datetime.strptime(until, "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
