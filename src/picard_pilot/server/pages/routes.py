"""The addresses of the monitor: pages, their changing parts, their stream of news, login and static files.

What stands on a page is made in `shown` and `render`; the calls of pilots and tools are the server's own business.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from picard_pilot.diagnosis.catalogue.lookup import Undocumented, Unknown, look_up, unknown
from picard_pilot.diagnosis.catalogue.plain import SCHEMA, data
from picard_pilot.diagnosis.catalogue.row import Code
from picard_pilot.diagnosis.catalogue.transfers import Finer
from picard_pilot.model.trouble import Trouble
from picard_pilot.server.auth import SESSION_COOKIE
from picard_pilot.server.pages import cost, explained, live, render, shown
from picard_pilot.server.pages.choice import BadChoice, Choice
from picard_pilot.server.pages.source import JobSource
from picard_pilot.server.store import Store

#: No script, style, font or connection from elsewhere; nothing inline; not within frames.
_POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    # A login address holds a token: it is told to nobody.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_STATIC = Path(__file__).parent / "static"

_NEW_ADDRESS = "run `ppilot server token --login` on the server's host and open the address it prints."

Handler = Callable[[Request], Awaitable[Response]]


_SECTIONS: dict[type, str] = {shown.Stranded: "stranded", shown.Errors: "errors"}
"""Where the navigation stands on a view's page, where that is not the jobs."""


class Door(Protocol):
    """Who may look at the pages."""

    def sign_in(self, token: str) -> str | None:
        """The value of a new session's cookie for a login token, which is used up; None for a bad one."""

    def knows(self, session: str) -> bool:
        """Whether this is the cookie of a running session."""


def routes(store: Store, door: Door) -> list[BaseRoute]:
    """The monitor's routes, to stand beside the server's own."""
    pages = _Pages(store, door)
    return [
        Route("/", pages.home),
        Route("/login", pages.login),
        Route("/jobs", pages.guarded(pages.jobs)),
        Route("/stranded", pages.guarded(pages.stranded)),
        Route("/cost", pages.guarded(pages.cost)),
        Route("/errors", pages.guarded(pages.errors)),
        Route("/errors/{name:path}", pages.guarded(pages.explained)),
        Route("/jobs/{job_id:int}", pages.guarded(pages.job)),
        Route("/jobs/{job_id:int}/timeline.svg", pages.guarded(pages.drawing)),
        Route("/ui/v1/live", pages.guarded(pages.stream)),
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]


