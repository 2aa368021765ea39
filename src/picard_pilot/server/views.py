"""What people look at, as typed rows: jobs, one job in full, counts, pilots, workers, and the feed of changes.

Read only. Rendering is the pages' and the JSON calls' business.
"""

from __future__ import annotations

import sqlite3
import typing
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime

import msgspec

from picard_pilot.model.usage import ToldLimit
from picard_pilot.server import costs, errors, queries
from picard_pilot.server.costs import CostFilter, CostSummary
from picard_pilot.server.errors import ErrorFilter, ErrorSummary, Same
from picard_pilot.server.feed import Change
from picard_pilot.server.store import Store
from picard_pilot.server.usage import UsagePoint, curve
from picard_pilot.system.typed import ready
from picard_pilot.wire.limit_notes import limits_in

DEFAULT_LIMIT = 50
MAX_LIMIT = 5000
"""Rows of one answer: a page shows 50, a script may ask for more, nobody for everything at once."""

FINAL_STATUSES = ("finished", "failed", "cancelled", "closed")
"""Job statuses that nothing leaves."""

_SQL = queries.load("views.sql")


class JobError(msgspec.Struct, frozen=True, kw_only=True):
    """One error of a job: which component says so (pilot, exe, payload, ddm, dispatcher), number and text."""

    component: str
    code: int
    diag: str | None


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """One job in a list. Times are UTC; what is unknown or has not happened is None."""

    job_id: int
    attempt_nr: int
    max_attempt: int
    parent_id: int | None
    first_id: int
    name: str
    queue: str
    label: str
    owner: str
    priority: int
    cores: int
    status: str
    sub_status: str | None
    """The pilot's phase while it works: starting, setup, stagein, running, stageout, finishing."""
    kill_requested: bool
    debug: bool
    host: str | None
    pilot_id: str | None
    batch_id: str | None
    created_at: datetime
    sent_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    changed_at: datetime
    updated_at: datetime
    errors: tuple[JobError, ...]
    """Empty for a job without errors; a payload exit of 0 is none."""


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs to list, newest first. `before`: only jobs with a smaller id (the next page)."""

    statuses: tuple[str, ...] = ()
    sub_status: str | None = None
    queue: str | None = None
    owner: str | None = None
    since: datetime | None = None
    error_code: int | None = None
    """Any error or exit status of the job."""
    host: str | None = None
    failure: ErrorFilter | None = None
    """What decided that the job failed: its component and code, fingerprint, finer class and endpoint only."""
    before: int | None = None
    limit: int = DEFAULT_LIMIT


class JobList(msgspec.Struct, frozen=True, kw_only=True):
    """One page of jobs, and how many the filter matches in all."""

    rows: tuple[JobRow, ...]
    total: int
    event_id: int
    """The newest change that is surely contained; subscribe after it to miss nothing."""


class StatusChange(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a job's history."""

    event_id: int
    at: datetime
    status: str
    sub_status: str | None
    host: str | None
    who: str
    """user, dispatcher, pilot, adder or watcher."""
    note: str | None


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a job. `status`: unknown (not yet there), ready, failed, skipped or absent (allowed to be)."""

    lfn: str
    role: str
    scope: str | None
    guid: str | None
    dataset: str | None
    size_bytes: int | None
    checksum: str | None
    endpoint: str | None
    surl: str | None
    may_be_absent: bool
    status: str


class JobDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One job in full."""

    row: JobRow
    transformation: str
    parameters: str
    resources: dict[str, int | None]
    """Limits asked for: memory_mb, disk_mb, walltime_s."""
    usage: dict[str, int | float | str]
    """What the pilot measured, by wire name; only what it said."""
    files: tuple[FileRow, ...]
    history: tuple[StatusChange, ...]
    attempts: tuple[JobRow, ...]
    """All attempts at this work in order, this one among them."""
    command: str | None
    metadata: str | None
    debug_stdout: str | None
    pilot_log: str | None
    same: Same | None = None
    """Of a failed job: how many failed of the same."""
    limits: tuple[ToldLimit, ...] = ()
    """The payload's limits, as its pilot told them."""
    curve: tuple[UsagePoint, ...] = ()
    """What the payload used over time."""
    transfer_notes: tuple[str, ...] = ()
    """Where the job's files came from and went, as its pilots told it (`wire.transfer_notes`), oldest first."""
    event_id: int


