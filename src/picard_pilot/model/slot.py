"""The end of the slot as nouns: who says when it ends, and what the pilot makes of it for its jobs and for people.

Reading the sources is `watch.slot`; what follows from them is `lifecycle.deadline`.
"""

from collections.abc import Callable

import msgspec


class SlotEnd(msgspec.Struct, frozen=True, kw_only=True):
    """One end that is known: when (seconds since 1970, UTC), by which name, and what was read there.

    At a `hard` end somebody else ends the slot, so that all must be done before; a soft one is the pilot's own
    decision to stop its payloads then. `error` is the catalogue's name of the fault of a job that it stops.
    """

    at: float
    name: str
    evidence: str
    hard: bool = True
    error: str = "REACHEDMAXTIME"
    wavers_s: float = 0.0
    """By how much later it may be told the next time without being another end: some sources tell what is left, of
    times that they bring up to date now and then."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A command that knows the end where the environment does not; `read` gets its output and the time (UTC)."""

    argv: tuple[str, ...]
    read: Callable[[str, float], "Found"]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What one source says: ends, what of it could not be understood, and a question that would tell more."""

    ends: tuple[SlotEnd, ...] = ()
    doubts: tuple[str, ...] = ()
    question: Question | None = None
    drain: str | None = None
    """Why no further job should be taken; None while one may."""
    graces: tuple["SignalGrace", ...] = ()


class SignalGrace(msgspec.Struct, frozen=True, kw_only=True):
    """How long a batch system waits after a signal before it kills what still lives, and how that is known."""

    signal: str
    """`SIGTERM`, `SIGUSR2` ..."""
    seconds: float
    evidence: str


class SlotView(msgspec.Struct, frozen=True, kw_only=True):
    """The end that counts, for `status.json`. Times are seconds since 1970, UTC."""

    ends_at: float
    by: str
    evidence: str
    stops_at: float
    """When a payload that still runs is stopped, so that what it made can leave before the end."""
    warns_at: float
    """When it is told so."""
    reserve_s: float
    reserve: str
    """What the time between stop and end is for, in words."""
