"""Reads the server's store for the pages: rows of the database become facts.

The only place here that knows the store; what facts look like on a page is not known here.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from importlib.resources import files

import msgspec

from picard_pilot.diagnosis.catalogue.dispatcher import handle, row_of
from picard_pilot.diagnosis.catalogue.lookup import PILOT
from picard_pilot.diagnosis.catalogue.transfers import BY_KEY, next_step
from picard_pilot.model.ending import Ending
from picard_pilot.model.fault import Blame
from picard_pilot.model.file_note import FileNote
from picard_pilot.model.progress import StageProgress
from picard_pilot.model.told_error import ToldError
from picard_pilot.server.costs import CostFilter, CostSummary
from picard_pilot.server.errors import ErrorFilter, ErrorSummary
from picard_pilot.server.jobstates import HOLDING
from picard_pilot.server.pages.facts import Attempt, Change, Failure, FileFact, JobFacts
from picard_pilot.server.pages.limits import Near, nearness
from picard_pilot.server.store import Store
from picard_pilot.server.views import FileRow, JobDetail, JobError, JobFilter, JobRow, StatusChange, Views
from picard_pilot.wire.ending import ending_in
from picard_pilot.wire.error_notes import error_in, next_step_in
from picard_pilot.wire.jobspec import PLACEHOLDER
from picard_pilot.wire.progress import pairs_in, progress_of
from picard_pilot.wire.transfer_notes import notes_in

Histories = Mapping[int, tuple[Change, ...]]

_HISTORY_SQL = files("picard_pilot.server.pages").joinpath("sql", "history.sql").read_text(encoding="utf-8")

#: The component whose number is an exit status and not one of the catalogue's.
_EXIT_STATUS = "payload"

_NOTHING_TOLD = ToldError()

#: A longer number is none that a pilot counted.
MOST_DIGITS = 18


class JobSource:
    """Jobs as facts, from the store of one server."""

    def __init__(self, store: Store) -> None:
        self._store, self._views = store, Views(store)

    async def counts(self) -> Mapping[str, int]:
        """Number of jobs in each state of the server; states without jobs are left out."""
        return await self._views.counts()

    async def jobs(self, wanted: JobFilter) -> tuple[Sequence[JobFacts], int]:
        """The newest jobs that match, newest first, with their history, and how many there are in all."""
        found = await self._views.jobs(wanted)
        histories = await self._histories([row.job_id for row in found.rows])
        return [_facts(row, histories.get(row.job_id, ())) for row in found.rows], found.total

    async def stranded(self, limit: int) -> tuple[Sequence[JobFacts], int]:
        """The newest jobs that wait on a node for a later pilot, with their history, and how many there are in all."""
        return await self.jobs(JobFilter(statuses=(HOLDING,), sub_status=HOLDING, limit=limit))

    async def errors(self, wanted: ErrorFilter) -> ErrorSummary:
        """What jobs failed of."""
        return await self._views.errors(wanted)

    async def cost(self, wanted: CostFilter) -> CostSummary:
        """What ended attempts took of slots."""
        return await self._views.cost(wanted)

    async def job(self, job_id: int) -> JobFacts | None:
        """One job with files, history and attempts; None if there is none of this number."""
        detail = await self._views.job(job_id)
        if detail is None:
            return None
        others = [row.job_id for row in detail.attempts if row.job_id != job_id]
        histories = dict(await self._histories(others)) if others else {}
        histories[job_id] = tuple(map(_change, detail.history))
        return msgspec.structs.replace(
            _facts(detail.row, histories[job_id]),
            command=_command(detail),
            files=files_of(detail),
            attempts=tuple(_attempt(row, histories) for row in detail.attempts),
            pilot_log=detail.pilot_log,
            progress=_progress(detail),
            ending=ending_of(detail),
            failures=failures_of(detail),
            same=detail.same,
            events_processed=_integer(detail.usage.get("n_events")),
            cpu_time_s=_integer(detail.usage.get("cpu_consumption_time")),
            peak_memory_kb=_integer(detail.usage.get("max_pss") or detail.usage.get("max_rss")),
            cores=detail.row.cores,
            curve=detail.curve,
            near=near_of(detail),
            slot_left_s=_slot_left(detail),
        )

    async def _histories(self, job_ids: Collection[int]) -> Histories:
        ids = msgspec.json.encode(list(job_ids)).decode()

        def read(connection: sqlite3.Connection) -> Histories:
            found: dict[int, list[Change]] = defaultdict(list)
            for job_id, at_ms, status, phase, node, who, note in connection.execute(
                _HISTORY_SQL, {"ids": ids}
            ):
                change = Change(at_s=at_ms / 1000, status=status, phase=phase, node=node, who=who, note=note)
                found[job_id].append(change)
            return {job_id: tuple(changes) for job_id, changes in found.items()}

        return await self._store.read(read)


def _command(detail: JobDetail) -> str | None:
    """The payload's line as its pilot reads it, with the job's own number in it."""
    line = f"{detail.transformation} {detail.parameters}".strip()
    return line.replace(PLACEHOLDER.decode(), str(detail.row.job_id)) or None


def _facts(row: JobRow, history: tuple[Change, ...]) -> JobFacts:
    exits = [error.code for error in row.errors if error.component == _EXIT_STATUS]
    return JobFacts(
        job_id=row.job_id,
        attempt_nr=row.attempt_nr,
        max_attempts=row.max_attempt,
        status=row.status,
        phase=row.sub_status,
        name=row.name or None,
        queue=row.queue or None,
        owner=row.owner or None,
        priority=row.priority,
        node=row.host,
        pilot=row.pilot_id,
        submitted_s=row.created_at.timestamp(),
        changed_s=_seconds(row.changed_at),
        heard_s=None if row.sent_at is None else _seconds(row.updated_at),
        asked_to_stop=row.kill_requested,
        payload_exit=exits[0] if exits else None,
        failures=tuple(failure_of(error) for error in row.errors if error.component != _EXIT_STATUS),
        history=history,
    )


def failures_of(detail: JobDetail) -> tuple[Failure, ...]:
    """The job's errors, the exit status apart, with what its pilot told besides."""
    told = error_in(pairs_in(str(detail.usage.get("job_metrics", ""))))
    return tuple(
        failure_of(error, told, detail.pilot_log)
        for error in detail.row.errors
        if error.component != _EXIT_STATUS
    )


