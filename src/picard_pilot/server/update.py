"""The rules of `update_job`: what one update does to a job, and the answer the pilot gets.

Types were checked before (`wire.check`); judging a final report is the adder's business.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime

import msgspec

from picard_pilot.server import queries, usage
from picard_pilot.server.jobstates import (
    BY_PILOT,
    FAILED,
    FINAL,
    HOLDING,
    RUNNING,
    STARTING,
    TRANSFERRING,
    holding_mark,
)
from picard_pilot.server.store import Transaction
from picard_pilot.server.updated import updated_columns
from picard_pilot.wire.envelope import (
    ALREADY_DONE_COMMAND,
    DEBUG_COMMAND,
    KILL_COMMAND,
    NO_COMMAND,
    StatusCode,
    failure,
    success,
)
from picard_pilot.wire.fields import Kind, fields_of
from picard_pilot.wire.v1 import FINAL_STATUSES, JOB_STATUSES, UPDATE_JOB

_SQL = queries.load("jobs.sql")

_MAX_COLUMN = 2**63 - 1

_TEXT_FIELDS = frozenset(field.name for field in UPDATE_JOB.fields if field.kind is Kind.TEXT)
_LONGEST = {
    field.name: field.max_length
    for field in UPDATE_JOB.fields
    if field.max_length is not None and not field.cut and field.name != "stdout"
}
"""Texts that lose the whole update if they are longer."""

_LARGEST = {
    field.name: field.max_value or _MAX_COLUMN for field in UPDATE_JOB.fields if field.kind is Kind.INTEGER
}

_MAX_STDOUT = fields_of(UPDATE_JOB)["stdout"].max_length or 0
_MAX_PILOT_LOG = fields_of(UPDATE_JOB)["pilot_log"].max_length or 0

DATABASE_ERROR = "Database error"


class Situation(msgspec.Struct, frozen=True, array_like=True):
    """What the rules look at, in the order of the query `situation`."""

    status: str
    attempt_nr: int
    wanted_status: str | None
    kill_requested: bool
    command: str | None
    debug: bool
    sub_status: str | None
    batch_id: str | None
    host: str | None
    owner: str


def situation(transaction: Transaction, job_id: int) -> Situation | None:
    """The job as it is now, or None if there is none."""
    row = transaction.execute(_SQL["situation"], (job_id,)).fetchone()
    return None if row is None else msgspec.convert(row, Situation, strict=False)


def update(transaction: Transaction, values: dict[str, object]) -> tuple[dict[str, object], bool]:
    """Do what one update asks for; its envelope, and whether the adder has a report to judge."""
    job_status = values["job_status"]
    if job_status not in JOB_STATUSES:
        return failure(f"Invalid job status: {job_status}", {"StatusCode": StatusCode.INVALID}), False
    if not _fits(values):
        return database_error(), False
    job_id, attempt_nr = values["job_id"], values.get("attempt_nr")
    assert isinstance(job_id, int)
    job = situation(transaction, job_id)
    if values.get("meta_data") and not _keep_metadata(transaction, job_id, job, values):
        message = "Failed to add meta_data"
        data = {"StatusCode": StatusCode.FAILED, "ErrorDiag": message}
        return success(data, message), False
    if job is None:
        return _answer(KILL_COMMAND), False
    _keep_texts(transaction, job_id, job, values)
    if attempt_nr is not None and attempt_nr != job.attempt_nr:
        return _answer(KILL_COMMAND), False
    if job.status in FINAL:
        # The report is filed nevertheless; the adder drops it.
        return _answer(KILL_COMMAND), _file_report(transaction, job_id, values)
    if job.wanted_status is not None:
        return _answer(ALREADY_DONE_COMMAND), False
    if _changed_batch_id(job, values):
        return database_error(), False
    if job.status in (HOLDING, TRANSFERRING) and job_status not in FINAL_STATUSES:
        return _answer(command(job), job), False
    _write(transaction, job_id, job, values)
    usage.keep(transaction, job_id, values)
    has_report = job_status in FINAL_STATUSES and _file_report(transaction, job_id, values)
    return _answer(command(job), job), has_report


def database_error() -> dict[str, object]:
    """The answer to an update of which nothing was written."""
    return success({"StatusCode": StatusCode.FAILED}, DATABASE_ERROR)


def command(job: Situation) -> str:
    """What the pilot is told to do, several words joined by commas."""
    words = [DEBUG_COMMAND] if job.debug else []
    if job.kill_requested:
        words.append(KILL_COMMAND)
    elif job.command:
        words.append(job.command)
    return ",".join(words) or NO_COMMAND


def _answer(text: str, job: Situation | None = None) -> dict[str, object]:
    data: dict[str, object] = {"StatusCode": StatusCode.SUCCESS, "command": text}
    if job is not None and job.debug:
        data["pilotSecrets"] = "{}"
    return success(data)


def _fits(values: dict[str, object]) -> bool:
    """Whether every value fits its column: one that does not loses the whole update, as on a real server."""
    for name, value in values.items():
        if isinstance(value, str):
            if name in _TEXT_FIELDS and "\0" in value:
                return False
            longest = _LONGEST.get(name)
            if longest is not None and len(value) > longest:
                return False
        elif isinstance(value, int):
            largest = _LARGEST.get(name)
            if largest is not None and not -largest - 1 <= value <= largest:
                return False
    return True


def _changed_batch_id(job: Situation, values: dict[str, object]) -> bool:
    """A fault of the real server: a changed batch id with letters in it is a database error for ever."""
    new = values.get("batch_id")
    if not new or job.batch_id is None or new == job.batch_id:
        return False
    return not str(new).replace(".", "").isdigit()


def _keep_metadata(
    transaction: Transaction, job_id: int, job: Situation | None, values: dict[str, object]
) -> bool:
    """Store the payload's job report; the first one wins, none counts for a failed or ended job."""
    if job is None:
        return False
    if values["job_status"] != FAILED and job.status not in FINAL:
        transaction.execute(_SQL["keep_metadata"], (job_id, values["meta_data"]))
    return True


