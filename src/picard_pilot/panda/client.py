"""The calls of a PanDA server as the pilot makes them: asking for jobs, telling about them, hearing orders.

What goes on the wire is tables in `wire`; repeating until a report has arrived is `outbox`.
"""

import re
from collections.abc import Callable, Mapping

import msgspec

from picard_pilot.model.job import Job
from picard_pilot.model.orders import (
    Acquired,
    Ask,
    BadJob,
    NoJobs,
    Orders,
    ServerTrouble,
    Standing,
)
from picard_pilot.model.report import Update
from picard_pilot.system.http import HttpClient, HttpError
from picard_pilot.wire import envelope, v1
from picard_pilot.wire.ask import ask_values
from picard_pilot.wire.encode import prepare, query
from picard_pilot.wire.envelope import Answer, Failure, FailureKind
from picard_pilot.wire.fields import Call, fields_of
from picard_pilot.wire.jobdict import BrokenJob, read_jobs
from picard_pilot.wire.update import update_values

# A healthy server answers in milliseconds; a busy one in seconds; its own front end gives up after a minute.
CALL_DEADLINE_S = 60.0
# Over the time that the server was allowed to look for a job.
ACQUIRE_MARGIN_S = 30.0
# How many fields an older server may refuse in one call before we stop trying: twice what 1.0.4 added.
MAX_REFUSED_FIELDS = 8

# The sentence in which a real server refuses a parameter it does not know.
_UNEXPECTED = re.compile(r"unexpected keyword argument '?(\w+)'?")


def _nobody_asks(_server_utc: float) -> None:
    """For tools, which keep no times."""


