"""The adder: makes the final state of jobs whose pilots reported an end, and the next attempt of failed ones.

The judgement itself is `verdict`'s. It runs when a report comes in, and every few seconds for what it missed.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3

from picard_pilot.server import costs, queries, submission, verdict
from picard_pilot.server.errors import keep as keep_error
from picard_pilot.server.jobstates import BY_ADDER, FAILED, FINAL, HOLDING, PRODUCTION_LABELS
from picard_pilot.server.store import Store, Transaction
from picard_pilot.server.verdict import Claim, ExpectedFile, Verdict
from picard_pilot.wire.jobdict import catalogue_checksum
from picard_pilot.wire.jobfields import JobSpecError
from picard_pilot.wire.report import ReportedFile

BATCH = 50
"""Reports judged in one transaction: enough to keep up, few enough to let heartbeats in between."""

_JOBS = queries.load("jobs.sql")
_SQL = queries.load("adder.sql")

_log = logging.getLogger(__name__)


class Adder:
    """Runs as one task on the server's event loop; `wake` tells it that a report is there."""

    def __init__(self, store: Store, interval_s: float) -> None:
        self._store = store
        self._interval_s = interval_s
        self._report_is_there = asyncio.Event()

    def wake(self) -> None:
        """Called after a final report was written."""
        self._report_is_there.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._report_is_there.clear()
            try:
                while await self._store.write(judge_waiting) == BATCH:
                    # More may wait; the calls that came in meanwhile have had their turn.
                    pass
            except sqlite3.Error as error:
                _log.warning("the adder will try again in %s s: %s", self._interval_s, error)
            try:
                async with asyncio.timeout(self._interval_s):
                    await self._report_is_there.wait()
            except TimeoutError:
                pass


def judge_waiting(transaction: Transaction) -> int:
    """Judge the reports that wait, a batch at most; how many it were."""
    rows = transaction.execute(_SQL["waiting_reports"], (BATCH,)).fetchall()
    for job_id, attempt_nr, wanted_status, text in rows:
        word = _judge(transaction, job_id, attempt_nr, wanted_status, text)
        transaction.execute(_SQL["judged"], (transaction.now, word, job_id, attempt_nr))
    return len(rows)


def end_job(
    transaction: Transaction,
    job_id: int,
    status: str,
    *,
    who: str,
    note: str | None = None,
    errors: dict[str, object] | None = None,
) -> int | None:
    """Put a job into a final status; a failed one gets its next attempt, whose id is returned."""
    columns: dict[str, object] = dict.fromkeys(
        (
            *("ddm_error_code", "ddm_error_diag", "dispatcher_error_code"),
            *("dispatcher_error_diag", "sup_error_code"),
        )
    )
    columns.update(errors or {}, job_id=job_id, status=status, now=transaction.now)
    transaction.execute(_JOBS["end"], columns)
    transaction.log(job_id, status, who=who, note=note)
    costs.keep(transaction, job_id)
    if status != FAILED:
        return None
    keep_error(transaction, job_id)
    try:
        with transaction.all_or_nothing():
            return submission.retry(transaction, job_id, who=who)
    except JobSpecError as error:
        transaction.log(job_id, status, who=who, note=f"no next attempt: {error}")
        return None


def _judge(transaction: Transaction, job_id: int, attempt_nr: int, wanted_status: str, text: str) -> str:
    """Judge one report; the word kept with it."""
    job = transaction.execute(_SQL["job"], (job_id,)).fetchone()
    if job is None or job[0] in FINAL:
        return "dropped: the job has ended"
    status, right_attempt_nr, kill_requested, sub_status, label, *codes = job
    if attempt_nr != right_attempt_nr:
        return f"dropped: wrong attemptNr {attempt_nr}, the job has {right_attempt_nr}"
    if status != HOLDING:
        return f"dropped: the job is {status}"
    files = [
        ExpectedFile(position, role, lfn, bool(may_be_absent))
        for position, role, lfn, may_be_absent in transaction.execute(_SQL["files"], (job_id,))
    ]
    claim = Claim(
        wanted_status=wanted_status,
        report=text,
        kill_requested=bool(kill_requested),
        sub_status=sub_status,
        is_production=label in PRODUCTION_LABELS,
    )
    found = verdict.judge(claim, files)
    _keep_files(transaction, job_id, found)
    errors: dict[str, object] = {}
    if found.ddm_error_diag is not None and not any(codes):
        errors = {"ddm_error_code": verdict.DDM_ERROR, "ddm_error_diag": found.ddm_error_diag}
    end_job(transaction, job_id, found.status, who=BY_ADDER, note=found.ddm_error_diag, errors=errors)
    return found.status


def _keep_files(transaction: Transaction, job_id: int, found: Verdict) -> None:
    for position, entry in found.stored:
        row = {**_file_columns(entry), "job_id": job_id, "position": position}
        transaction.execute(_SQL["stored_file"], row)
    for lfn, entry in found.further:
        transaction.execute(_SQL["further_file"], {**_file_columns(entry), "job_id": job_id, "lfn": lfn})
    for position, status in found.marks:
        transaction.execute(_SQL["file_status"], (status, job_id, position))


def _file_columns(entry: ReportedFile) -> dict[str, object]:
    return {
        "guid": entry.guid,
        "size_bytes": entry.fsize,
        "checksum": None if entry.checksum is None else catalogue_checksum(entry.checksum),
        "endpoint": entry.endpoint,
        "surl": entry.surl,
    }
