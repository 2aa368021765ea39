"""`ppilot demo`: real jobs on a server of their own, followed live, judged at the end, and everything removed.

The jobs are `tools.scenarios`; the folder, the processes, the terminal and the verdict have a file each beside this.
"""

from __future__ import annotations

import asyncio
import shlex
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import msgspec

from picard_pilot.model.trouble import Trouble
from picard_pilot.panda.credentials import Credential
from picard_pilot.server import control
from picard_pilot.server.info import ServerInfo
from picard_pilot.server.pages import words
from picard_pilot.server.settings import ServerSettings
from picard_pilot.server.views import FINAL_STATUSES, JobRow
from picard_pilot.system.bearer import Token
from picard_pilot.tools import demo_place
from picard_pilot.tools.client import Client, Target
from picard_pilot.tools.demo_browser import open_in_browser
from picard_pilot.tools.demo_judge import Verdict, judge
from picard_pilot.tools.demo_peak import peak_line
from picard_pilot.tools.demo_place import Place
from picard_pilot.tools.demo_processes import Processes
from picard_pilot.tools.demo_screen import Opening, Screen
from picard_pilot.tools.scenarios.table import Scenario, chosen

#: How often the table asks the server: five times a second looks immediate.
LOOK_S = 0.2

#: Pilots of a demonstration say where their jobs are, and hear of a kill, within a second or two.
PILOT_OPTIONS = ("--heartbeat", "5", "--command-poll", "1", "--queue-patience", "3600")

#: A call of this machine to itself; longer means that the server is stuck.
CALL_LIMIT_S = 20.0

