"""The processes of a demonstration: its server and its pilots, each with all that it starts ended with it.

What they are for is `tools.demo`; how a tree of processes is ended is `system.run`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from picard_pilot.model.command import CommandResult
from picard_pilot.model.trouble import Trouble
from picard_pilot.server import control, info
from picard_pilot.server.info import ServerInfo
from picard_pilot.server.settings import ServerSettings
from picard_pilot.system import run as commands
from picard_pilot.tools.demo_place import Place
from picard_pilot.tools.scenarios.table import QUEUE

#: A pilot that is told to leave stops its payload (10 s) and reports (10 s); after that it is killed.
PILOT_GRACE_S = 22.0

#: The server ends the calls under way within 3 s.
SERVER_GRACE_S = 5.0

#: Half a second on an idle machine; a minute where everything else starts at the same time.
SERVER_START_S = 60.0

#: The server tells that it is ready by writing a file; nothing else can be waited for.
LOOK_S = 0.05

#: Settings of other pilots and servers, and of the batch slot that this may run in, are none of the demo's.
_FOREIGN = (
    "PICARD_",
    "PANDA_",
    "PANDAPILOT_",
    "HARVESTER_",
    "PILOT_",
    "X509_",
    "BEARER_TOKEN",
    "GTAG",
    "OSG_WN_TMP",
)

_TAIL_LINES = 5


class Processes:
    """All processes of one demonstration. `end` ends them, whatever they are doing."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._server: asyncio.Task[CommandResult] | None = None
        self.pilots: dict[str, asyncio.Task[CommandResult]] = {}

    async def start_server(self, settings: ServerSettings) -> ServerInfo:
        """Start the server and return once it answers. Raises Trouble with its last words if it does not."""
        argv = [sys.executable, "-m", "picard_pilot.server.run", msgspec.json.encode(settings).decode(), "1"]
        self._server = self._start("server", argv, self._place.server, {}, SERVER_GRACE_S)
        try:
            async with asyncio.timeout(SERVER_START_S):
                while (found := control.status(self._place.server)) is None:
                    await asyncio.wait({self._server}, timeout=LOOK_S)
                    self.check_server()
        except TimeoutError:
            raise Trouble(
                "The demonstration's server did not start",
                f"{info.FILE_NAME} was not written within {SERVER_START_S:.0f} s; {self._tail('server')}",
                "Run it again with --keep and look at logs/server.log in its folder",
            ) from None
        return found

    def start_pilot(self, number: int, server: ServerInfo, *, options: tuple[str, ...] = ()) -> None:
        """Start a pilot that takes jobs until it is ended."""
        name = f"pilot{number}"
        trust = ["--ca", server.ca_file] if server.ca_file else ["--plain-http"]
        argv = [
            *(sys.executable, "-m", "picard_pilot.cli.main", "run"),
            *("--queue", QUEUE, "--server", server.url, *trust),
            *("--token-file", str(control.token_file(Path(server.data_dir), "pilot"))),
            *("--site-file", str(self._place.site_file), "--workdir", str(self._place.pilot(number))),
            *("--node-directory", str(self._place.node)),
            *options,
        ]
        # The batch factory's tag becomes the first part of the pilot's id: so the table can name it.
        self.pilots[name] = self._start(name, argv, self._place.pilot(number), {"GTAG": name}, PILOT_GRACE_S)

    def check_server(self) -> None:
        """Raise Trouble if the server has gone."""
        if self._server is not None and self._server.done():
            raise Trouble(
                "The demonstration's server has ended",
                f"{_how(self._server.result())}; {self._tail('server')}",
                "Run it again with --keep and look at logs/server.log in its folder",
            )

    def check_pilots(self) -> None:
        """Raise Trouble if no pilot is left."""
        if self.pilots and all(task.done() for task in self.pilots.values()):
            ends = "; ".join(
                f"{name}: {_how(task.result())}, {self._tail(name)}" for name, task in self.pilots.items()
            )
            raise Trouble(
                "All pilots of the demonstration have left before its jobs were done",
                ends,
                "Run it again with --keep and look at the logs in its folder",
            )

    async def wait(self, at_most_s: float) -> None:
        """Return when a process ends, at the latest after so long."""
        running = {
            task for task in (self._server, *self.pilots.values()) if task is not None and not task.done()
        }
        if running:
            await asyncio.wait(running, timeout=at_most_s, return_when=asyncio.FIRST_COMPLETED)

    async def end(self) -> None:
        """End pilots, then the server, so that last reports are heard. Cancelling this call takes their grace away."""
        for tasks in (list(self.pilots.values()), [self._server] if self._server is not None else []):
            await _end(tasks)

    def _start(
        self, name: str, argv: list[str], cwd: Path, variables: Mapping[str, str], grace_s: float
    ) -> asyncio.Task[CommandResult]:
        log = self._place.logs / f"{name}.log"
        env = {**_environment(), **variables}
        return asyncio.create_task(
            commands.run(argv, cwd=cwd, env=env, stdout=log, stderr=log, grace_s=grace_s), name=name
        )

    def _tail(self, name: str) -> str:
        try:
            text = (self._place.logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "it wrote nothing"
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return "its last words: " + " / ".join(lines[-_TAIL_LINES:]) if lines else "it wrote nothing"


async def _end(tasks: list[asyncio.Task[CommandResult]]) -> None:
    for task in tasks:
        task.cancel()
    hurried: asyncio.CancelledError | None = None
    while waiting := {task for task in tasks if not task.done()}:
        try:
            await asyncio.wait(waiting)
        except asyncio.CancelledError as again:
            hurried = again
            for task in waiting:
                task.cancel()
    if hurried is not None:
        raise hurried


def _how(result: CommandResult) -> str:
    if result.start_error is not None:
        return f"it did not start: {result.start_error.evidence}"
    if result.signal is not None:
        return f"it was ended by signal {result.signal}"
    return f"it left with exit code {result.exit_code}"


def _environment() -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    # The demonstration never leaves this machine, whatever proxy the user has.
    return {**env, "no_proxy": "127.0.0.1,localhost", "NO_PROXY": "127.0.0.1,localhost"}
