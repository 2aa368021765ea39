"""The `pilot/` calls: from checked parameters to the rules and back to an envelope.

The rules themselves are in `dispatch` and `update`.
"""

from __future__ import annotations

import sqlite3

import msgspec

from picard_pilot.server import dispatch, update
from picard_pilot.server.adder import Adder
from picard_pilot.server.caller import Caller
from picard_pilot.server.dispatch import Request, SentCounter
from picard_pilot.server.store import Store
from picard_pilot.server.transport import Envelope, Served
from picard_pilot.wire import v1
from picard_pilot.wire.check import Refused, check
from picard_pilot.wire.envelope import NO_JOBS_MESSAGE, StatusCode, failure, success

NO_PRODUCTION_ROLE = "no production/pilot role in VOMS FQANs or non pilot owner"


class PilotCalls:
    """What pilots call."""

    def __init__(self, store: Store, adder: Adder) -> None:
        self._store = store
        self._adder = adder
        self._counter = SentCounter()

    def served(self) -> list[Served]:
        """The calls with their handlers."""
        return [
            Served(call=v1.ACQUIRE_JOBS, handler=self.acquire_jobs),
            Served(call=v1.UPDATE_JOB, handler=self.update_job),
            Served(call=v1.UPDATE_JOBS_BULK, handler=self.update_jobs_bulk),
            Served(call=v1.GET_JOB_STATUS, handler=self.get_job_status),
            Served(call=v1.UPDATE_WORKER_STATUS, handler=self.update_worker_status),
        ]

    async def acquire_jobs(self, caller: Caller, parameters: dict[str, object]) -> Envelope:
        """Jobs for a pilot; "No jobs in PanDA" also for an unknown queue and while the database is unusable."""
        if not caller.is_production and parameters.get("prod_source_label") != "user":
            return failure(NO_PRODUCTION_ROLE)
        request = _request(caller, parameters)
        timeout_s = parameters.get("timeout", 60)
        assert isinstance(timeout_s, int)
        if timeout_s <= dispatch.RESERVE_S:
            return failure(NO_JOBS_MESSAGE)
        try:
            jobs = await self._store.write(
                lambda transaction: dispatch.acquire(transaction, request, self._counter)
            )
        except sqlite3.Error:
            return failure(NO_JOBS_MESSAGE)
        if not jobs:
            return failure(NO_JOBS_MESSAGE)
        return success({"StatusCode": StatusCode.SUCCESS, "jobs": jobs})

    async def update_job(self, caller: Caller, parameters: dict[str, object]) -> Envelope:
        """One update; answered once it is on disk."""
        try:
            envelope, has_report = await self._store.write(
                lambda transaction: update.update(transaction, parameters)
            )
        except sqlite3.Error:
            return update.database_error()
        if has_report:
            self._adder.wake()
        return envelope

    async def update_jobs_bulk(self, caller: Caller, parameters: dict[str, object]) -> Envelope:
        """Several updates, one after another; one without id or status ends the call after the earlier ones."""
        jobs = parameters["job_list"]
        assert isinstance(jobs, list)
        answers: list[Envelope] = []
        try:
            for job in jobs:
                for name in ("job_id", "job_status"):
                    if name not in job:
                        return failure(f"failed with KeyError '{name}'", [])
                answers.append(self._update_in_bulk(job))
            await self._store.committed()
        except sqlite3.Error:
            return success([update.database_error() for _ in jobs])
        finally:
            self._adder.wake()
        return success(answers)

    def _update_in_bulk(self, job: dict[str, object]) -> Envelope:
        if "meta_data" in job:
            job = {**job, "meta_data": str(job["meta_data"])}
        try:
            values = check(v1.UPDATE_JOB, job)
        except Refused as error:
            return failure(error.message)
        return self._store.apply(lambda transaction: update.update(transaction, values))[0]

    async def get_job_status(self, caller: Caller, parameters: dict[str, object]) -> Envelope:
        """Status and attempt of some jobs."""
        data: list[dict[str, object]] = []
        for job_id in _ids(parameters):
            rows = self._store.look("SELECT status, attempt_nr FROM jobs WHERE job_id = ?", (job_id,))
            status, attempt_nr = rows[0] if rows else ("not found", 0)
            data.append({"job_id": job_id, "status": status, "attempt_number": attempt_nr})
        return success(data)

    async def update_worker_status(self, caller: Caller, parameters: dict[str, object]) -> Envelope:
        """A pilot tells that its worker started or finished; success also for a worker that nobody knows."""
        status = parameters["status"]
        if status not in v1.WORKER_STATUSES:
            return failure(f"Invalid worker state. The worker state has to be in {v1.WORKER_STATUSES}")
        node_id = parameters.get("node_id")
        harvester_id, worker_id = str(parameters["harvester_id"]), str(parameters["worker_id"])
        node = None if node_id is None else str(node_id)
        await self._store.write(
            lambda transaction: dispatch.see_worker(transaction, harvester_id, worker_id, str(status), node)
        )
        return success()


class _AcquireParameters(msgspec.Struct):
    """The parameters of acquire_jobs that matter here, as checked before."""

    site_name: str
    memory: int | None = None
    disk_space: int | None = None
    prod_source_label: str | None = None
    node: str | None = None
    prod_user_id: str | None = None
    task_id: int | None = None
    n_jobs: int = 1
    resource_type: str | None = None
    harvester_id: str | None = None
    worker_id: int | None = None
    scheduler_id: str | None = None
    remaining_time: float | None = None


def _request(caller: Caller, parameters: dict[str, object]) -> Request:
    asked = msgspec.convert(parameters, _AcquireParameters)
    return Request(
        queue=asked.site_name,
        count=asked.n_jobs,
        label=asked.prod_source_label,
        memory_mb=max(0, asked.memory or 0),
        disk_mb=max(0, asked.disk_space or 0),
        remaining_s=max(0, asked.remaining_time or 0),
        # Without the role a pilot gets its own user's jobs only.
        owner=asked.prod_user_id if caller.is_production else caller.name,
        task_id=asked.task_id,
        resource_type=asked.resource_type,
        node=asked.node,
        scheduler_id=asked.scheduler_id,
        harvester_id=asked.harvester_id or asked.scheduler_id,
        worker_id=asked.worker_id,
    )


def _ids(parameters: dict[str, object]) -> list[int]:
    ids = parameters["job_ids"]
    assert isinstance(ids, list)
    return ids
