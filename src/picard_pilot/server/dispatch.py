"""Giving out jobs: which waiting jobs a request gets, in which order, and what is noted about it.

Whether the caller may ask is decided before; reading the request is `pilot_calls`' business.
"""

from __future__ import annotations

from collections import deque

import msgspec

from picard_pilot.server import queries
from picard_pilot.server.jobstates import BY_DISPATCHER, SENT, labels_for
from picard_pilot.server.store import Transaction
from picard_pilot.wire import jobspec

RESERVE_S = 10
"""A real server keeps ten seconds of the caller's `timeout` in hand, so ten or less never yields a job."""

MAX_JOBS_PER_REQUEST = 1000
"""A request for more gets this many: one answer should not hold the whole queue."""

_SENT_WINDOW_MS = 60_000
"""`nSent` counts the jobs sent to the queue in the last minute."""

_SQL = queries.load("jobs.sql")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request for jobs. Limits of 0 do not limit; `owner` None means anyone's jobs."""

    queue: str
    count: int = 1
    label: str | None = None
    memory_mb: int = 0
    disk_mb: int = 0
    remaining_s: float = 0
    owner: str | None = None
    task_id: int | None = None
    resource_type: str | None = None
    node: str | None = None
    scheduler_id: str | None = None
    harvester_id: str | None = None
    worker_id: int | None = None


class SentCounter:
    """How many jobs each queue got in the last minute; forgotten at a restart, as nobody minds."""

    def __init__(self) -> None:
        self._sent: dict[str, deque[int]] = {}

    def count(self, queue: str, now: int, given: int) -> int:
        """Note `given` more and return the number of the last minute."""
        times = self._sent.setdefault(queue, deque())
        times.extend([now] * given)
        while times and times[0] <= now - _SENT_WINDOW_MS:
            times.popleft()
        return len(times)


def acquire(transaction: Transaction, request: Request, counter: SentCounter) -> list[msgspec.Raw]:
    """Jobs for this request as job dictionaries, now `sent`; the best first, none where nothing fits."""
    rows = transaction.execute(
        _SQL["waiting"],
        {
            "queue": request.queue,
            "labels": msgspec.json.encode(labels_for(request.label)).decode(),
            "memory_mb": request.memory_mb,
            "disk_mb": request.disk_mb,
            "remaining_s": request.remaining_s,
            "owner": request.owner,
            "task_id": request.task_id,
            "resource_type": request.resource_type,
            "count": max(0, min(MAX_JOBS_PER_REQUEST, request.count)),
        },
    ).fetchall()
    n_sent = counter.count(request.queue, transaction.now, len(rows))
    given = [_send(transaction, request, row, n_sent) for row in rows]
    _note_who_asked(transaction, request, [row[0] for row in rows])
    return given


def _send(transaction: Transaction, request: Request, row: tuple[int, int, int], n_sent: int) -> msgspec.Raw:
    job_id, attempt_nr, debug = row
    transaction.execute(
        _SQL["send"],
        {
            "now": transaction.now,
            "node": request.node,
            "scheduler_id": request.scheduler_id,
            "harvester_id": request.harvester_id,
            "worker_id": request.worker_id,
            "job_id": job_id,
        },
    )
    transaction.log(job_id, SENT, who=BY_DISPATCHER, host=request.node)
    dictionary, log_guid = transaction.execute(_SQL["dictionary"], (job_id,)).fetchone()
    return msgspec.Raw(
        jobspec.attempt(
            dictionary,
            job_id=job_id,
            attempt_nr=attempt_nr,
            log_guid=log_guid,
            debug=bool(debug),
            n_sent=n_sent,
        )
    )


def _note_who_asked(transaction: Transaction, request: Request, job_ids: list[int]) -> None:
    if request.node is not None:
        transaction.execute(
            _SQL["see_pilot"],
            {
                "queue": request.queue,
                "node": request.node,
                "now": transaction.now,
                "given": len(job_ids),
                "last_job_id": max(job_ids, default=None),
            },
        )
    if request.harvester_id is not None and request.worker_id is not None:
        see_worker(transaction, request.harvester_id, str(request.worker_id), None, request.node)


def see_worker(
    transaction: Transaction, harvester_id: str, worker_id: str, status: str | None, node_id: str | None
) -> None:
    """Note a worker, made if it is new."""
    transaction.execute(
        _SQL["see_worker"],
        {
            "harvester_id": harvester_id,
            "worker_id": worker_id,
            "status": status,
            "node_id": node_id,
            "now": transaction.now,
        },
    )
