"""The whole server as one ASGI application: PanDA calls, our own calls, the monitor's pages.

Listening is `run`'s.
"""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from picard_pilot.server.adder import Adder
from picard_pilot.server.auth import Tokens
from picard_pilot.server.job_calls import JobCalls
from picard_pilot.server.pilot_calls import PilotCalls
from picard_pilot.server.settings import ServerSettings
from picard_pilot.server.store import Store
from picard_pilot.server.transport import Calls, Receive, Scope, Send
from picard_pilot.server.ui_calls import UiCalls
from picard_pilot.server.watcher import Watcher

_PANDA_PATHS = ("/api/", "/server/panda/")
"""Paths that PanDA clients ask for; those not served are refused as a real server refuses them."""


class App:
    """The application and the two workers that belong to it; whoever serves it runs these beside it."""

    def __init__(self, store: Store, settings: ServerSettings) -> None:
        self.store = store
        self.tokens = Tokens(Path(settings.data_dir), settings.vo, settings.token_lifetime_s)
        self.tokens.prepare()
        self.adder = Adder(store, settings.adder_interval_s)
        self.watcher = Watcher(store, settings.watch_limits, settings.watcher_interval_s)
        served = [*PilotCalls(store, self.adder).served(), *JobCalls(store).served()]
        self._calls = Calls(served, self.tokens, settings.max_body_bytes)
        self._people = Starlette(routes=self._routes(settings))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"].startswith(_PANDA_PATHS):
            await self._calls(scope, receive, send)
        else:
            await self._people(scope, receive, send)

    def _routes(self, settings: ServerSettings) -> list[BaseRoute]:
        routes: list[BaseRoute] = [Route("/healthz", _healthz), *UiCalls(self.store, self.tokens).routes()]
        if settings.pages:
            from picard_pilot.server.pages.routes import routes as pages

            routes += pages(self.store, self.tokens)
        return routes


def create_app(store: Store, settings: ServerSettings) -> App:
    """The application for a store; makes key and tokens in the data directory where there are none."""
    return App(store, settings)


async def _healthz(request: Request) -> Response:
    return PlainTextResponse("ok\n")
