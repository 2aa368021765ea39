"""The rules of `update_job`: what one update does to a job, and the answer the pilot gets.

Types were checked before (`wire.check`); judging a final report is the adder's business.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

from picard_pilot.server import queries
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
from picard_pilot.wire.envelope import (
    ALREADY_DONE_COMMAND,
    DEBUG_COMMAND,
    KILL_COMMAND,
    NO_COMMAND,
    StatusCode,
    failure,
    success,
)
from picard_pilot.wire.fields import Kind
from picard_pilot.wire.v1 import FINAL_STATUSES, JOB_STATUSES, UPDATE_JOB

_SQL = queries.load("jobs.sql")

_WRITTEN = tuple(
    field.name
    for field in UPDATE_JOB.fields
    if field.name
    not in ("job_id", "job_status", "attempt_nr", "job_output_report", "pilot_log", "meta_data", "stdout")
    and field.name not in ("site_name", "timeout")
)
"""The fields that become columns of the job."""

_INTEGRAL = tuple(f"{kind}_{name}" for kind in ("max", "avg") for name in ("rss", "vmem", "swap", "pss"))
_IN_KILO = tuple(
    f"{kind}_{name}" for kind in ("tot", "rate") for name in ("rchar", "wchar", "rbytes", "wbytes")
)
"""Input and output figures come in bytes and are kept in kB."""

_MAX_KILO = 10**10 - 1
"""Ten digits are what the column holds."""

_MAX_COLUMN = 2**63 - 1

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")

_TEXT_FIELDS = tuple(field.name for field in UPDATE_JOB.fields if field.kind is Kind.TEXT)
_UNCUT = tuple(
    (field.name, field.max_length)
    for field in UPDATE_JOB.fields
    if field.max_length is not None and not field.cut and field.name != "stdout"
)
_CUT = tuple(
    (field.name, field.max_length)
    for field in UPDATE_JOB.fields
    if field.max_length is not None and field.cut
)
_BOUNDED = tuple(
    (field.name, field.max_value or _MAX_COLUMN) for field in UPDATE_JOB.fields if field.kind is Kind.INTEGER
)
_MAX_STDOUT = UPDATE_JOB.fields[[field.name for field in UPDATE_JOB.fields].index("stdout")].max_length

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
    for name in _TEXT_FIELDS:
        text = values.get(name)
        if isinstance(text, str) and "\0" in text:
            return False
    for name, length in _UNCUT:
        text = values.get(name)
        if isinstance(text, str) and len(text) > length:
            return False
    for name, largest in _BOUNDED:
        number = values.get(name)
        if isinstance(number, int) and not -largest - 1 <= number <= largest:
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
        cut = pilot_log[: dict(_CUT)["pilot_log"]]
        transaction.execute(_SQL["keep_pilot_log"], (job_id, transaction.now, cut))
    stdout = values.get("stdout")
    # A longer text vanishes without a word, and the older one stays.
    if isinstance(stdout, str) and stdout and len(stdout) <= (_MAX_STDOUT or 0) and job.status not in FINAL:
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
    columns = _columns(values)
    status, wanted = said, None
    if said in FINAL_STATUSES:
        status, wanted = HOLDING, said
    elif said == STARTING and job.status == RUNNING:
        status = RUNNING
    if said in (HOLDING, TRANSFERRING):
        at = datetime.fromtimestamp(transaction.now / 1000, UTC)
        columns["dispatcher_error_diag"] = holding_mark(said, f"{at:%Y-%m-%d %H:%M:%S}")
    changed = status != job.status or wanted is not None
    columns.update(
        job_id=job_id, status=status, wanted_status=wanted, changed=int(changed), now=transaction.now
    )
    transaction.execute(_SQL["update"], columns)
    sub_status = columns["job_sub_status"]
    if changed or (sub_status is not None and sub_status != job.sub_status):
        phase = sub_status if sub_status is not None else job.sub_status
        host = columns["node"] if columns["node"] is not None else job.host
        transaction.log(
            job_id,
            status,
            who=BY_PILOT,
            sub_status=str(phase) if phase is not None else None,
            host=str(host) if host is not None else None,
            note=f"{wanted} reported" if wanted else None,
        )


def _columns(values: dict[str, object]) -> dict[str, object]:
    """The update's values as columns: empty texts are nothing, long ones cut, bytes in kB, times only if they are."""
    columns: dict[str, object] = {name: values.get(name) for name in _WRITTEN}
    for name, length in _CUT:
        text = columns.get(name)
        if isinstance(text, str) and len(text) > length:
            columns[name] = text[:length]
    for name in _INTEGRAL:
        number = columns[name]
        if isinstance(number, (int, float)):
            columns[name] = max(-_MAX_COLUMN, min(_MAX_COLUMN, int(number)))
    for name in _IN_KILO:
        number = columns[name]
        if isinstance(number, (int, float)):
            columns[name] = min(float(_MAX_KILO), int(number) / 1024)
    for name in ("start_time", "end_time"):
        moment = columns[name]
        if isinstance(moment, str) and not _is_moment(moment):
            columns[name] = None
    for name, value in columns.items():
        if value == "":
            columns[name] = None
    columns["dispatcher_error_diag"] = None
    return columns


def _is_moment(text: str) -> bool:
    if _MOMENT.fullmatch(text) is None:
        return False
    try:
        datetime.strptime(text, "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return False
    return True
