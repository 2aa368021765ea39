"""What the pilot as a whole does next: ask for a job, wait, or leave. Pure, one decision at a time.

What becomes of one job is `table`; doing it is `pilot`.
"""

from enum import StrEnum

import msgspec


class Leaving(StrEnum):
    """Why a pilot takes no further job."""

    NO_JOBS = "the queue had no job for long enough"
    JOB_LIMIT = "it ran as many jobs as it was told to"
    LIFETIME = "the slot leaves no room for another job"
    DRAINING = "it was told to take no further job"
    SERVER_GONE = "the server could not be reached for long enough"
    PLUGIN = "a plug-in misbehaved"
    NO_SPACE = "the disk of the work directory is full"
    NO_DIRECTORY = "no directory for a job could be made"
    ONLY_LEFT = "it was started for jobs that others left, and for no other"


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What the decision rests on. Times are seconds on one monotonic clock; None where it has not happened."""

    now: float
    no_job_after: float | None
    """When the slot leaves no time for another job; None where no end is known."""
    jobs_taken: int
    jobs_limit: int
    """How many jobs to run at most; 0 means no limit."""
    jobs_active: int
    jobs_at_once: int
    jobs_waiting: int = 0
    """Jobs that need no core now, but to which this pilot comes back."""
    draining: Leaving | None
    dry_for_s: float | None
    """Between the first and the latest of the empty answers in a row; None when the latest was not empty."""
    trouble_for_s: float | None
    """The same for answers that could not be had or understood."""
    next_ask: float
    """Not before this time, after the last empty answer."""
    queue_patience_s: float
    server_patience_s: float


class Ask(msgspec.Struct, frozen=True):
    """Ask the server for a job now."""


class WaitUntil(msgspec.Struct, frozen=True):
    """Nothing to decide before `when`, or before something happens to a job; None: only the latter."""

    when: float | None


class Leave(msgspec.Struct, frozen=True):
    """All is done: leave."""

    why: Leaving


Move = Ask | WaitUntil | Leave


def decide(now: Situation) -> Move:
    """The next move. A pilot never leaves while a job of its is active or waits for it."""
    why = _no_more(now)
    if why is not None:
        return WaitUntil(None) if now.jobs_active or now.jobs_waiting else Leave(why)
    if now.jobs_active >= now.jobs_at_once:
        return WaitUntil(None)
    if now.now < now.next_ask:
        return WaitUntil(now.next_ask)
    return Ask()


def _no_more(now: Situation) -> Leaving | None:
    if now.draining is not None:
        return now.draining
    if now.jobs_limit and now.jobs_taken >= now.jobs_limit:
        return Leaving.JOB_LIMIT
    if now.no_job_after is not None and now.now >= now.no_job_after:
        return Leaving.LIFETIME
    if now.dry_for_s is not None and now.dry_for_s >= now.queue_patience_s:
        return Leaving.NO_JOBS
    if now.trouble_for_s is not None and now.trouble_for_s >= now.server_patience_s:
        return Leaving.SERVER_GONE
    return None
