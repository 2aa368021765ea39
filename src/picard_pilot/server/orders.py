"""What people order about a job: kill it, tell its pilot something, switch debug mode, retry it.

Who may order what is decided here too, since a kill depends on whose job it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from picard_pilot.server import queries
from picard_pilot.server.adder import end_job
from picard_pilot.server.caller import Caller
from picard_pilot.server.jobstates import BY_USER, CANCELLED, DEBUG_CAN_BE_SET, FINAL, RUNNING
from picard_pilot.server.store import Transaction
from picard_pilot.server.update import situation
from picard_pilot.wire.v1 import MAX_COMMAND_LENGTH

FORCE_CODES = frozenset({9, 52, 99})
"""Kill codes that do not wait for a running job's pilot."""

_SQL = queries.load("jobs.sql")


def kill(transaction: Transaction, job_ids: Sequence[int], code: int | None, caller: Caller) -> list[bool]:
    """Kill jobs; per job whether that was done or asked for.

    A running job stays until its pilot confirms, any other is cancelled at once. False: no such job, an ended
    one, or someone else's.
    """
    return [_kill(transaction, job_id, code in FORCE_CODES, caller) for job_id in job_ids]


def _kill(transaction: Transaction, job_id: int, force: bool, caller: Caller) -> bool:
    job = situation(transaction, job_id)
    if job is None or job.status in FINAL or not (caller.is_production or job.owner == caller.name):
        return False
    transaction.execute(_SQL["request_kill"], (job_id,))
    if job.status == RUNNING and not force:
        transaction.log(
            job_id,
            job.status,
            who=BY_USER,
            sub_status=job.sub_status,
            host=job.host,
            note=f"kill requested by {caller.name}",
        )
    else:
        end_job(transaction, job_id, CANCELLED, who=BY_USER, note=f"killed by {caller.name}")
    return True


def set_command(transaction: Transaction, job_id: int, command: str) -> str | None:
    """Put a text to a job, told to its pilot with every answer; why not, or None if done."""
    if len(command) > MAX_COMMAND_LENGTH or "\0" in command:
        return f"command is too long or has a NUL character; at most {MAX_COMMAND_LENGTH} characters"
    job = situation(transaction, job_id)
    if job is None or job.status in FINAL:
        return f"PandaID={job_id} not found among active jobs"
    transaction.execute(_SQL["set_command"], (command or None, job_id))
    return None


def set_debug(transaction: Transaction, job_id: int, on: bool, caller: Caller) -> str | None:
    """Switch debug mode; why not, or None if done."""
    job = situation(transaction, job_id)
    if job is None or job.status not in DEBUG_CAN_BE_SET:
        return f"cannot switch debug mode of PandaID={job_id}: it is {job.status if job else 'unknown'}"
    if not (caller.is_production or job.owner == caller.name):
        return "Permission denied. Not the owner or production manager"
    transaction.execute(_SQL["set_debug"], (int(on), job_id))
    note = f"debug mode switched {'on' if on else 'off'} by {caller.name}"
    transaction.log(job_id, job.status, who=BY_USER, sub_status=job.sub_status, host=job.host, note=note)
    return None
