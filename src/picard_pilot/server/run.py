"""Serving: binding, TLS, the workers beside the application, readiness, and a clean end. Also the detached process.

What is served is `app`'s; starting this from another process is `control`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import uvicorn

from picard_pilot.server import info, tls
from picard_pilot.server.app import App, create_app
from picard_pilot.server.http11 import OneRecordProtocol
from picard_pilot.server.info import ServerInfo, ServerRuns
from picard_pilot.server.settings import ServerSettings, SettingsError, check
from picard_pilot.server.store import Clock, StoreError, open_store, utc_ms
from picard_pilot.system import proc

KEEP_ALIVE_S = 75
"""Seconds an idle connection is kept: longer than the pause between a pilot's calls around a job."""

GRACE_S = 3
"""Seconds for calls under way when the server is told to stop."""

BACKLOG = 2048
"""Connections that may wait to be accepted; a burst of pilots after an outage."""

_log = logging.getLogger(__name__)


def serve(settings: ServerSettings, on_ready: Callable[[ServerInfo], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; returns after a clean end. `on_ready` is called once calls are answered.

    Raises:
        SettingsError, StoreError, ServerRuns: nothing was served; the text has three lines for people.
        OSError: the address cannot be listened on.
    """
    check(settings)
    data_dir = Path(settings.data_dir)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)

    def on_start(app: App, stop: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)

    with info.alone(data_dir), listening(settings) as listener:
        asyncio.run(serve_on(settings, listener, on_start=on_start, on_ready=on_ready))


async def serve_on(
    settings: ServerSettings,
    listener: socket.socket,
    *,
    on_start: Callable[[App, Callable[[], None]], None],
    on_ready: Callable[[ServerInfo], None] | None = None,
    clock: Clock = utc_ms,
) -> None:
    """Serve on a listening socket until told to stop.

    `on_start` is called on the event loop, with the application and what to call on the loop to stop it.
    """
    data_dir = Path(settings.data_dir)
    files = None if settings.plain_http else tls.prepare(data_dir, settings.host)
    store = open_store(data_dir / info.DATABASE_NAME, durable=settings.durable, clock=clock)
    try:
        app = create_app(store, settings)
        server = _Server(_config(app, files), app, lambda: _announce(settings, listener, files, on_ready))
        on_start(app, server.stop)
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(app.adder.run()), group.create_task(app.watcher.run())]
            await server.serve(sockets=[listener])
            for worker in workers:
                worker.cancel()
    finally:
        info.remove(data_dir)
        store.close()


@contextlib.contextmanager
def listening(settings: ServerSettings) -> Iterator[socket.socket]:
    """The socket that the settings ask for, bound and listening. Raises OSError."""
    family = socket.AF_INET6 if _is_ipv6(settings.host) else socket.AF_INET
    with socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG) as listener:
        # Inherited by every connection. asyncio sets it only on sockets that name their protocol, which these
        # do not; without it each answer waits 40 ms for the other side's delayed acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


class _Server(uvicorn.Server):
    """uvicorn with our signals, told when it is ready, and ending the event streams before it waits for them."""

    def __init__(self, config: uvicorn.Config, app: App, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._app, self._ready = app, ready

    def stop(self) -> None:
        """End after the calls under way."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ours are set on the loop; uvicorn's would raise the signal again after a clean end."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if not self.should_exit:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the event streams, then the rest."""
        self._app.store.feed.close()
        for connection in list(self.server_state.connections):
            # A polite TLS close waits for the other side, and an idle pilot does not read.
            if isinstance(connection, OneRecordProtocol) and connection.is_idle:
                connection.transport.abort()
        await super().shutdown(sockets)


def _config(app: App, files: tls.TlsFiles | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=OneRecordProtocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=None if files is None else files.certificate,
        ssl_keyfile=None if files is None else files.key,
    )


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def _announce(
    settings: ServerSettings,
    listener: socket.socket,
    files: tls.TlsFiles | None,
    on_ready: Callable[[ServerInfo], None] | None,
) -> None:
    port = listener.getsockname()[1]
    # An address that means every interface is no address to call.
    called = socket.gethostname() if settings.host in ("0.0.0.0", "::") else settings.host
    host = f"[{called}]" if _is_ipv6(called) else called
    announced = ServerInfo(
        url=f"{'http' if files is None else 'https'}://{host}:{port}",
        host=settings.host,
        port=port,
        process=proc.myself(),
        boot_id=proc.boot_id(),
        ca_file=None if files is None else str(files.authority),
        data_dir=settings.data_dir,
        started_at_s=time.time(),
    )
    info.write(announced)
    _log.info("serving %s", announced.url)
    if on_ready is not None:
        on_ready(announced)


def _main(arguments: list[str]) -> int:
    """The detached server: settings as JSON, then the descriptor to write `server.json`'s content to."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.Formatter.converter = time.gmtime
    settings = msgspec.json.decode(arguments[0], type=ServerSettings)
    with os.fdopen(int(arguments[1]), "wb") as ready:

        def tell(announced: ServerInfo) -> None:
            ready.write(msgspec.json.encode(announced))
            ready.close()

        try:
            serve(settings, tell)
        except (SettingsError, StoreError, ServerRuns, OSError) as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
