"""How long outputs that no storage takes may wait: the server's windows, and the long breaks that a long job earns.

Pure; which failures can pass at all is `data.passing`, and the waiting itself is `pilot`.
"""

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from picard_pilot.model.fault import Fault
from picard_pilot.model.job import Job

HOUR_S = 3600.0

PRODUCTION_LABELS = frozenset({"managed", "test", "prod_test", "install"})
"""The values of `prodSourceLabel` that the server counts as production; all others are somebody's own jobs."""

URGENT_PRIORITY = 800
"""Above it the server waits for a production job no longer than for a user's."""


class Window(NamedTuple):
    """How long the server keeps a job `holding` before it gives it up, and for which jobs."""

    seconds: float
    why: str


USER_WINDOW = Window(3 * HOUR_S, "jobs of users")
URGENT_WINDOW = Window(3 * HOUR_S, f"production above priority {URGENT_PRIORITY}")
PRODUCTION_WINDOW = Window(48 * HOUR_S, "other production")
"""The watcher's limits for `holding` of a PanDA server as it is delivered (panda-server 1.0.4, TIMEOUT_holding). It
counts from the first `holding` on, and no further update moves it: it is a hard clock."""

REPORT_RESERVE_S = 300.0
"""So long before its window closes a job is not tried any more: its report must still find it alive."""

LONG_BREAKS_S = (0.5 * HOUR_S, 2 * HOUR_S, 6 * HOUR_S)
"""When a pilot tries a long job's outputs again, counted from the failure: the length of a restart, of a repair, and of
a repair that begins in the morning."""

WORTH = 1.0
"""A job must have computed so many times as long as it waits: then an idle slot costs less than computing again."""


def window(job: Job) -> Window:
    """The server's window for this job. An unknown priority counts as an ordinary one, an unknown label as a user's."""
    if job.label not in PRODUCTION_LABELS:
        return USER_WINDOW
    if job.priority is not None and job.priority > URGENT_PRIORITY:
        return URGENT_WINDOW
    return PRODUCTION_WINDOW


def held_until(job: Job, first_held_at: float) -> float:
    """Until when (UTC seconds) a job first held at `first_held_at` can be finished."""
    return first_held_at + window(job).seconds - REPORT_RESERVE_S


def next_break(
    *, first_held_at: float, now: float, wall_s: float | None, until: float, leaves_at: float | None
) -> float | None:
    """When this pilot should try again (UTC seconds); None where it should leave that to a later one.

    `wall_s` is how long the payload ran (None: not known, which earns nothing), `until` the end of the server's window,
    `leaves_at` when the pilot has to be gone.
    """
    for pause_s in LONG_BREAKS_S:
        at = first_held_at + pause_s
        if at <= now:
            continue
        if wall_s is None or wall_s < WORTH * pause_s or at >= until:
            return None
        return at if leaves_at is None or at < leaves_at else None
    return None


def too_late(faults: tuple[Fault, ...], until: float) -> tuple[Fault, ...]:
    """The faults of outputs that waited in vain: the cause, with the end of the wait in its sentence."""
    first, *others = faults
    says = f"{first.says}; its window closed on {moment(until)}"
    return (msgspec.structs.replace(first, says=says), *others)


def moment(seconds: float) -> str:
    """A time for people, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
