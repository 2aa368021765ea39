"""Our own calls for tools, under `/ui/v1`: JSON with a schema name, errors with what to do next.

They need the same tokens as the PanDA calls, or for reading the browser's session. What they show is `views`'.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import msgspec
from sse_starlette.sse import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from picard_pilot.server import submission
from picard_pilot.server.auth import SESSION_COOKIE, BadToken, Tokens
from picard_pilot.server.caller import Caller
from picard_pilot.server.costs import CostFilter
from picard_pilot.server.errors import ErrorFilter
from picard_pilot.server.jobstates import BY_USER
from picard_pilot.server.store import Store
from picard_pilot.server.views import DEFAULT_LIMIT, JobFilter, Views
from picard_pilot.wire.jobfields import JobSpecError

PREFIX = "/ui/v1"

PING_S = 15
"""Seconds between signs of life on an event stream, below the minute after which proxies cut a silent line."""

Handler = Callable[[Request, Caller], Awaitable[Response]]


class Problem(Exception):
    """An error answer: HTTP status, a word for programs, what happened and what to do next."""

    def __init__(self, status: int, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.hint = status, code, message, hint


class UiCalls:
    """The handlers, with what they read from."""

    def __init__(self, store: Store, tokens: Tokens) -> None:
        self._store, self._tokens = store, tokens
        self._views = Views(store)

    def routes(self) -> list[BaseRoute]:
        """To stand beside the pages' routes."""
        return [
            Route(f"{PREFIX}/jobs", self._guarded(self._jobs)),
            Route(f"{PREFIX}/jobs/{{job_id:int}}", self._guarded(self._job)),
            Route(f"{PREFIX}/jobs/{{job_id:int}}/retry", self._guarded(self._retry), methods=["POST"]),
            Route(f"{PREFIX}/cost", self._guarded(self._cost)),
            Route(f"{PREFIX}/counts", self._guarded(self._counts)),
            Route(f"{PREFIX}/errors", self._guarded(self._errors)),
            Route(f"{PREFIX}/pilots", self._guarded(self._pilots)),
            Route(f"{PREFIX}/workers", self._guarded(self._workers)),
            Route(f"{PREFIX}/events", self._guarded(self._events)),
        ]

    def _guarded(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def guard(request: Request) -> Response:
            try:
                return await handler(request, self._caller(request))
            except Problem as problem:
                error = {"code": problem.code, "message": problem.message, "hint": problem.hint}
                return _json({"error": error}, problem.status)

        return guard

    def _caller(self, request: Request) -> Caller:
        authorization = request.headers.get("authorization")
        if authorization is None:
            session = request.cookies.get(SESSION_COOKIE, "")
            # A cookie comes along with what another site makes the browser send, so it is for reading only.
            if request.method in ("GET", "HEAD") and self._tokens.knows(session):
                return Caller(name="browser", is_production=False)
            hint = "send the token that `ppilot server token` prints"
            raise Problem(401, "no-credential", "this call needs a token", hint)
        try:
            return self._tokens.caller(authorization, request.headers.get("origin", ""))
        except BadToken as error:
            hint = "take the token that `ppilot server token` prints, and send Origin: VO.ROLE"
            raise Problem(403, "bad-token", str(error), hint) from error

    async def _jobs(self, request: Request, caller: Caller) -> Response:
        """Filters: state (comma list), queue, owner, node, since (ISO time), error, fp, finer, endpoint; limit and
        before for pages."""
        query = request.query_params
        found = await self._views.jobs(
            JobFilter(
                statuses=tuple(word for word in query.get("state", "").split(",") if word),
                queue=query.get("queue"),
                owner=query.get("owner"),
                since=_moment(query.get("since")),
                error_code=_number(query.get("error"), "error"),
                host=query.get("node"),
                failure=ErrorFilter(
                    fingerprint=query.get("fp"), finer=query.get("finer"), endpoint=query.get("endpoint")
                ),
                before=_number(query.get("before"), "before"),
                limit=_number(query.get("limit"), "limit") or DEFAULT_LIMIT,
            )
        )
        return _answer("ui.jobs/1", found)

    async def _job(self, request: Request, caller: Caller) -> Response:
        job_id = request.path_params["job_id"]
        detail = await self._views.job(job_id)
        if detail is None:
            raise Problem(
                404, "no-such-job", f"there is no job {job_id}", "list the jobs with `ppilot job list`"
            )
        return _answer("ui.job/1", detail)

    async def _retry(self, request: Request, caller: Caller) -> Response:
        """A next attempt by hand, also beyond the job's limit; `data` is the new job's id."""
        job_id = request.path_params["job_id"]
        try:
            outcome = await self._store.write(
                lambda transaction: submission.retry_by_hand(transaction, job_id, caller)
            )
        except JobSpecError as error:
            outcome = str(error)
        if isinstance(outcome, str):
            hint = f"look at it with `ppilot job describe {job_id}`"
            raise Problem(409, "not-retried", outcome, hint)
        return _answer("ui.retry/1", {"job_id": outcome, "parent_id": job_id, "by": BY_USER})

    async def _cost(self, request: Request, caller: Caller) -> Response:
        """Filters: queue, owner, since (ISO time)."""
        query = request.query_params
        since = _moment(query.get("since"))
        wanted = CostFilter(since=since, queue=query.get("queue"), owner=query.get("owner"))
        return _answer("ui.cost/1", await self._views.cost(wanted))

    async def _counts(self, request: Request, caller: Caller) -> Response:
        return _answer("ui.counts/1", await self._views.counts())

    async def _errors(self, request: Request, caller: Caller) -> Response:
        """Filters: queue, owner, node, since (ISO time), error, fp, finer, endpoint."""
        query = request.query_params
        wanted = ErrorFilter(
            since=_moment(query.get("since")),
            queue=query.get("queue"),
            owner=query.get("owner"),
            host=query.get("node"),
            code=_number(query.get("error"), "error"),
            fingerprint=query.get("fp"),
            finer=query.get("finer"),
            endpoint=query.get("endpoint"),
        )
        return _answer("ui.errors/1", await self._views.errors(wanted))

    async def _pilots(self, request: Request, caller: Caller) -> Response:
        limit = _number(request.query_params.get("limit"), "limit") or DEFAULT_LIMIT
        return _answer("ui.pilots/1", await self._views.pilots(limit))

    async def _workers(self, request: Request, caller: Caller) -> Response:
        limit = _number(request.query_params.get("limit"), "limit") or DEFAULT_LIMIT
        return _answer("ui.workers/1", await self._views.workers(limit))

    async def _events(self, request: Request, caller: Caller) -> Response:
        """Server-sent events: one per change, its id the event id; without a job id: read everything anew."""
        after = _number(request.headers.get("last-event-id") or request.query_params.get("after"), "after")
        return EventSourceResponse(self._event_stream(after), ping=PING_S)

    async def _event_stream(self, after: int | None) -> AsyncIterator[dict[str, str]]:
        async for change in self._views.subscribe(after):
            event = "resync" if change.job_id is None else "job"
            data = msgspec.json.encode({"job_id": change.job_id}).decode()
            yield {"id": str(change.event_id), "event": event, "data": data}


def _answer(schema: str, data: object) -> Response:
    return _json({"schema": schema, "data": data}, 200)


def _json(document: object, status: int) -> Response:
    headers = {"Cache-Control": "no-store"}
    body = msgspec.json.encode(document)
    return Response(body, status_code=status, media_type="application/json", headers=headers)


def _number(text: str | None, name: str) -> int | None:
    if text is None or text == "":
        return None
    try:
        number = int(text)
    except ValueError:
        raise Problem(400, "bad-parameter", f"{name} must be a number, got {text!r}", "correct it") from None
    if not 0 <= number < 2**63:
        raise Problem(400, "bad-parameter", f"{name} is out of range: {text}", "correct it")
    return number


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        hint = "write it as 2026-01-31T12:00:00Z"
        raise Problem(400, "bad-parameter", f"since must be a time, got {text!r}", hint) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
