"""What jobs took of slots: kept when an attempt ends, summed by phase, cause, blame and attempt.

The pilot tells it with its last report; where no pilot lived to tell, the status log knows when it was in which phase.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from picard_pilot.diagnosis.catalogue.dispatcher import row_of
from picard_pilot.model.cost import COSTLY, Cost, Saving
from picard_pilot.model.fault import Blame
from picard_pilot.model.states import Phase
from picard_pilot.server import queries
from picard_pilot.server.jobstates import CANCELLED, CLOSED, FINISHED, RUNNING, SENT, STARTING
from picard_pilot.server.store import Transaction
from picard_pilot.wire.cost import cost_in
from picard_pilot.wire.progress import pairs_in

_SQL = queries.load("costs.sql")
_LOG = queries.load("status_log.sql")

BY_PILOT, BY_SERVER = "pilot", "server"

STOPPED = "STOPPED"
"""The cause of jobs that somebody, or the server's rules, ended without an error."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of all that was spent: core seconds by phase, and what went with them."""

    jobs: int = 0
    core_s: dict[Phase, float] = {}
    cpu_s: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0

    @property
    def total_s(self) -> float:
        """Core seconds of all phases."""
        return sum(self.core_s.values())


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """What work was lost to: the error that decided, by component and number, and who has to act."""

    component: str
    code: int
    name: str
    blame: str
    part: Part


class OfAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """What the first, second ... attempts at work took."""

    number: int
    good: Part
    lost: Part


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs that ended well because something kept their work from being lost: core seconds of their payloads."""

    by: str
    jobs: int
    core_s: float


class CostSummary(msgspec.Struct, frozen=True, kw_only=True):
    """All attempts that ended, as one account: `lost` is the sum of `causes`, of `blames` and of `attempts`."""

    good: Part
    lost: Part
    causes: tuple[Cause, ...]
    """The dearest first."""
    blames: dict[str, Part]
    attempts: tuple[OfAttempt, ...]
    saved: tuple[Saved, ...]
    spared: int
    """Tries at storages known to be sick that were not made."""
    told_by_server: int
    """Jobs whose pilots did not live to tell: their cost is known to a heartbeat's length."""


class CostFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which ended attempts count."""

    since: datetime | None = None
    queue: str | None = None
    owner: str | None = None


class JobCost(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt's cost, and who told it: pilot or server."""

    told_by: str
    cost: Cost


def keep(transaction: Transaction, job_id: int) -> None:
    """Note what an attempt that has ended took; nothing for one that no pilot ever had. May be called twice."""
    cores, told_cores, sent_at, updated_at, cpu_s, metrics = transaction.execute(
        _SQL["ended"], (job_id,)
    ).fetchone()
    if sent_at is None:
        return
    cores = told_cores or cores
    cost, told_by = cost_in(pairs_in(metrics or ""), cores, cpu_s), BY_PILOT
    if cost is None:
        cost, told_by = _from_log(transaction, job_id, cores, cpu_s, updated_at), BY_SERVER
    row: dict[str, object] = {f"{phase.value}_s": cost.wall_s.get(phase, 0.0) for phase in COSTLY}
    row |= {name: getattr(cost, name) for name in ("cores", "cpu_s", "bytes_in", "bytes_out", "spared")}
    saved_by = "+".join(cost.saved_by) or None
    transaction.execute(_SQL["keep"], {**row, "job_id": job_id, "told_by": told_by, "saved_by": saved_by})


def of_job(connection: sqlite3.Connection, job_id: int) -> JobCost | None:
    """What one ended attempt took; None while it goes on, or if no pilot ever had it."""
    row = next(_rows(connection, "of_job", (job_id,)), None)
    if row is None:
        return None
    words = (row["saved_by"] or "").split("+")
    cost = Cost(
        cores=row["cores"],
        wall_s={phase: row[f"{phase.value}_s"] for phase in COSTLY},
        saved_by=tuple(saving for saving in Saving if saving in words),
        **{name: row[name] for name in ("cpu_s", "bytes_in", "bytes_out", "spared")},
    )
    return JobCost(told_by=row["told_by"], cost=cost)


