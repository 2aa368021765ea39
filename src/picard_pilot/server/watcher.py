"""The watcher: ends jobs that nobody speaks for any more. Its limits are settings.

What follows a failure (the next attempt) follows as for any other.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3

import msgspec

from picard_pilot.server import queries
from picard_pilot.server.adder import end_job
from picard_pilot.server.jobstates import (
    BY_WATCHER,
    CANCELLED,
    FAILED,
    HOLDING,
    PRODUCTION_LABELS,
    RUNNING,
    SENT,
    STARTING,
    TRANSFERRING,
)
from picard_pilot.server.settings import WatchLimits
from picard_pilot.server.store import Store, Transaction

LOST_HEARTBEAT = 100
RECOVERY_FAILED = 101
NEVER_STARTED = 102
HOLDING_TIMEOUT = 103
"""`jobDispatcherErrorCode` of the jobs that the watcher fails."""

WORKER_IS_DONE = 2
"""`supErrorCode`: the worker was known to have ended."""

_WORKER_ENDED = frozenset({"finished", "failed", "cancelled"})

_SQL = queries.load("adder.sql")
_log = logging.getLogger(__name__)


class _Silent(msgspec.Struct, frozen=True, array_like=True):
    """A job that may be overdue, in the order of the query `overdue`."""

    job_id: int
    status: str
    attempt_nr: int
    label: str
    priority: int
    created_at: int
    updated_at: int
    pilot_error_diag: str | None
    exe_error_diag: str | None
    harvester_id: str | None
    worker_id: int | None
    kill_requested: bool
    report_waits: bool


class Watcher:
    """Runs as one task on the server's event loop."""

    def __init__(self, store: Store, limits: WatchLimits, interval_s: float) -> None:
        self._store = store
        self._limits = limits
        self._interval_s = interval_s

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
            except sqlite3.Error as error:
                _log.warning("the watcher will look again in %s s: %s", self._interval_s, error)
            await asyncio.sleep(self._interval_s)

    async def look(self) -> int:
        """Look once; how many jobs were ended."""
        return await self._store.write(lambda transaction: end_overdue(transaction, self._limits))


def end_overdue(transaction: Transaction, limits: WatchLimits) -> int:
    """End every job whose limit has passed."""
    shortest_s = min(
        limits.sent_s,
        limits.running_s,
        limits.holding_user_s,
        limits.holding_production_s,
        limits.holding_urgent_s,
    )
    bounds: dict[str, object] = {
        "silent_before": transaction.now - int(shortest_s * 1000),
        "created_before": transaction.now - int(limits.any_s * 1000),
    }
    ended = 0
    for row in transaction.execute(_SQL["overdue"], bounds).fetchall():
        job = msgspec.convert(row, _Silent, strict=False)
        ended += _end_if_overdue(transaction, job, limits)
    return ended


def _end_if_overdue(transaction: Transaction, job: _Silent, limits: WatchLimits) -> bool:
    if (transaction.now - job.created_at) / 1000 > limits.any_s:
        note = f"not finished within {limits.any_s / 86400:g} days"
        end_job(transaction, job.job_id, CANCELLED, who=BY_WATCHER, note=note)
        return True
    limit_s = _limit_s(job, limits)
    if limit_s is None or (transaction.now - job.updated_at) / 1000 <= limit_s or job.report_waits:
        return False
    code, diag = _reason(job, limit_s)
    errors: dict[str, object] = {"dispatcher_error_code": code, "dispatcher_error_diag": diag}
    if _worker_has_ended(transaction, job):
        errors["sup_error_code"] = WORKER_IS_DONE
    # Nobody wants a next attempt at a job that was to be killed.
    status = CANCELLED if job.kill_requested else FAILED
    end_job(transaction, job.job_id, status, who=BY_WATCHER, note=diag, errors=errors)
    return True


def _limit_s(job: _Silent, limits: WatchLimits) -> float | None:
    if job.status == SENT:
        return limits.sent_s
    if job.status in (STARTING, RUNNING):
        return limits.running_s
    if job.status in (HOLDING, TRANSFERRING):
        if job.label not in PRODUCTION_LABELS:
            return limits.holding_user_s
        is_urgent = job.priority > limits.urgent_priority
        return limits.holding_urgent_s if is_urgent else limits.holding_production_s
    return None


def _reason(job: _Silent, limit_s: float) -> tuple[int, str]:
    hours = f"{limit_s / 3600:g} hours"
    if job.status == SENT:
        return NEVER_STARTED, f"sent job didn't receive reply from pilot within {limit_s / 60:g} min"
    if job.status in (STARTING, RUNNING):
        return LOST_HEARTBEAT, f"lost heartbeat: no update for {hours}"
    if job.pilot_error_diag or job.exe_error_diag:
        return RECOVERY_FAILED, f"job recovery failed for {hours}"
    return HOLDING_TIMEOUT, f"timeout in holding for {hours}"


def _worker_has_ended(transaction: Transaction, job: _Silent) -> bool:
    if job.harvester_id is None or job.worker_id is None:
        return False
    row = transaction.execute(_SQL["worker_status"], (job.harvester_id, str(job.worker_id))).fetchone()
    return row is not None and row[0] in _WORKER_ENDED
