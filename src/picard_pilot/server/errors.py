"""Errors of failed jobs: what decided is kept when a job ends, and counted by code, fingerprint and storage.

The pilot tells it with its last report (`wire.error_notes`). What the pages make of the counts is theirs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from picard_pilot.diagnosis.catalogue.dispatcher import DISPATCHER, row_of
from picard_pilot.server import queries
from picard_pilot.server.store import Transaction
from picard_pilot.system.typed import ready
from picard_pilot.wire.error_notes import error_in, group_in
from picard_pilot.wire.progress import pairs_in

MOST_ROWS = 200
"""Of one table: more different errors than anybody reads."""

MOST_BARS = 40
"""Of the drawing over time: as many as can be told apart on half a screen."""

_STEPS_S = (60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 7 * 86400, 28 * 86400)

_SQL = queries.load("errors.sql")


class ErrorFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which failed jobs count; None: any. `component` says whose number `code` is."""

    since: datetime | None = None
    queue: str | None = None
    owner: str | None = None
    host: str | None = None
    component: str | None = None
    code: int | None = None
    fingerprint: str | None = None
    finer: str | None = None
    endpoint: str | None = None


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """Failed jobs that have something in common: how many, on how many nodes, whose, when, and the newest of them."""

    component: str
    code: int
    name: str | None
    """What the catalogue calls it."""
    jobs: int
    nodes: int
    users: int
    queues: int
    first_at: datetime
    last_at: datetime
    last_job_id: int
    sample: str
    """What the newest job said; of a group the lines of the first."""


class Same(msgspec.Struct, frozen=True, kw_only=True):
    """What a job failed of, and how many did in all, this one among them."""

    component: str
    code: int
    fingerprint: str | None
    finer: str | None
    endpoint: str | None
    jobs: int
    nodes: int


class CodeCount(Counted, frozen=True, kw_only=True):
    """All failures with one number."""

    category: int | None
    """The monitor's kind of error; None where the catalogue has no row."""
    blame: str | None
    """Who has to act; None where jobs differ in that, or nothing is known."""


class GroupCount(Counted, frozen=True, kw_only=True):
    """All failures with one fingerprint."""

    fingerprint: str
    text: str
    """What they share: the telling lines without what differs from job to job."""
    file: str
    """Where these lines stood."""


class TransferCount(Counted, frozen=True, kw_only=True):
    """All failed transfers of one phase and class at one storage."""

    finer: str
    endpoint: str | None


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of time with the jobs that failed in it, by component and number."""

    at: datetime
    jobs: dict[str, int]
    """`pilot:1305` and how many."""


class ErrorSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The failures of a choice of jobs. The tables are cut to `MOST_ROWS`, the most frequent first."""

    jobs: int
    nodes: int
    codes: tuple[CodeCount, ...]
    groups: tuple[GroupCount, ...]
    transfers: tuple[TransferCount, ...]
    step_s: int
    slots: tuple[Slot, ...]
    """In the order of time, `step_s` long each; those without failures are left out."""


_Kind = TypeVar("_Kind", bound=Counted)

ready(Same, CodeCount, GroupCount, TransferCount, ErrorSummary)


def keep(transaction: Transaction, job_id: int) -> None:
    """Note what decided that a job failed, as its pilot told it. May be called twice."""
    metrics = transaction.execute(_SQL["told"], (job_id,)).fetchone()[0]
    told = error_in(pairs_in(metrics or ""))
    row = {**msgspec.structs.asdict(told), "job_id": job_id, "now": transaction.now}
    transaction.execute(_SQL["keep"], row)
    if told.fingerprint is None:
        return
    note = transaction.execute(_SQL["pilot_log"], (job_id,)).fetchone()
    group = None if note is None else group_in(note[0])
    if group is not None and group.fingerprint == told.fingerprint:
        transaction.execute(_SQL["keep_group"], tuple(group))


def summary(connection: sqlite3.Connection, wanted: ErrorFilter, now_ms: int) -> ErrorSummary:
    """All failures that match, counted; `now_ms` is where the time of the drawing ends."""
    chosen, values = conditions(wanted)
    values["limit"] = MOST_ROWS
    total = next(_rows(connection, "total", chosen, values))
    begin = total["first_at"] if wanted.since is None else _ms(wanted.since)
    step_s = _step_s(0 if begin is None else (max(now_ms, total["last_at"] or 0) - begin) / 1000)
    return ErrorSummary(
        jobs=total["jobs"],
        nodes=total["nodes"],
        codes=tuple(_code_count(row) for row in _rows(connection, "by_code", chosen, values)),
        groups=tuple(_count(row, GroupCount) for row in _rows(connection, "by_fingerprint", chosen, values)),
        transfers=tuple(
            _count(row, TransferCount) for row in _rows(connection, "by_transfer", chosen, values)
        ),
        step_s=step_s,
        slots=_slots(connection, chosen, values, step_s * 1000),
    )


def same(connection: sqlite3.Connection, job_id: int) -> Same | None:
    """How many jobs failed of the same as this one: error, fingerprint, class, storage; None if it has not failed."""
    row = next(_rows(connection, "same", "", (job_id,)), None)
    return None if row is None else msgspec.convert(row, Same)


def conditions(wanted: ErrorFilter) -> tuple[str, dict[str, object]]:
    """The choice as conditions on rows of `job_errors`, and the values that they name."""
    values: dict[str, object] = {
        name: value
        for name, value in msgspec.structs.asdict(wanted).items()
        if value is not None and name != "since"
    }
    chosen = [f"{name} = :{name}" for name in values]
    if wanted.since is not None:
        chosen.append("at >= :since")
        values["since"] = _ms(wanted.since)
    return " AND ".join(chosen) or "1", values


def name_of(component: str, code: int) -> str | None:
    """What the catalogue calls an error; None for a number that it does not have."""
    row = row_of(component, code)
    return None if row is None else row.name


def _code_count(row: dict[str, Any]) -> CodeCount:
    known = row_of(row["component"], row["code"])
    blame = row["blame"] if row["blames"] == 1 else None
    if known is not None and (row["blames"] == 0 or row["component"] == DISPATCHER):
        blame = known.blame.value
    category = None if known is None else int(known.category)
    return _count({**row, "blame": blame, "category": category}, CodeCount)


def _count(row: dict[str, Any], kind: type[_Kind]) -> _Kind:
    moments = {name: _moment(row[name]) for name in ("first_at", "last_at")}
    return msgspec.convert({**row, **moments, "name": name_of(row["component"], row["code"])}, kind)


def _slots(
    connection: sqlite3.Connection, chosen: str, values: Mapping[str, object], step_ms: int
) -> tuple[Slot, ...]:
    found: dict[int, dict[str, int]] = {}
    for row in _rows(connection, "over_time", chosen, {**values, "step": step_ms}):
        found.setdefault(row["slot"], {})[f"{row['component']}:{row['code']}"] = row["jobs"]
    return tuple(Slot(at=_moment(slot * step_ms), jobs=jobs) for slot, jobs in sorted(found.items()))


def _step_s(seconds: float) -> int:
    return next((step for step in _STEPS_S if seconds / step <= MOST_BARS), _STEPS_S[-1])


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _rows(
    connection: sqlite3.Connection,
    query: str,
    chosen: str,
    values: Mapping[str, object] | tuple[object, ...],
) -> Iterator[dict[str, Any]]:
    cursor = connection.execute(_SQL[query].format(chosen=chosen), values)
    names = [column[0] for column in cursor.description]
    return (dict(zip(names, row, strict=True)) for row in cursor)