def summary(connection: sqlite3.Connection, wanted: CostFilter) -> CostSummary:
    """The account of all attempts that match."""
    since = None if wanted.since is None else int(wanted.since.timestamp() * 1000)
    parameters = {"since": since, "queue": wanted.queue, "owner": wanted.owner}
    rows = [(row, _part(row)) for row in _rows(connection, "sums", parameters)]
    good = [(row, part) for row, part in rows if row["status"] == FINISHED]
    lost = [(row, part) for row, part in rows if row["status"] != FINISHED]
    causes: dict[tuple[str, int, str, str], list[Part]] = {}
    for row, part in lost:
        causes.setdefault(_cause(row), []).append(part)
    found = [
        Cause(component=component, code=code, name=name, blame=blame, part=_sum(parts))
        for (component, code, name, blame), parts in causes.items()
    ]
    numbers = sorted({row["attempt_nr"] for row, _ in rows})
    return CostSummary(
        good=_sum(part for _, part in good),
        lost=_sum(part for _, part in lost),
        causes=tuple(sorted(found, key=lambda cause: (-cause.part.total_s, cause.name))),
        blames={
            blame: _sum(cause.part for cause in found if cause.blame == blame)
            for blame in sorted({cause.blame for cause in found})
        },
        attempts=tuple(
            OfAttempt(number=number, good=_of_attempt(good, number), lost=_of_attempt(lost, number))
            for number in numbers
        ),
        saved=tuple(_saved(good, saving) for saving in Saving if _has(good, saving)),
        spared=int(sum(row["spared"] for row, _ in rows)),
        told_by_server=sum(row["jobs"] for row, _ in rows if row["told_by"] == BY_SERVER),
    )


_Row = tuple[dict[str, Any], Part]


def _from_log(
    transaction: Transaction, job_id: int, cores: int, cpu_s: float | None, last_word_at: int
) -> Cost:
    """From one change of the status log to the next, and at the end until the pilot's last word."""
    history = transaction.execute(_LOG["of_job"], (job_id,)).fetchall()
    wall_s: dict[Phase, float] = {}
    begins = [(at, _phase(status, sub_status)) for _, at, status, sub_status, *_ in history]
    ends = [at for at, _ in begins[1:]] + [last_word_at]
    for (begun_at, phase), ended_at in zip(begins, ends, strict=True):
        if phase is not None:
            seconds = max(0, min(ended_at, last_word_at) - begun_at) / 1000
            wall_s[phase] = wall_s.get(phase, 0.0) + seconds
    return Cost(cores=max(1, cores), wall_s=wall_s, cpu_s=cpu_s)


def _phase(status: str, sub_status: str | None) -> Phase | None:
    """The costly phase that a line of the status log begins; None for one in which no slot was taken."""
    if status == SENT:
        return Phase.STARTING
    if status not in (STARTING, RUNNING):
        return None
    if sub_status in COSTLY:
        return Phase(sub_status)
    return Phase.STARTING if status == STARTING else Phase.RUNNING


def _cause(row: Mapping[str, Any]) -> tuple[str, int, str, str]:
    """Component, number, name and blame of what an attempt was lost to."""
    if row["status"] in (CANCELLED, CLOSED) or row["component"] is None:
        return "user", 0, STOPPED, Blame.USER.value
    component, code, blame = row["component"], row["code"], row["blame"]
    name, usual = _named(component, code)
    return component, code, name, blame or usual


def _named(component: str, code: int) -> tuple[str, str]:
    """What people call an error, and who usually has to act."""
    if (known := row_of(component, code)) is not None:
        return known.name, known.blame.value
    if component in ("exe", "payload"):
        return f"the payload's own {code}", Blame.PAYLOAD.value
    if component == "ddm":
        return f"registration {code}", Blame.SERVER.value
    return (f"{component} {code}" if code else "NOREASON"), "unknown"


def _part(row: Mapping[str, Any]) -> Part:
    return Part(
        jobs=row["jobs"],
        core_s={phase: row[phase.value] for phase in COSTLY if row[phase.value]},
        cpu_s=row["cpu_s"],
        bytes_in=int(row["bytes_in"]),
        bytes_out=int(row["bytes_out"]),
    )


def _sum(parts: Iterable[Part]) -> Part:
    parts = tuple(parts)
    core_s = {phase: sum(part.core_s.get(phase, 0.0) for part in parts) for phase in COSTLY}
    return Part(
        jobs=sum(part.jobs for part in parts),
        core_s={phase: seconds for phase, seconds in core_s.items() if seconds},
        cpu_s=sum(part.cpu_s for part in parts),
        bytes_in=sum(part.bytes_in for part in parts),
        bytes_out=sum(part.bytes_out for part in parts),
    )


def _of_attempt(rows: Iterable[_Row], number: int) -> Part:
    return _sum(part for row, part in rows if row["attempt_nr"] == number)


def _has(rows: Iterable[_Row], saving: Saving) -> bool:
    return any(saving in (row["saved_by"] or "").split("+") for row, _ in rows)


def _saved(rows: Iterable[_Row], saving: Saving) -> Saved:
    parts = [part for row, part in rows if saving in (row["saved_by"] or "").split("+")]
    return Saved(
        by=saving.value,
        jobs=sum(part.jobs for part in parts),
        core_s=sum(part.core_s.get(Phase.RUNNING, 0.0) for part in parts),
    )


def _rows(
    connection: sqlite3.Connection, query: str, parameters: Mapping[str, object] | tuple[object, ...]
) -> Iterator[dict[str, Any]]:
    cursor = connection.execute(_SQL[query], parameters)
    names = [column[0] for column in cursor.description]
    return (dict(zip(names, row, strict=True)) for row in cursor)