def failure_of(error: JobError, told: ToldError = _NOTHING_TOLD, extract: str | None = None) -> Failure:
    """An error with what the catalogue knows about its number: its name, who can act, and what to do.

    What the pilot told besides belongs to its own error; its word on who can act, and in the extract of the logs on
    what to do, wins, since it saw the job.
    """
    row = row_of(error.component, error.code)
    if error.component != PILOT or row is None:
        told, extract = _NOTHING_TOLD, None
    return Failure(
        component=error.component,
        code=error.code,
        says=error.diag or (row.summary if row else f"error {error.code}, without a text"),
        name=row.name if row else None,
        handle=handle(row) if row else None,
        meaning=row.summary if row else None,
        blame=told.blame or (row.blame.value if row else None),
        next_step=next_step_in(extract or "", error.code)
        or (next_step(row, told.finer, _blame(told)) if row else None),
        finer=told.finer,
        endpoint=told.endpoint,
        explained=told.finer in BY_KEY,
    )


def _blame(told: ToldError) -> Blame | None:
    """Who can act, as the pilot told it; a word of a newer pilot is nobody that we know."""
    return next((blame for blame in Blame if blame == told.blame), None)


def _change(change: StatusChange) -> Change:
    return Change(
        at_s=change.at.timestamp(),
        status=change.status,
        phase=change.sub_status,
        node=change.host,
        who=change.who,
        note=change.note,
    )


def _progress(detail: JobDetail) -> StageProgress | None:
    metrics = str(detail.usage.get("job_metrics", ""))
    return progress_of(detail.row.status, detail.row.sub_status, metrics)


def _slot_left(detail: JobDetail) -> int | None:
    if detail.row.status not in ("starting", "running"):
        return None
    text = pairs_in(str(detail.usage.get("job_metrics", ""))).get("remainingTime", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


def ending_of(detail: JobDetail) -> Ending | None:
    """How the payload ended and who ended it, as its pilot told it with the final report."""
    status = next((error.code for error in detail.row.errors if error.component == _EXIT_STATUS), None)
    return ending_in(pairs_in(str(detail.usage.get("job_metrics", ""))), status)


def near_of(detail: JobDetail) -> tuple[Near, ...]:
    """The job's limits, and how near it is to each while its payload runs, and was."""
    pairs = pairs_in(str(detail.usage.get("job_metrics", "")))
    texts = [text for name in ("stdoutBytes", "stderrBytes") if (text := pairs.get(name, "")).isascii()]
    sizes = [int(text) for text in texts if text.isdigit() and len(text) <= MOST_DIGITS]
    return tuple(
        nearness(
            detail.limits,
            detail.curve,
            peak_pss_kb=_integer(detail.usage.get("max_pss")),
            output_text_bytes=max(sizes, default=None),
            goes_on=detail.row.status == "running" and detail.row.sub_status == "running",
        )
    )


def files_of(detail: JobDetail) -> tuple[FileFact, ...]:
    """The job's files, each with where it came from or went as its pilots told it."""
    tries: dict[str, list[FileNote]] = defaultdict(list)
    for text in detail.transfer_notes:
        for note in notes_in(text):
            tries[note.lfn].append(note)
    return tuple(_file(row, tries.get(row.lfn, [])) for row in detail.files)


def _file(row: FileRow, tries: Sequence[FileNote]) -> FileFact:
    worked = next((note for note in reversed(tries) if note.ok), None)
    return FileFact(
        lfn=row.lfn,
        role=row.role,
        status=row.status,
        size_bytes=row.size_bytes,
        checksum=row.checksum,
        # Where an input was listed is a plan; where it came from is a fact.
        endpoint=worked.endpoint if worked is not None and not row.surl else row.endpoint,
        surl=row.surl,
        guid=row.guid,
        how=worked.how if worked is not None else None,
        why=worked.why if worked is not None else None,
        failed_tries=_in_vain(tries),
    )


def _in_vain(tries: Sequence[FileNote]) -> tuple[str, ...]:
    """A sentence for each try that failed; the same one again only counts."""
    said = Counter(f"{note.endpoint}: {note.how}: {note.why}" for note in tries if not note.ok)
    return tuple(text if times == 1 else f"{text} ({times} times)" for text, times in said.items())


def _attempt(row: JobRow, histories: Histories) -> Attempt:
    history = histories.get(row.job_id, ())
    return Attempt(job_id=row.job_id, attempt_nr=row.attempt_nr, status=row.status, history=history)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _integer(value: int | float | str | None) -> int | None:
    return value if isinstance(value, int) else None