class _Pages:
    """The handlers, with what they read from."""

    def __init__(self, store: Store, door: Door) -> None:
        self._source, self._feed, self._door = JobSource(store), store.feed, door

    def guarded(self, handler: Handler) -> Handler:
        """The handler for those who are signed in, and directions for the others."""

        async def guard(request: Request) -> Response:
            if self._door.knows(request.cookies.get(SESSION_COOKIE, "")):
                return await handler(request)
            return _message(
                request,
                status=401,
                what="You are not signed in",
                evidence="Jobs are shown only to a browser that was opened with a login address.",
                next_step=_NEW_ADDRESS,
            )

        return guard

    async def home(self, request: Request) -> Response:
        return RedirectResponse(f"{_root(request)}/jobs", status_code=307, headers=HEADERS)

    async def login(self, request: Request) -> Response:
        session = self._door.sign_in(request.query_params.get("token", ""))
        if session is None:
            return _message(
                request,
                status=403,
                what="This login address no longer works",
                evidence="Each one opens once and for a limited time; this one was used, or was never valid.",
                next_step=_NEW_ADDRESS,
            )
        answer = RedirectResponse(f"{_root(request)}/jobs", status_code=303, headers=HEADERS)
        secure = request.url.scheme == "https"
        answer.set_cookie(SESSION_COOKIE, session, httponly=True, samesite="strict", secure=secure, path="/")
        return answer

    async def jobs(self, request: Request) -> Response:
        state = request.query_params.get("state", "all")
        if state not in render.STATES_OF_TILE:
            return _message(
                request,
                status=404,
                what="There is no such state",
                evidence=f"The address asks for jobs in state {state!r}.",
                next_step=f"choose one of {', '.join(render.STATES_OF_TILE)}.",
            )
        return await self._chosen(request, lambda choice: shown.JobList(state, choice))

    async def errors(self, request: Request) -> Response:
        return await self._chosen(request, shown.Errors)

    async def explained(self, request: Request) -> Response:
        """A row of the catalogue; it needs no job."""
        name = request.path_params["name"]
        try:
            row = look_up(name)
        except (Unknown, Undocumented) as problem:
            return _no_text(request, problem)
        if not isinstance(row, Code | Finer):
            return _no_text(request, unknown(name))
        if request.query_params.get("format") == "json":
            body = msgspec.json.encode({"schema": SCHEMA, "data": data(row)})
            return Response(body, media_type="application/json", headers=HEADERS)
        root = _root(request)
        json_url = f"{root}/errors/{quote(name)}?format=json"
        page = render.Page(now_s=time.time(), root=root, json_url=json_url, section="errors")
        return HTMLResponse(render.explained(explained.values(row, root), page), headers=HEADERS)

    async def _chosen(self, request: Request, view: Callable[[Choice], shown.View]) -> Response:
        try:
            choice = Choice.of(request.query_params)
        except BadChoice as error:
            return _message(
                request,
                status=404,
                what="There is nothing to choose like that",
                evidence=f"In the address {error}.",
                next_step="correct the address, or start from the page of all.",
            )
        return await self._answer(request, view(choice))

    async def stranded(self, request: Request) -> Response:
        return await self._answer(request, shown.Stranded())

    async def cost(self, request: Request) -> Response:
        wanted = cost.Wanted.of(request.query_params)
        if wanted is None:
            return _message(
                request,
                status=404,
                what="There is no such span of time",
                evidence=f"The address asks for {request.query_params.get('span')!r}.",
                next_step=f"choose one of {', '.join(word for word, _, _ in cost.SPANS)}.",
            )
        found = await self._source.cost(wanted.filter(cost.now()))
        if request.query_params.get("format") == "json":
            body = msgspec.json.encode({"schema": "ppilot.cost/1", "data": found})
            return Response(body, media_type="application/json", headers=HEADERS)
        root = _root(request)
        json_url = f"{root}/cost?{wanted.query(format='json')}"
        page = render.Page(now_s=time.time(), root=root, json_url=json_url, section="cost")
        return HTMLResponse(render.cost(cost.values(found, wanted, root), page), headers=HEADERS)

    async def job(self, request: Request) -> Response:
        return await self._answer(request, shown.OneJob(request.path_params["job_id"]))

    async def drawing(self, request: Request) -> Response:
        """The timeline as a file of its own, for a talk or a ticket."""
        job = await self._source.job(request.path_params["job_id"])
        if job is None:
            return Response("no such job\n", status_code=404, media_type="text/plain", headers=HEADERS)
        # Its colours are inside the file; nothing else is.
        headers = {**HEADERS, "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return Response(render.drawing(job, time.time()), media_type="image/svg+xml", headers=headers)

    async def _answer(self, request: Request, view: shown.View) -> Response:
        found = await view.read(self._source)
        if found is None:
            return _message(
                request,
                status=404,
                what="There is no such job",
                evidence=f"This server has no job at {request.url.path}.",
                next_step="look for it in the list of jobs; another server's jobs are on its own pages.",
            )
        if request.query_params.get("format") == "json":
            return Response(msgspec.json.encode(found.data()), media_type="application/json", headers=HEADERS)
        whole = "HX-Request" not in request.headers
        return HTMLResponse(found.html(_page(request, view), whole=whole), headers=HEADERS)

    async def stream(self, request: Request) -> Response:
        view = shown.view_of(request.query_params)
        if view is None:
            return Response("no such view\n", status_code=404, media_type="text/plain", headers=HEADERS)
        return live.stream(view, self._source, self._feed, lambda: _page(request, view), HEADERS)


def _root(request: Request) -> str:
    """The path under which a reverse proxy shows the server; empty without one."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def _page(request: Request, view: shown.View) -> render.Page:
    root = _root(request)
    address = root + view.address()
    return render.Page(
        now_s=time.time(),
        root=root,
        live=f"{root}/ui/v1/live?{view.query()}",
        fragment_url=address,
        json_url=f"{address}{'&' if '?' in address else '?'}format=json",
        section=_SECTIONS.get(type(view), "jobs"),
    )


def _no_text(request: Request, problem: Trouble) -> Response:
    return _message(
        request,
        status=404,
        what=problem.what,
        evidence=f"{problem.evidence[0].upper()}{problem.evidence[1:]}.",
        next_step=f"{problem.next_step}.",
    )


def _message(request: Request, *, status: int, what: str, evidence: str, next_step: str) -> Response:
    page = render.Page(now_s=time.time(), root=_root(request), signed_in=status == 404)
    html = render.message(page, what=what, evidence=evidence, next_step=next_step)
    headers: Mapping[str, str] = HEADERS
    return HTMLResponse(html, status_code=status, headers=dict(headers))
