"""What can be looked at: the list of jobs and one job, each read once and shown as page, part or data.

A view knows what it shows and when it has to be shown again; the stream that does so is `live`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

import msgspec

from picard_pilot.server.errors import ErrorSummary
from picard_pilot.server.pages import errors, render, sentences, stranding, words
from picard_pilot.server.pages.choice import BadChoice, Choice, address, now
from picard_pilot.server.pages.facts import JobFacts
from picard_pilot.server.pages.source import JobSource
from picard_pilot.server.views import JobFilter

#: Rows of the list: what a screen or two hold, and a page that is quick to draw again.
LIST_LIMIT = 50

#: While a job is active its bars grow: how often they are drawn anew. A list costs more than one job.
JOB_TICK_S, LIST_TICK_S = 1.0, 2.0

#: How often errors are counted anew.
ERRORS_TICK_S = 30.0


class Shown(Protocol):
    """What was read for a view, ready to be shown."""

    #: Seconds after which it looks different although nothing happened; None: not before the next change.
    tick_s: float | None

    def html(self, page: render.Page, *, whole: bool) -> str:
        """The page, or the part of it that changes."""

    def data(self) -> dict[str, Any]:
        """The same for programs, with the name and version of its form."""


class View(Protocol):
    """One address of the monitor."""

    def address(self) -> str:
        """Path and query of its page, below the server's root."""

    def query(self) -> str:
        """The view as the query of a stream's address; `view_of` reads it back."""

    async def read(self, source: JobSource) -> Shown | None:
        """The newest facts; None if there is no such thing."""

    def concerns(self, job_id: int | None) -> bool:
        """Whether a change of this job (None: of any) may change what is shown."""


class JobList:
    """The newest jobs, of all states or of one tile's; with a choice only those that it means."""

    def __init__(self, state: str, choice: Choice | None = None) -> None:
        self.state, self.choice = state, choice or Choice()

    def address(self) -> str:
        state = "" if self.state == "all" else urlencode({"state": self.state})
        return address("/jobs", "&".join(filter(None, (state, self.choice.query()))))

    def query(self) -> str:
        return "&".join(filter(None, (urlencode({"page": "jobs", "state": self.state}), self.choice.query())))

    async def read(self, source: JobSource) -> Shown | None:
        chosen = self.choice.filter(now())
        wanted = JobFilter(
            statuses=tuple(sorted(render.STATES_OF_TILE[self.state])),
            queue=chosen.queue,
            owner=chosen.owner,
            host=chosen.host,
            since=chosen.since,
            failure=chosen,
            limit=LIST_LIMIT,
        )
        rows, total = await source.jobs(wanted)
        return _ShownList(tuple(rows), dict(await source.counts()), self.state, self.choice, total)

    def concerns(self, job_id: int | None) -> bool:
        return True


class Stranded:
    """The jobs that wait on nodes: what they made lies on a disk, and a later pilot has to come for it."""

    def address(self) -> str:
        return "/stranded"

    def query(self) -> str:
        return urlencode({"page": "stranded"})

    async def read(self, source: JobSource) -> Shown | None:
        rows, total = await source.stranded(LIST_LIMIT)
        return _ShownStranded(tuple(rows), total)

    def concerns(self, job_id: int | None) -> bool:
        return True


