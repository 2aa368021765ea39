"""What a page knows about a job: the values that sentences, timelines and templates are made of.

Where they come from is the store's business (`source`); how they look is the templates'.
Moments are seconds since 1970 in UTC; what is unknown is None.
"""

from __future__ import annotations

import msgspec

from picard_pilot.model.ending import Ending
from picard_pilot.model.progress import StageProgress
from picard_pilot.server.errors import Same
from picard_pilot.server.pages.limits import Near
from picard_pilot.server.usage import UsagePoint


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a job's history: from this moment on it was in this state and phase."""

    at_s: float
    status: str
    phase: str | None = None
    node: str | None = None
    who: str | None = None
    note: str | None = None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One error on record: who recorded it (pilot, payload, server ...), its number and its text."""

    component: str
    code: int
    says: str
    name: str | None = None
    handle: str | None = None
    """By what its explanation is asked for, where there is one."""
    meaning: str | None = None
    blame: str | None = None
    next_step: str | None = None
    finer: str | None = None
    """Of a transfer: phase and class, as `stagein/contact`."""
    endpoint: str | None = None
    """The storage that failed."""
    explained: bool = False
    """Whether the catalogue has a text for `finer`: a newer pilot may know more classes."""


class FileFact(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a job and where it is, as far as the server was told."""

    lfn: str
    role: str
    status: str | None = None
    size_bytes: int | None = None
    checksum: str | None = None
    endpoint: str | None = None
    surl: str | None = None
    guid: str | None = None
    how: str | None = None
    """The way it went, as its pilot told it: copy, direct, symlink ..."""
    why: str | None = None
    """Why from or to there."""
    failed_tries: tuple[str, ...] = ()
    """What was tried in vain, a sentence each."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at the same piece of work; each attempt is a job of its own."""

    job_id: int
    attempt_nr: int
    status: str
    history: tuple[Change, ...] = ()


class JobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One job as its page shows it. `payload_exit` is None for a good or unknown one."""

    job_id: int
    attempt_nr: int
    status: str
    submitted_s: float
    name: str | None = None
    phase: str | None = None
    max_attempts: int | None = None
    queue: str | None = None
    owner: str | None = None
    node: str | None = None
    pilot: str | None = None
    priority: int | None = None
    command: str | None = None
    changed_s: float | None = None
    heard_s: float | None = None
    payload_exit: int | None = None
    same: Same | None = None
    """Of a failed one: how many failed of the same."""
    ending: Ending | None = None
    """How the payload ended and who ended it, where its pilot told it; lists do not know it."""
    asked_to_stop: bool = False
    failures: tuple[Failure, ...] = ()
    history: tuple[Change, ...] = ()
    files: tuple[FileFact, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    pilot_log: str | None = None
    progress: StageProgress | None = None
    """How far its present stage-in or stage-out is."""
    events_processed: int | None = None
    cpu_time_s: int | None = None
    peak_memory_kb: int | None = None
    """The largest PSS; of pilots that tell none, RSS."""
    cores: int | None = None
    curve: tuple[UsagePoint, ...] = ()
    """What its payload used over time."""
    near: tuple[Near, ...] = ()
    """Its limits, and how near it is and was to each."""
    slot_left_s: int | None = None
    """How long its payload may still run before the end of the slot, as its pilot last told; None once it is over."""
