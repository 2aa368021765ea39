"""The final report of a job on its way: on disk first, then told again and again until the server has it.

What a report says is `lifecycle.report`; sending it once is `client`.
"""

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import msgspec

from picard_pilot.model.orders import Orders, ServerTrouble
from picard_pilot.model.report import Update
from picard_pilot.system.backoff import Backoff, Dice
from picard_pilot.system.clock import Clock
from picard_pilot.system.files import write_durably

log = logging.getLogger("picard.outbox")

SCHEMA_VERSION = 1
# The first repetitions come fast enough for the 10 s that a pilot has after SIGTERM; the longest pause lets a
# server that comes back after an outage of hours be met within two minutes.
REPORT_PAUSES = Backoff(first_s=0.5, longest_s=120.0)
# One attempt: a server that needs longer than this has lost it.
ATTEMPT_DEADLINE_S = 60.0
# How often the server must answer without storing the report before it is tried without the parts that a
# server could choke on. With REPORT_PAUSES this is several minutes: longer than a restarting database needs.
LEAN_AFTER = 10


class Teller(Protocol):
    """The part of a `Dispatcher` that takes reports."""

    async def tell(self, update: Update, *, deadline_s: float | None = None) -> Orders | ServerTrouble: ...


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The server has the report, or wants it no more; `answer` is its word: 0, alreadydone or tobekilled."""

    answer: str
    attempts: int


class Postponed(msgspec.Struct, frozen=True, kw_only=True):
    """Time was up. The report lies on disk for the next pilot, unless `disk_trouble` says why it does not."""

    reason: str
    attempts: int
    disk_trouble: str | None = None


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """How a report lies on disk."""

    v: int
    report: Update


class ReportDamaged(Exception):
    """The file does not hold a report that this version can read; the text names it and says why."""


class Outbox:
    """Delivers final reports, any number at a time; each has a file of its own."""

    def __init__(self, teller: Teller, clock: Clock, dice: Dice, *, pauses: Backoff = REPORT_PAUSES) -> None:
        self._teller = teller
        self._clock = clock
        self._dice = dice
        self._pauses = pauses

    async def deliver(
        self,
        report: Update,
        path: Path,
        *,
        deadline: float | None = None,
        when_saved: Callable[[], Awaitable[None]] | None = None,
    ) -> Accepted | Postponed:
        """Write the report to `path`, then tell it until the server settles it or `deadline` has come.

        `when_saved` is awaited between the two, for whatever must be over before the report is told.
        `deadline` is on the clock's monotonic time; None means for ever. May be called again with the same
        report, and may be cancelled at any point: repeating is safe on both sides. A disk that takes no file
        does not keep the report from being told.
        """
        disk_trouble = _try_to_save(report, path)
        if when_saved is not None:
            await when_saved()
        attempts, not_stored = 0, 0
        reason = "there was no time left to tell it"
        while True:
            remaining_s = None if deadline is None else deadline - self._clock.monotonic()
            if remaining_s is not None and remaining_s <= 0:
                return Postponed(reason=reason, attempts=attempts, disk_trouble=disk_trouble)
            is_lean = not_stored >= LEAN_AFTER and not_stored % 2 == 0
            attempts += 1
            limit_s = ATTEMPT_DEADLINE_S if remaining_s is None else min(ATTEMPT_DEADLINE_S, remaining_s)
            answer = await self._teller.tell(_lean(report) if is_lean else report, deadline_s=limit_s)
            if isinstance(answer, Orders):
                return Accepted(answer=answer.answer, attempts=attempts)
            reason = answer.says
            # The server was there and did not store it: perhaps something in this report is to blame.
            not_stored += answer.kind in ("not stored", "refused")
            pause_s = self._pause_s(attempts, deadline)
            log.warning("job %s: the report waits: %s; again in %.1f s", report.job_id, reason, pause_s)
            await self._clock.sleep(pause_s)

    def _pause_s(self, failures: int, deadline: float | None) -> float:
        pause_s = self._pauses.pause_s(failures, self._dice)
        return pause_s if deadline is None else min(pause_s, max(0.0, deadline - self._clock.monotonic()))


def save(report: Update, path: Path) -> None:
    """Put the report on disk so that a crash leaves the whole file or none. Raises DiskFull, OSError."""
    write_durably(path, msgspec.json.encode(Stored(v=SCHEMA_VERSION, report=report)))


def _try_to_save(report: Update, path: Path) -> str | None:
    """None when the report is on disk, else why not; then telling it is the only chance it has."""
    try:
        save(report, path)
    except OSError as error:
        trouble = f"{path}: {error.strerror}"
        log.error("job %s: the report cannot be written to disk: %s", report.job_id, trouble)
        return trouble
    return None


def load(path: Path) -> Update:
    """A report that an earlier pilot left. Raises ReportDamaged, or OSError when there is none."""
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=Stored)
    except (ValueError, RecursionError) as error:
        raise ReportDamaged(f"{path}: {error}") from None
    if stored.v > SCHEMA_VERSION:
        raise ReportDamaged(f"{path}: written by a later version of the pilot (schema {stored.v})")
    return stored.report


def _lean(report: Update) -> Update:
    """What the server cannot do without: the state, the errors and where the outputs are."""
    return msgspec.structs.replace(report, metadata=None, pilot_log=None, metrics={})