def _keep_texts(transaction: Transaction, job_id: int, job: Situation, values: dict[str, object]) -> None:
    pilot_log = values.get("pilot_log")
    if isinstance(pilot_log, str) and pilot_log:
        row = (job_id, transaction.now, pilot_log[:_MAX_PILOT_LOG])
        transaction.execute(_SQL["keep_pilot_log"], row)
    stdout = values.get("stdout")
    # A longer text vanishes without a word, and the older one stays.
    if isinstance(stdout, str) and 0 < len(stdout) <= _MAX_STDOUT and job.status not in FINAL:
        transaction.execute(_SQL["keep_stdout"], (job_id, transaction.now, stdout))


def _file_report(transaction: Transaction, job_id: int, values: dict[str, object]) -> bool:
    """File a final report for the adder; without an attempt number under attempt 0, where it is never found."""
    if values["job_status"] not in FINAL_STATUSES:
        return False
    report = values.get("job_output_report") or ""
    attempt_nr = values.get("attempt_nr") or 0
    row = (job_id, attempt_nr, values["job_status"], report, transaction.now)
    transaction.execute(_SQL["file_report"], row)
    return True


def _write(transaction: Transaction, job_id: int, job: Situation, values: dict[str, object]) -> None:
    said = values["job_status"]
    assert isinstance(said, str)
    columns = updated_columns(values)
    transaction.execute(_statement(tuple(columns)), (transaction.now, *columns.values(), job_id))
    status, wanted = said, None
    if said in FINAL_STATUSES:
        status, wanted = HOLDING, said
    elif said == STARTING and job.status == RUNNING:
        status = RUNNING
    if status != job.status or wanted is not None:
        _move(transaction, job_id, status, wanted)
    elif columns.get("sub_status") in (None, job.sub_status):
        return
    phase, host = columns.get("sub_status"), columns.get("host")
    transaction.log(
        job_id,
        status,
        who=BY_PILOT,
        sub_status=job.sub_status if phase is None else str(phase),
        host=job.host if host is None else str(host),
        note=f"{wanted} reported" if wanted else None,
    )


def _move(transaction: Transaction, job_id: int, status: str, wanted: str | None) -> None:
    mark = None
    if wanted is None and status in (HOLDING, TRANSFERRING):
        at = datetime.fromtimestamp(transaction.now / 1000, UTC)
        mark = holding_mark(status, f"{at:%Y-%m-%d %H:%M:%S}")
    columns: dict[str, object] = {
        "job_id": job_id,
        "status": status,
        "wanted_status": wanted,
        "dispatcher_error_diag": mark,
        "now": transaction.now,
    }
    transaction.execute(_SQL["move"], columns)


@functools.lru_cache(maxsize=256)
def _statement(columns: tuple[str, ...]) -> str:
    """The update that sets these columns; pilots send a few combinations only."""
    return _SQL["update"].format(columns="".join(f", {column} = ?" for column in columns))