class PilotRow(msgspec.Struct, frozen=True, kw_only=True):
    """A pilot as the server saw it ask for jobs: one row per queue and node."""

    queue: str
    node: str
    first_seen_at: datetime
    last_seen_at: datetime
    requests: int
    jobs_given: int
    last_job_id: int | None


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as Harvester numbers them, with the status its pilot told."""

    harvester_id: str
    worker_id: str
    status: str | None
    node_id: str | None
    first_seen_at: datetime
    last_seen_at: datetime


class Views:
    """All reads that pages and tools need; made once per server."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def jobs(self, job_filter: JobFilter) -> JobList:
        """Jobs that match, newest first."""
        event_id = self.revision()
        return await self._store.read(lambda connection: _jobs(connection, job_filter, event_id))

    async def job(self, job_id: int) -> JobDetail | None:
        """One job in full, or None."""
        event_id = self.revision()
        return await self._store.read(lambda connection: _job(connection, job_id, event_id))

    async def cost(self, wanted: CostFilter) -> CostSummary:
        """What ended attempts took of slots."""
        return await self._store.read(lambda connection: costs.summary(connection, wanted))

    async def counts(self) -> dict[str, int]:
        """Number of jobs by status; a status without jobs is missing."""
        return await self._store.read(_counts)

    async def pilots(self, limit: int = DEFAULT_LIMIT) -> tuple[PilotRow, ...]:
        """Who asked for jobs, the latest first."""
        return await self._store.read(
            lambda connection: tuple(
                msgspec.convert(row, PilotRow) for row in _dicts(connection, "pilots", limit)
            )
        )

    async def workers(self, limit: int = DEFAULT_LIMIT) -> tuple[WorkerRow, ...]:
        """Workers that told their status, the latest first."""
        return await self._store.read(
            lambda connection: tuple(
                msgspec.convert(row, WorkerRow) for row in _dicts(connection, "workers", limit)
            )
        )

    async def errors(self, wanted: ErrorFilter) -> ErrorSummary:
        """What jobs failed of."""
        now_ms = self._store.clock()
        return await self._store.read(lambda connection: errors.summary(connection, wanted, now_ms))

    def revision(self) -> int:
        """The event id of the newest change; grows with every change, also over restarts."""
        return self._store.feed.last_event_id

    def subscribe(self, after: int | None = None) -> AsyncIterator[Change]:
        """Changes after that event id (None: from now on) until the server stops; never ends before."""
        return self._store.feed.subscribe(after)


def _counts(connection: sqlite3.Connection) -> dict[str, int]:
    return dict(connection.execute(_SQL["counts"]).fetchall())


def _jobs(connection: sqlite3.Connection, wanted: JobFilter, event_id: int) -> JobList:
    failure = wanted.failure or ErrorFilter()
    told = {
        name: getattr(failure, name) for name in ("component", "code", "fingerprint", "finer", "endpoint")
    }
    parameters = {
        **told,
        "by_failure": any(value is not None for value in told.values()),
        "host": wanted.host,
        "status": msgspec.json.encode(wanted.statuses).decode() if wanted.statuses else None,
        "sub_status": wanted.sub_status,
        "queue": wanted.queue,
        "owner": wanted.owner,
        "since": None if wanted.since is None else int(wanted.since.timestamp() * 1000),
        "error_code": wanted.error_code,
        "before": wanted.before,
        "limit": max(0, min(MAX_LIMIT, wanted.limit)),
    }
    rows = tuple(map(_job_row, _dicts(connection, "rows", parameters)))
    total = connection.execute(_SQL["total"], parameters).fetchone()[0]
    return JobList(rows=rows, total=total, event_id=event_id)


