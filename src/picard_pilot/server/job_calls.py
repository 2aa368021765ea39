"""The `job/` calls and `system/is_alive`: from checked parameters to rules and back to an envelope.

The rules are in `orders` and `submission`.
"""

from __future__ import annotations

import msgspec

from picard_pilot.server import orders, submission, update
from picard_pilot.server.caller import Caller
from picard_pilot.server.jobstates import FINAL
from picard_pilot.server.store import Store, Transaction
from picard_pilot.server.transport import Envelope, Served
from picard_pilot.wire import jobspec, v1
from picard_pilot.wire.envelope import KILL_COMMAND, NO_COMMAND, failure, success
from picard_pilot.wire.jobfields import JobSpecError
from picard_pilot.wire.jobspec import Submission

MAX_JOBS_PER_CALL = 5000
"""A real server cuts a longer list; this one refuses it, since a lost job is worse than a refusal."""

NOT_FOUND_STATUS = "unknown"


class JobCalls:
    """What users and their tools call."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def served(self) -> list[Served]:
        """The calls with their handlers."""
        return [
            Served(call=v1.SUBMIT, handler=self.submit),
            Served(call=v1.GET_STATUS, handler=self.get_status),
            Served(call=v1.KILL, handler=self.kill),
            Served(call=v1.SET_COMMAND, handler=self.set_command),
            Served(call=v1.SET_DEBUG_MODE, handler=self.set_debug_mode),
            Served(call=v1.IS_ALIVE, handler=self.is_alive),
        ]

    async def submit(self, caller: Caller, parameters: dict[str, object]) -> Envelope:
        """Store the jobs of a JSON list of job specs, all or none; `data` is `[[id, definition, name], ...]`.

        The fields of a spec are in `wire.jobspec` (`SPEC_FIELDS`): those of the job dictionary, `computingSite`
        and `maxAttempt`; `transformation` and `computingSite` are required. `$PANDAID` in any text becomes the
        job's number. Without `prodSourceLabel` a job is `managed` for callers with the production role, which
        that label needs, and `user` for others.
        """
        text = parameters["jobs"]
        assert isinstance(text, str)
        try:
            specs = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            return failure(f"Failed to deserialize jobs: {error}")
        if not isinstance(specs, list):
            return failure("Failed to deserialize jobs: must be a list of job specs")
        if not specs:
            return failure("No jobs were submitted")
        if len(specs) > MAX_JOBS_PER_CALL:
            return failure(f"More than {MAX_JOBS_PER_CALL} jobs in one call: {len(specs)}")
        accepted: list[Submission] = []
        for position, spec in enumerate(specs):
            try:
                accepted.append(jobspec.accept(_with_defaults(spec, caller)))
            except JobSpecError as error:
                return failure(f"jobs[{position}].{error}")
            if accepted[-1].job.label == "managed" and not caller.is_production:
                return failure(f"{caller.name} is missing production for prodSourceLabel=managed submission")
        try:
            submitted = await self._store.write(lambda transaction: submission.submit(transaction, accepted))
        except JobSpecError as error:
            # Only with the job's number in place of $PANDAID it is too long, or like another.
            return failure(f"jobs.{error}")
        return success(submitted)

    async def get_status(self, caller: Caller, parameters: dict[str, object]) -> Envelope:
        """Status of some jobs and what their pilots are told."""
        ids = parameters["job_ids"]
        assert isinstance(ids, list)
        return success(await self._store.write(lambda transaction: _statuses(transaction, ids)))

    async def kill(self, caller: Caller, parameters: dict[str, object]) -> Envelope:
        """Kill jobs; `data` says for each whether that was done or asked for."""
        ids, code = parameters["job_ids"], parameters.get("code")
        assert isinstance(ids, list)
        assert code is None or isinstance(code, int)
        return success(
            await self._store.write(lambda transaction: orders.kill(transaction, ids, code, caller))
        )

    async def set_command(self, caller: Caller, parameters: dict[str, object]) -> Envelope:
        """Put a command to a job's pilot."""
        job_id, command = parameters["job_id"], parameters["command"]
        assert isinstance(job_id, int)
        assert isinstance(command, str)
        refusal = await self._store.write(
            lambda transaction: orders.set_command(transaction, job_id, command)
        )
        return success() if refusal is None else failure(refusal)

    async def set_debug_mode(self, caller: Caller, parameters: dict[str, object]) -> Envelope:
        """Switch debug mode. The success flag is inverted, as on a real server."""
        job_id, mode = parameters["job_id"], parameters["mode"]
        assert isinstance(job_id, int)
        refusal = await self._store.write(
            lambda transaction: orders.set_debug(transaction, job_id, bool(mode), caller)
        )
        if refusal is None:
            return failure(v1.SET_DEBUG_MODE.success_inverted or "")
        return success(message=refusal)

    async def is_alive(self, caller: Caller, parameters: dict[str, object]) -> Envelope:
        """Whether the server answers."""
        return success(message="alive=yes")


def _with_defaults(spec: object, caller: Caller) -> object:
    if not isinstance(spec, dict):
        return spec
    filled = dict(spec)
    if not caller.is_production or filled.get("prodUserID") in (None, "", "NULL"):
        filled["prodUserID"] = caller.name
    if filled.get("prodSourceLabel") in (None, "", "NULL"):
        filled["prodSourceLabel"] = "managed" if caller.is_production else "user"
    return filled


def _statuses(transaction: Transaction, ids: list[int]) -> list[dict[str, object]]:
    statuses: list[dict[str, object]] = []
    for job_id in ids:
        job = update.situation(transaction, job_id)
        if job is None:
            statuses.append({"status": NOT_FOUND_STATUS, "command": KILL_COMMAND})
            continue
        command = KILL_COMMAND if job.status in FINAL else update.command(job)
        statuses.append({"status": job.status, "command": command or NO_COMMAND})
    return statuses
