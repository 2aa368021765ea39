"""The curve of what a job's payload uses: a row for each heartbeat that tells it, of bounded number.

What the values mean is `model.usage`; how they travel is `wire.usage_now`. Drawing is the pages' business.
"""

from __future__ import annotations

import sqlite3

import msgspec

from picard_pilot.model.usage import UsageNow
from picard_pilot.server import queries
from picard_pilot.server.store import Transaction
from picard_pilot.system.typed import ready
from picard_pilot.wire.progress import pairs_in
from picard_pilot.wire.usage_now import now_in

MOST_POINTS = 600
"""Of a job: more than a drawing has pixels to show, 60 kB; with a heartbeat each half hour, twelve days."""

_SQL = queries.load("usage.sql")

_IO = {"rchar": "tot_rchar", "wchar": "tot_wchar", "read_bytes": "tot_rbytes", "write_bytes": "tot_wbytes"}
"""Columns and the fields of an update in which the pilot tells them, in bytes."""

_MOST = 2**63 - 1


class UsagePoint(UsageNow, frozen=True, kw_only=True, omit_defaults=True):
    """One row: the payload's use at one moment of its run, with what it had read and written until then."""

    rchar: int | None = None
    wchar: int | None = None
    """Bytes through calls."""
    read_bytes: int | None = None
    write_bytes: int | None = None
    """Bytes from and to a storage."""


ready(UsagePoint)


def keep(transaction: Transaction, job_id: int, values: dict[str, object]) -> None:
    """Add what one update tells of its job's payload, if anything; the same moment told again changes nothing."""
    metrics = values.get("job_metrics")
    now = now_in(pairs_in(metrics)) if isinstance(metrics, str) else None
    if now is None:
        return
    row = {"job_id": job_id, **msgspec.structs.asdict(now)}
    row |= {column: _bytes(values.get(field)) for column, field in _IO.items()}
    if transaction.execute(_SQL["add"], row).rowcount == 0:
        return
    if transaction.execute(_SQL["count"], (job_id,)).fetchone()[0] > MOST_POINTS:
        # Older parts of the curve become coarser than newer ones; its largest values are kept with the job itself.
        transaction.execute(_SQL["thin"], {"job_id": job_id})


def curve(connection: sqlite3.Connection, job_id: int) -> tuple[UsagePoint, ...]:
    """The job's points in the order of its payload's time."""
    cursor = connection.execute(_SQL["of_job"], (job_id,))
    names = [column[0] for column in cursor.description]
    return tuple(msgspec.convert(dict(zip(names, row, strict=True)), UsagePoint) for row in cursor)


def _bytes(value: object) -> int | None:
    return max(0, min(int(value), _MOST)) if isinstance(value, int | float) else None
