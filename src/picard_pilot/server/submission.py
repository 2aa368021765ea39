"""Making jobs: from an accepted spec, or as the next attempt at the work of an earlier job.

Checking a spec is `wire.jobspec`; who may submit is the caller's business.
"""

from __future__ import annotations

import uuid

import msgspec

from picard_pilot.model.files import FileRole, FileSpec
from picard_pilot.model.job import Job
from picard_pilot.server import queries
from picard_pilot.server.caller import Caller
from picard_pilot.server.jobstates import ACTIVATED, BY_USER, CANCELLED, CLOSED, FAILED
from picard_pilot.server.store import Transaction
from picard_pilot.wire import jobdict, jobspec
from picard_pilot.wire.jobspec import Submission

RETRIED_BY_HAND = frozenset({FAILED, CANCELLED, CLOSED})
"""Statuses after which a person may ask for another attempt."""

_SQL = queries.load("jobs.sql")


class Submitted(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the submitter is told of one job: its id, the definition (one per call), its name."""

    job_id: int
    definition_id: int
    name: str


class _Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What sets one attempt apart from the work it is an attempt at."""

    parent_id: int | None
    first_id: int | None
    attempt_nr: int
    max_attempt: int
    definition_id: int
    queue: str
    owner: str
    label: str
    debug: bool
    log_guid: str | None
    who: str
    note: str


def submit(transaction: Transaction, submissions: list[Submission]) -> list[Submitted]:
    """Store jobs, at once ready to be given out. Each must have an owner and a label."""
    definition_id = transaction.execute(_SQL["next_definition"]).fetchone()[0]
    submitted: list[Submitted] = []
    for submission in submissions:
        attempt = _Attempt(
            parent_id=None,
            first_id=None,
            attempt_nr=1,
            max_attempt=submission.max_attempt,
            definition_id=definition_id,
            queue=submission.queue,
            owner=submission.job.owner or "",
            label=submission.job.label or "",
            debug=submission.debug,
            log_guid=submission.log_guid,
            who=BY_USER,
            note="submitted",
        )
        job_id, name = _insert(transaction, submission.dictionary, submission.job, attempt)
        submitted.append(Submitted(job_id=job_id, definition_id=definition_id, name=name))
    return submitted


def retry(transaction: Transaction, job_id: int, *, who: str, beyond_limit: bool = False) -> int | None:
    """The next attempt at a job's work as a new job; its id, or None where there is to be none.

    There is none if the job has its next attempt already, or, unless `beyond_limit`, if it was its last.

    Raises:
        JobSpecError: with its new number the job is none that a pilot could work on.
    """
    row = transaction.execute(_SQL["for_retry"], (job_id,)).fetchone()
    if row is None:
        return None
    first_id, attempt_nr, max_attempt, definition_id, queue, owner, label, debug, _, child_id = row
    if child_id is not None or (attempt_nr >= max_attempt and not beyond_limit):
        return None
    dictionary = transaction.execute(_SQL["dictionary"], (job_id,)).fetchone()[0]
    attempt = _Attempt(
        parent_id=job_id,
        first_id=first_id,
        attempt_nr=attempt_nr + 1,
        max_attempt=max(max_attempt, attempt_nr + 1),
        definition_id=definition_id,
        queue=queue,
        owner=owner,
        label=label,
        debug=bool(debug),
        log_guid=None,
        who=who,
        note=f"attempt {attempt_nr + 1}, after job {job_id}",
    )
    return _insert(transaction, dictionary, None, attempt)[0]


def _insert(
    transaction: Transaction, dictionary: bytes, job: Job | None, attempt: _Attempt
) -> tuple[int, str]:
    """Insert one attempt. `job` saves reading the dictionary where it does not name the job's own number."""
    described = _read(dictionary, 1) if job is None else job
    job_id = transaction.execute(_SQL["insert"], _row(transaction.now, described, attempt)).lastrowid
    assert job_id is not None
    if job is None or jobspec.PLACEHOLDER in dictionary:
        described = _read(dictionary, job_id)
    name = transaction.execute(_SQL["complete"], (job_id,)).fetchone()[0]
    transaction.execute(_SQL["insert_dictionary"], (job_id, dictionary))
    log_guid = attempt.log_guid or str(uuid.uuid4())
    files = [*described.inputs, *described.outputs, *((described.log,) if described.log else ())]
    for position, file in enumerate(files):
        transaction.execute(_SQL["insert_file"], _file_row(job_id, position, file, log_guid))
    transaction.log(job_id, ACTIVATED, who=attempt.who, note=attempt.note)
    return job_id, name


def _read(dictionary: bytes, job_id: int) -> Job:
    text = jobspec.attempt(dictionary, job_id=job_id, attempt_nr=1, log_guid=None, debug=False, n_sent=0)
    return jobdict.job_from_dict(msgspec.json.decode(text))


def _row(now: int, job: Job, attempt: _Attempt) -> dict[str, object]:
    resource_type = job.extra.get("resource_type")
    return {
        "parent_id": attempt.parent_id,
        "first_id": attempt.first_id,
        "attempt_nr": attempt.attempt_nr,
        "max_attempt": attempt.max_attempt,
        "definition_id": attempt.definition_id,
        "name": job.name or "",
        "queue": attempt.queue,
        "label": attempt.label,
        "processing_type": job.processing_type,
        "owner": attempt.owner,
        "priority": job.priority or 0,
        "resource_type": _word(resource_type),
        "task_id": job.task_id,
        "jobset_id": job.jobset_id,
        "transformation": job.transformation,
        "cores": job.requirements.cores,
        "memory_mb": job.requirements.memory_mb,
        "disk_mb": job.requirements.disk_mb,
        "walltime_s": job.requirements.walltime_s,
        "debug": int(attempt.debug),
        "now": now,
    }


def _word(raw: msgspec.Raw | None) -> str | None:
    value = None if raw is None else msgspec.json.decode(raw)
    return None if value in (None, "", "NULL") else str(value)


def _file_row(job_id: int, position: int, file: FileSpec, log_guid: str) -> tuple[object, ...]:
    return (
        job_id,
        position,
        file.role.value,
        file.lfn,
        file.scope,
        log_guid if file.role is FileRole.LOG else file.guid,
        file.dataset,
        file.size_bytes,
        None if file.checksum is None else jobdict.catalogue_checksum(file.checksum),
        file.endpoint,
        int(file.may_be_absent),
        "ready" if file.role is FileRole.INPUT else "unknown",
    )


def retry_by_hand(transaction: Transaction, job_id: int, caller: Caller) -> int | str:
    """A next attempt because a person wants it, also beyond the job's limit; its id, or why there is none."""
    row = transaction.execute(_SQL["for_retry"], (job_id,)).fetchone()
    if row is None:
        return f"there is no job {job_id}"
    owner, status, child_id = row[5], row[8], row[9]
    if not caller.is_production and owner != caller.name:
        return f"job {job_id} belongs to {owner}"
    if status not in RETRIED_BY_HAND:
        return f"job {job_id} is {status}; only failed, cancelled and closed jobs are retried"
    if child_id is not None:
        return f"job {job_id} was retried already, as job {child_id}"
    new_id = retry(transaction, job_id, who=BY_USER, beyond_limit=True)
    assert new_id is not None
    return new_id