#: Exit code of a program that a signal asked to end: 128 + its number, as shells have it.
SIGNAL_BASE = 128
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What can be asked of a demonstration; defaults and their reasons are in `settings.table`."""

    jobs: int = 5
    pilots: int = 2
    fail: tuple[str, ...] = ("exit7", "signal", "missing-input")
    port: int = 0
    """0: any free one."""
    keep: bool = False
    """Keep the folder with database, logs, job directories and outputs."""
    open_browser: bool = False
    """Open the monitor, and leave it up at the end until Ctrl-C."""
    seconds: float = 300.0
    """Give up after so long."""


async def run_demo(options: DemoOptions, out: TextIO | None = None) -> int:
    """Run the demonstration; 0 if every job ended as its scenario says, else 1, or 128 + n after signal n.

    Writes to `out` (stdout). Raises SettingsTrouble for a failure that is not in the table, Trouble for missing
    packages and for a port that is taken. When it returns or raises, none of its processes is left, nor its folder
    unless it should be kept.
    """
    scenarios = chosen(options.jobs, options.fail)
    demo_place.collisions()
    _check_port(options.port)
    folder = Path(tempfile.mkdtemp(prefix="picard-demo-"))
    try:
        place = demo_place.prepare(folder, options.pilots)
        demo = _Demo(options, scenarios, place, Screen(out))
        story = asyncio.create_task(demo.run())
        with _interruptible(story) as asked:
            try:
                return await story
            except asyncio.CancelledError:
                if not asked:
                    raise
                return SIGNAL_BASE + asked[0]
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _interruptible(story: asyncio.Task[int]) -> Iterator[list[int]]:
    """Signals cancel the story, again and again if need be; yields those that came."""
    asked: list[int] = []
    loop = asyncio.get_running_loop()

    def ask(number: int) -> None:
        asked.append(number)
        story.cancel()

    for number in _SIGNALS:
        loop.add_signal_handler(number, ask, number)
    try:
        yield asked
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


class _Demo:
    """One demonstration from the server's start to the last process' end."""

    def __init__(
        self, options: DemoOptions, scenarios: Sequence[Scenario], place: Place, screen: Screen
    ) -> None:
        self._options, self._scenarios, self._place, self._screen = options, scenarios, place, screen
        self._processes = Processes(place)

    async def run(self) -> int:
        """Everything, and the clean end of it."""
        try:
            return await self._story()
        finally:
            self._screen.settle()
            if not all(task.done() for task in self._processes.pilots.values()):
                self._screen.tell("Stopping pilots and server ...")
            await self._processes.end()
            if self._options.keep:
                self._screen.tell(f"Kept: {self._place.folder}")
            else:
                self._screen.tell(f"Removed: {self._place.folder} with all in it (--keep keeps it)")

    async def _story(self) -> int:
        # Plain http on the loopback device: a browser would warn of the private authority that TLS needs here.
        settings = ServerSettings(data_dir=str(self._place.server), port=self._options.port, plain_http=True)
        server = await self._processes.start_server(settings)
        monitor = control.login_url(self._place.server)
        with Client(_as_user(server, settings.vo), timeout_s=CALL_LIMIT_S) as client:
            self._screen.open(
                Opening(
                    jobs=len(self._scenarios),
                    meant_to_fail=sum(one.end.status == "failed" for one in self._scenarios),
                    pilots=self._options.pilots,
                    server_url=server.url,
                    monitor_url=monitor,
                    folder=str(self._place.folder),
                )
            )
            specs = [scenario.spec(self._place.inputs) for scenario in self._scenarios]
            ids = await asyncio.to_thread(client.submit, specs)
            self._screen.follow(list(zip(ids, self._scenarios, strict=True)))
            kept = ("--no-cleanup",) if self._options.keep else ()
            for number in range(1, self._options.pilots + 1):
                self._processes.start_pilot(number, server, options=(*PILOT_OPTIONS, *kept))
            if self._options.open_browser and not await open_in_browser(monitor):
                self._screen.tell("No browser could be opened here; the monitor's address is above.")
            in_time = await self._follow(client, ids)
            self._screen.settle()
            verdicts = [
                judge(scenario, await asyncio.to_thread(client.job, job_id))
                for job_id, scenario in zip(ids, self._scenarios, strict=True)
            ]
        code = await self._conclude(verdicts, in_time)
        if self._options.open_browser and sys.stdin.isatty():
            await self._stay_open()
        return code

    async def _follow(self, client: Client, ids: Sequence[int]) -> bool:
        """Show the jobs until all have ended; False if the time was over before."""
        try:
            async with asyncio.timeout(self._options.seconds):
                while not await self._all_ended(client, ids):
                    self._processes.check_server()
                    self._processes.check_pilots()
                    await self._processes.wait(LOOK_S)
        except TimeoutError:
            return False
        return True

    async def _all_ended(self, client: Client, ids: Sequence[int]) -> bool:
        listed = await asyncio.to_thread(client.jobs, {"limit": str(len(ids))})
        rows: dict[int, JobRow] = {row.job_id: row for row in listed.rows}
        self._screen.update(rows)
        return all(job_id in rows and rows[job_id].status in FINAL_STATUSES for job_id in ids)

    async def _conclude(self, verdicts: Sequence[Verdict], in_time: bool) -> int:
        wrong = [verdict for verdict in verdicts if verdict.wrong]
        physics = next((verdict for verdict in verdicts if verdict.scenario.name == "dimuon"), None)
        peak = await asyncio.to_thread(peak_line, physics) if physics is not None else None
        self._screen.summary(verdicts, peak)
        all_of_them = words.count(len(verdicts), "job")
        if not wrong:
            sentence = f"{all_of_them} ended as the scenarios say."
        elif in_time:
            sentence = f"{len(wrong)} of {all_of_them} did NOT end as the scenarios say."
        else:
            limit = words.duration(self._options.seconds)
            sentence = f"After {limit}, {len(wrong)} of {all_of_them} had NOT ended as the scenarios say."
        self._screen.close(sentence, self._next_commands())
        return 1 if wrong else 0

    def _next_commands(self) -> list[tuple[str, str]]:
        ppilot = _program()
        if self._options.keep:
            data_dir = shlex.quote(str(self._place.server))
            return [
                (
                    f"{ppilot} server start --plain-http --data-dir {data_dir}",
                    "this server again, with its jobs and pages",
                ),
                (f"{ppilot} job list --data-dir {data_dir}", "its jobs, once it runs again"),
                (f"ls {shlex.quote(str(self._place.storage))}", "what the jobs stored"),
            ]
        return [
            (f"{ppilot} demo --jobs 12 --pilots 3 --open", "more jobs, with the monitor in a browser"),
            (f"{ppilot} demo --keep", "keep database, logs, job directories and outputs"),
            (f"{ppilot} server start", "a server to stay, for jobs of your own: submit --help says how"),
        ]

    async def _stay_open(self) -> None:
        """Until a signal ends it, which is then the wanted end."""
        self._screen.tell("The monitor stays up until you press Ctrl-C.")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()


def _as_user(server: ServerInfo, vo: str) -> Target:
    """The server, met with the role that may submit on any server: a user's."""
    path = control.token_file(Path(server.data_dir), "user")
    token = Token("the demonstration's server", path=path)
    credential = Credential(token=token, origin=f"{vo}.user", source=str(path))
    return Target(server.url, server.ca_file, credential, True)


def _program() -> str:
    """What to type for `ppilot` here: that word where the shell finds this installation's, else its path."""
    installed = Path(sys.executable).with_name("ppilot")
    found = shutil.which("ppilot")
    if not installed.exists() or (found is not None and Path(found).resolve() == installed.resolve()):
        return "ppilot"
    here = Path.cwd()
    return shlex.quote(str(installed.relative_to(here) if installed.is_relative_to(here) else installed))


def _check_port(port: int) -> None:
    """Raise Trouble if the server could not listen there; cheaper to say now than from the server's log."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Trouble(
                f"The demonstration's server cannot use port {port}",
                str(error.strerror),
                "Name another port with --port; without one, any free port is taken",
            ) from None