class PandaClient:
    """A `Dispatcher` over v1. It never raises for what a server or a network does, and keeps no job."""

    def __init__(
        self,
        http: HttpClient,
        server_url: str,
        *,
        harvester_id: str | None = None,
        worker_id: int | None = None,
        node: str | None = None,
        call_deadline_s: float = CALL_DEADLINE_S,
        on_date: Callable[[float], None] = _nobody_asks,
    ) -> None:
        """`server_url` is scheme, host and port; the credential is the HTTP client's `authorise` and `tls`. `on_date`
        is told the server's time (UTC seconds) with each of its answers."""
        self._http = http
        self._base = server_url.rstrip("/") + v1.PREFIX
        self._harvester_id = harvester_id
        self._worker_id = worker_id
        self._node = node
        self._call_deadline_s = call_deadline_s
        self._on_date = on_date
        self.unknown_fields: dict[str, set[str]] = {}
        """By call: the fields that this server turned out not to know; they are not sent again."""

    async def acquire(self, ask: Ask) -> Acquired | NoJobs | ServerTrouble:
        """Ask for jobs. Jobs that cannot be worked on come back beside the good ones, never lost."""
        result = await self._call(v1.ACQUIRE_JOBS, ask_values(ask), ask.timeout_s + ACQUIRE_MARGIN_S)
        if isinstance(result, ServerTrouble):
            return result
        if isinstance(result, Failure):
            if result.kind is FailureKind.NO_JOBS:
                return NoJobs(message=result.message)
            return self._trouble(v1.ACQUIRE_JOBS, result)
        read = read_jobs(result.data)
        jobs = tuple(job for job in read if isinstance(job, Job))
        bad = tuple(_bad(job) for job in read if isinstance(job, BrokenJob))
        if not read:
            return NoJobs(message="the server gave an empty list of jobs")
        return Acquired(jobs=jobs, bad=bad)

    async def tell(self, update: Update, *, deadline_s: float | None = None) -> Orders | ServerTrouble:
        """Send one update."""
        result = await self._call(v1.UPDATE_JOB, update_values(update), deadline_s or self._call_deadline_s)
        return self._orders(v1.UPDATE_JOB, result)

    async def tell_many(self, updates: tuple[Update, ...]) -> tuple[Orders | ServerTrouble, ...]:
        """Send updates in one call. One that a server refuses for a field it does not know is sent alone."""
        if not updates:
            return ()
        known = [self._known(v1.UPDATE_JOB, update_values(update)) for update in updates]
        result = await self._call(v1.UPDATE_JOBS_BULK, {"job_list": known}, self._call_deadline_s)
        if isinstance(result, ServerTrouble):
            return (result,) * len(updates)
        if isinstance(result, Failure):
            return (self._trouble(v1.UPDATE_JOBS_BULK, result),) * len(updates)
        entries = result.data if isinstance(result.data, list) else []
        if len(entries) != len(updates):
            text = f"{len(updates)} updates were sent, {len(entries)} answers came"
            failure = Failure(kind=FailureKind.WRONG_SHAPE, http_status=200, message=text)
            return (self._trouble(v1.UPDATE_JOBS_BULK, failure),) * len(updates)
        return tuple(
            [await self._entry(update, entry) for update, entry in zip(updates, entries, strict=True)]
        )

    async def status(self, job_ids: tuple[int, ...]) -> tuple[Standing, ...] | ServerTrouble:
        """Status and attempt number of each job that the server knows."""
        rows = await self._rows(v1.GET_JOB_STATUS, job_ids)
        if isinstance(rows, ServerTrouble):
            return rows
        return tuple(
            Standing(job_id=row.job_id, status=row.status, attempt_nr=row.attempt_number)
            for row in rows
            if row.job_id is not None
        )

    async def orders_for(self, job_ids: tuple[int, ...]) -> tuple[Standing, ...] | ServerTrouble:
        """Status and waiting commands of each job; the server answers by position."""
        rows = await self._rows(v1.GET_STATUS, job_ids)
        if isinstance(rows, ServerTrouble):
            return rows
        if len(rows) != len(job_ids):
            text = f"{len(job_ids)} jobs were asked for, {len(rows)} answers came"
            failure = Failure(kind=FailureKind.WRONG_SHAPE, http_status=200, message=text)
            return self._trouble(v1.GET_STATUS, failure)
        return tuple(
            Standing(job_id=job_id, status=row.status, commands=envelope.commands({"command": row.command}))
            for job_id, row in zip(job_ids, rows, strict=True)
        )

    async def worker_status(self, status: str) -> ServerTrouble | None:
        """Tell that this worker `started` or `finished`; without Harvester's ids there is nothing to tell."""
        if self._harvester_id is None or self._worker_id is None:
            return None
        values = {
            "worker_id": self._worker_id,
            "harvester_id": self._harvester_id,
            "status": status,
            "node_id": self._node,
        }
        return self._only_trouble(
            v1.UPDATE_WORKER_STATUS, await self._call(v1.UPDATE_WORKER_STATUS, values, self._call_deadline_s)
        )

    async def is_alive(self) -> ServerTrouble | None:
        """None when the server answers as a PanDA server does."""
        return self._only_trouble(v1.IS_ALIVE, await self._call(v1.IS_ALIVE, {}, self._call_deadline_s))

    async def _entry(self, update: Update, entry: object) -> Orders | ServerTrouble:
        """One answer out of a bulk call: a complete envelope."""
        result = envelope.judge(200, msgspec.json.encode(entry), v1.UPDATE_JOB)
        if isinstance(result, Failure) and self._forget(v1.UPDATE_JOB, result):
            return await self.tell(update)
        return self._orders(v1.UPDATE_JOB, result)

    async def _rows(self, call: Call, job_ids: tuple[int, ...]) -> "list[_Row] | ServerTrouble":
        if not job_ids:
            return []
        result = await self._call(call, {"job_ids": list(job_ids)}, self._call_deadline_s)
        if isinstance(result, ServerTrouble):
            return result
        if isinstance(result, Failure):
            return self._trouble(call, result)
        try:
            return msgspec.convert(result.data, list[_Row])
        except msgspec.ValidationError as error:
            failure = Failure(kind=FailureKind.WRONG_SHAPE, http_status=200, message=str(error))
            return self._trouble(call, failure)

    async def _call(
        self, call: Call, values: Mapping[str, object], deadline_s: float
    ) -> Answer | Failure | ServerTrouble:
        """One call, made again without the fields that an older server refuses: nothing was done then."""
        for _ in range(MAX_REFUSED_FIELDS):
            result = await self._once(call, self._known(call, values), deadline_s)
            if not (isinstance(result, Failure) and self._forget(call, result)):
                break
        return result

    async def _once(
        self, call: Call, values: Mapping[str, object], deadline_s: float
    ) -> Answer | Failure | ServerTrouble:
        prepared = prepare(call, values)
        url = self._base + call.path
        try:
            if call.verb == "GET":
                answer = await self._http.get_json(url, query(call, prepared), deadline_s=deadline_s)
            else:
                # Asking twice may give two jobs, of which one would be lost; everything else may be repeated.
                answer = await self._http.post_json(
                    url,
                    msgspec.json.encode(prepared),
                    deadline_s=deadline_s,
                    repeatable=call is not v1.ACQUIRE_JOBS,
                )
        except HttpError as error:
            return ServerTrouble(
                kind=error.trouble,
                evidence=error.evidence,
                where=error.where,
                may_pass=error.trouble not in ("request", "closed"),
                may_have_arrived=error.may_have_arrived,
            )
        judged = envelope.judge(answer.status, answer.body, call)
        if isinstance(judged, Answer) and (date := _date_of(answer.headers)) is not None:
            self._on_date(date)
        return judged

    def _known(self, call: Call, values: Mapping[str, object]) -> dict[str, object]:
        unknown = self.unknown_fields.get(call.path, ())
        return {name: value for name, value in values.items() if name not in unknown}

    def _forget(self, call: Call, failure: Failure) -> bool:
        """True when the server refused an optional field of ours, which from now on is not sent."""
        found = _UNEXPECTED.search(failure.message) if failure.kind is FailureKind.REFUSED else None
        field = fields_of(call).get(found[1]) if found else None
        if field is None or field.required:
            return False
        unknown = self.unknown_fields.setdefault(call.path, set())
        is_new = field.name not in unknown
        unknown.add(field.name)
        return is_new

    def _orders(self, call: Call, result: Answer | Failure | ServerTrouble) -> Orders | ServerTrouble:
        if isinstance(result, ServerTrouble):
            return result
        if isinstance(result, Failure):
            return self._trouble(call, result)
        # The answer may carry `pilotSecrets`: nothing but the commands is taken out of it.
        return Orders(commands=envelope.commands(result.data))

    def _only_trouble(self, call: Call, result: Answer | Failure | ServerTrouble) -> ServerTrouble | None:
        if isinstance(result, Failure):
            return self._trouble(call, result)
        return result if isinstance(result, ServerTrouble) else None

    def _trouble(self, call: Call, failure: Failure) -> ServerTrouble:
        status = "" if failure.http_status == 200 else f"HTTP {failure.http_status}: "
        code = "" if failure.status_code is None else f"StatusCode {failure.status_code}: "
        return ServerTrouble(
            kind=failure.kind.value,
            evidence=f"{status}{code}{failure.message}",
            where=f"{call.verb} {self._base}{call.path}",
            may_pass=failure.kind.may_pass,
            may_have_arrived=True,
        )


class _Row(msgspec.Struct):
    """One element of an answer about the status of jobs; the two calls fill different parts."""

    status: str
    job_id: int | None = None
    attempt_number: int | None = None
    command: str | None = None


def _date_of(headers: Mapping[str, str]) -> float | None:
    """When the answer was made, by the server's clock; None where it does not say so."""
    from email.utils import (
        parsedate_to_datetime,
    )  # loaded with the HTTP library, which comes with the first call

    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None


def _bad(job: BrokenJob) -> BadJob:
    return BadJob(
        job_id=job.job_id,
        attempt_nr=job.attempt_nr,
        field=job.field,
        why=job.why,
        evidence=job.evidence,
        code=job.code,
    )