def _job(connection: sqlite3.Connection, job_id: int, event_id: int) -> JobDetail | None:
    found = list(_dicts(connection, "detail", job_id))
    if not found:
        return None
    job = found[0]
    history = queries.load("status_log.sql")["of_job"]
    dictionary = _text(connection, "dictionary", job_id)
    return JobDetail(
        row=_job_row(job),
        transformation=job["transformation"],
        parameters=_parameters(dictionary),
        resources={name: job[name] for name in ("memory_mb", "disk_mb", "walltime_s")},
        usage={name: job[name] for name in _USAGE if job[name] is not None},
        files=tuple(
            msgspec.convert(row, FileRow, strict=False) for row in _dicts(connection, "files", job_id)
        ),
        history=tuple(_status_change(row) for row in connection.execute(history, (job_id,))),
        attempts=tuple(map(_job_row, _dicts(connection, "attempts", job_id))),
        command=job["command"],
        metadata=_text(connection, "metadata", job_id),
        debug_stdout=_text(connection, "debug_stdout", job_id),
        pilot_log=_text(connection, "pilot_log", job_id),
        transfer_notes=tuple(
            str(text) for (text,) in connection.execute(_SQL["transfer_notes"], (job_id,)).fetchall()[::-1]
        ),
        same=errors.same(connection, job_id),
        limits=limits_in(_text(connection, "limits", job_id) or ""),
        curve=curve(connection, job_id),
        event_id=event_id,
    )


_USAGE = (
    *("cpu_consumption_time", "cpu_consumption_unit", "cpu_conversion_factor", "cpu_architecture_level"),
    *("core_count", "mean_core_count", "n_events", "n_input_files", "pilot_timing", "job_metrics"),
    *("reported_start", "reported_end"),
    *(f"{kind}_{name}" for kind in ("max", "avg") for name in ("rss", "vmem", "swap", "pss")),
    *(f"{kind}_{name}" for kind in ("tot", "rate") for name in ("rchar", "wchar", "rbytes", "wbytes")),
)

_ERRORS = (
    ("pilot", "pilot_error_code", "pilot_error_diag"),
    ("exe", "exe_error_code", "exe_error_diag"),
    ("payload", "trans_exit_code", None),
    ("ddm", "ddm_error_code", "ddm_error_diag"),
    ("dispatcher", "dispatcher_error_code", "dispatcher_error_diag"),
)


def _dicts(connection: sqlite3.Connection, query: str, parameters: object) -> Iterable[dict[str, typing.Any]]:
    bound = parameters if isinstance(parameters, dict) else (parameters,)
    cursor = connection.execute(_SQL[query], bound)
    names = [column[0] for column in cursor.description]
    for row in cursor:
        yield {
            name: _moment(value) if name.endswith("_at") else value
            for name, value in zip(names, row, strict=True)
        }


def _job_row(job: dict[str, typing.Any]) -> JobRow:
    errors = tuple(
        JobError(component=component, code=job[code], diag=job[diag] if diag else None)
        for component, code, diag in _ERRORS
        if job[code]
    )
    return msgspec.convert({**job, "errors": errors}, JobRow, strict=False)


def _status_change(row: tuple[typing.Any, ...]) -> StatusChange:
    event_id, at, status, sub_status, host, who, note = row
    moment = _moment(at)
    assert moment is not None
    return StatusChange(
        event_id=event_id, at=moment, status=status, sub_status=sub_status, host=host, who=who, note=note
    )


def _text(connection: sqlite3.Connection, query: str, job_id: int) -> str | None:
    row = connection.execute(_SQL[query], (job_id,)).fetchone()
    if row is None:
        return None
    return row[0].decode() if isinstance(row[0], bytes) else str(row[0])


class _Dictionary(msgspec.Struct):
    """The one field of the job dictionary that a job's page shows."""

    jobPars: str = ""


ready(JobRow, FileRow, PilotRow, WorkerRow, _Dictionary)  # the store reads in several threads


def _parameters(dictionary: str | None) -> str:
    return "" if dictionary is None else msgspec.json.decode(dictionary, type=_Dictionary).jobPars


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