class Errors:
    """What jobs fail of, counted."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice

    def address(self) -> str:
        return address("/errors", self.choice.query())

    def query(self) -> str:
        return "&".join(filter(None, (urlencode({"page": "errors"}), self.choice.query())))

    async def read(self, source: JobSource) -> Shown | None:
        return _ShownErrors(await source.errors(self.choice.filter(now())), self.choice)

    def concerns(self, job_id: int | None) -> bool:
        # Counting costs more than one job's page: it is done anew with each tick, however many jobs change.
        return job_id is None


class OneJob:
    """One job with all that is known about it."""

    def __init__(self, job_id: int) -> None:
        self.job_id = job_id
        self._attempts = {job_id}

    def address(self) -> str:
        return f"/jobs/{self.job_id}"

    def query(self) -> str:
        return urlencode({"page": "job", "id": self.job_id})

    async def read(self, source: JobSource) -> Shown | None:
        facts = await source.job(self.job_id)
        if facts is None:
            return None
        self._attempts = {self.job_id, *(other.job_id for other in facts.attempts)}
        return _ShownJob(facts)

    def concerns(self, job_id: int | None) -> bool:
        # The newest attempt's first change names a job that is not among the known ones: its parent is,
        # and its own change of state comes with it.
        return job_id is None or job_id in self._attempts


class _ShownList:
    def __init__(
        self, rows: tuple[JobFacts, ...], counts: Mapping[str, int], state: str, choice: Choice, total: int
    ) -> None:
        self._rows, self._counts, self._state, self._choice, self._total = rows, counts, state, choice, total
        moving = any(row.status not in words.FINAL for row in rows)
        self.tick_s = LIST_TICK_S if moving else None

    def html(self, page: render.Page, *, whole: bool) -> str:
        if self._choice == Choice():
            return render.jobs(self._rows, self._counts, page, state=self._state, whole=whole)
        return render.chosen_jobs(self._rows, self._total, page, self._state, self._choice, whole=whole)

    def data(self) -> dict[str, Any]:
        jobs = [_plain(row) for row in self._rows]
        data = {"counts": dict(self._counts), "total": self._total, "jobs": jobs}
        return {"schema": "ppilot.jobs/1", "data": data}


class _ShownErrors:
    def __init__(self, found: ErrorSummary, choice: Choice) -> None:
        self._found, self._choice = found, choice
        self.tick_s: float | None = ERRORS_TICK_S

    def html(self, page: render.Page, *, whole: bool) -> str:
        return render.errors_page(
            errors.values(self._found, self._choice, page.root, page.now_s), page, whole=whole
        )

    def data(self) -> dict[str, Any]:
        return errors.data(self._found, self._choice)


class _ShownStranded:
    def __init__(self, rows: tuple[JobFacts, ...], total: int) -> None:
        self._rows, self._total = rows, total
        self.tick_s = LIST_TICK_S if rows else None

    def html(self, page: render.Page, *, whole: bool) -> str:
        return render.stranded(self._rows, self._total, page, whole=whole)

    def data(self) -> dict[str, Any]:
        jobs = [{**_plain(row), "waiting": stranding.told(row)} for row in self._rows]
        return {"schema": "ppilot.stranded/1", "data": {"total": self._total, "jobs": jobs}}


class _ShownJob:
    def __init__(self, facts: JobFacts) -> None:
        self._facts = facts
        self.tick_s = None if facts.status in words.FINAL else JOB_TICK_S

    def html(self, page: render.Page, *, whole: bool) -> str:
        return render.job(self._facts, page, whole=whole)

    def data(self) -> dict[str, Any]:
        return {"schema": "ppilot.job/1", "data": _plain(self._facts)}


def _plain(job: JobFacts) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(job)
    return {"sentence": sentences.headline(job), **plain}


def view_of(query: Mapping[str, str]) -> View | None:
    """The view that a stream's query names; None if it names none."""
    match query.get("page"):
        case "jobs" if query.get("state") in render.STATES_OF_TILE:
            return _chosen(query, lambda choice: JobList(query["state"], choice))
        case "errors":
            return _chosen(query, Errors)
        case "stranded":
            return Stranded()
        case "job" if query.get("id", "").isascii() and query.get("id", "").isdigit():
            return OneJob(int(query["id"]))
        case _:
            return None


def _chosen(query: Mapping[str, str], made: Callable[[Choice], View]) -> View | None:
    try:
        return made(Choice.of(query))
    except BadChoice:
        return None
