"""A work directory in which pilots live and die on a virtual clock, one after the other or at the same time.

All that is on disk is real: directory, journal, lease, report. Server, storages and payload are `sweep_world`, one
pilot is `sweep_pilot`.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sweep_pilot import Fate, Pilot, forget_all, make_mortal
from sweep_world import Panda, Payload, Storages

from picard_pilot.data import logs
from picard_pilot.journal import file as journal_file
from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.fold import fold
from picard_pilot.model.files import FileRole, FileSpec
from picard_pilot.model.job import Job
from picard_pilot.model.site import Endpoint, PathRule, Protocol, Queue, Site
from picard_pilot.payload import launcher
from picard_pilot.pilot import hooking, payloads, signals, stepping, supervisor
from picard_pilot.testing.clock import VirtualClock

JOB_ID = 5
INPUTS = {f"in{number}": f"input {number}".encode() for number in (1, 2, 3)}
OUTPUTS = {"out1": b"precious", "out2": b"as precious"}
LOG = "log.tgz"

LIMIT_S = 90.0
"""Of real time for one story: a pilot that never leaves must not hold the tests for ever."""


class Scenario(NamedTuple):
    """The job and the night: how its storages behave, and what the queue wants."""

    name: str
    mood: Callable[[str, str, float], str] = lambda endpoint, lfn, now: "up"
    wall_s: float = 600.0
    label: str = "managed"
    alternative: bool = False
    register: bool = False
    late: tuple[str, ...] = ()
    """Outputs whose first store at A loses its answer."""


class _Clock(VirtualClock):
    """Nothing waits in reality here: all have gone as far as they come when the loop has nothing more to run."""

    async def settle(self) -> None:
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        while ready:  # noqa: ASYNC110 - the loop itself is what is waited for
            await asyncio.sleep(0)


class World:
    """One work directory, with all who meet there."""

    def __init__(self, directory: Path, scenario: Scenario) -> None:
        directory.mkdir()
        self.directory = directory
        self.scenario = scenario
        self.clock = _Clock()
        self.payload = Payload(self.clock, OUTPUTS, scenario.wall_s)
        late = set(scenario.late)

        def mood(endpoint: str, lfn: str, now: float) -> str:
            if endpoint == "A" and lfn in late:
                late.remove(lfn)
                return "late"
            return scenario.mood(endpoint, lfn, now)

        self.storages = Storages(self.clock, mood)
        self.storages.has_catalogue = scenario.register
        self.storages.files.update({f"told://A/{lfn}": content for lfn, content in INPUTS.items()})
        self.panda = Panda(self.clock, self._job())
        self.alive: set[int] = set()
        self.lines: list[str] = []
        """What all pilots have said."""
        self.case_was: Case | None = None
        """What the first pilot left in its journal, for the verdict."""
        self.on_record: Callable[[Pilot], None] | None = None
        """Called whenever a pilot is about to write a record, and when it has."""
        self.pilots: list[Pilot] = []
        """Those that came last."""
        self._tasks: list[asyncio.Task[None]] = []

    def _job(self) -> Job:
        return Job(
            job_id=JOB_ID,
            attempt_nr=1,
            label=self.scenario.label,
            recover=True,
            transformation="true",
            inputs=tuple(
                FileSpec(lfn=lfn, role=FileRole.INPUT, size_bytes=len(content), endpoint="A")
                for lfn, content in INPUTS.items()
            ),
            outputs=tuple(FileSpec(lfn=lfn, role=FileRole.OUTPUT, endpoint="A") for lfn in OUTPUTS),
            log=FileSpec(lfn=LOG, role=FileRole.LOG, endpoint="A"),
        )

    @property
    def site(self) -> Site:
        endpoints = {"pr": ("A",), "pw": ("A",), "pl": ("A",)}
        if self.scenario.alternative:
            endpoints["write_alternative"] = ("B",)
        return Site(
            queue=Queue(
                name="Q", panda_resource="Q", endpoints=endpoints, register_outputs=self.scenario.register,
                movers={"pw": ("told",)} if self.scenario.register else {},
            ),
            endpoints={
                name: Endpoint(name=name, protocols=(Protocol(prefix=f"told://{name}"),), paths=PathRule.FLAT)
                for name in "AB"
            },
        )  # fmt: skip

    # What is left

    @property
    def job_dir(self) -> Path:
        return self.directory / f"PanDA_Pilot-{JOB_ID}"

    def events(self) -> list[str]:
        """The kinds of records in the job's journal; none if there is none."""
        path = self.job_dir / "picard" / journal_file.NAME
        records = journal_file.read(path) if path.exists() else []
        return [type(record.event).__name__ for record in records]

    def case(self) -> Case | None:
        """What a later pilot finds."""
        path = self.job_dir / "picard" / journal_file.NAME
        records = journal_file.read(path) if path.exists() else []
        return fold((record.event, record.at) for record in records)

    # Pilots

    async def live(self, *fates: Fate | None, **settings: Any) -> None:
        """One pilot for each fate, at the same time, until all of them have left or are dead.

        Of several the second takes up what is there while the first is taking the lease.
        """
        await self.live_until(None, *fates, **settings)

    async def live_until(self, until: float | None, *fates: Fate | None, **settings: Any) -> None:
        """The same, but no longer than `until` on the clock; see `all_gone`."""
        self.pilots = pilots = [Pilot(self, fate, **settings) for fate in fates]
        with _race(pilots):
            pilots[0].take_up()
        for pilot in pilots:
            pilot.take_up()
        self._tasks = [asyncio.create_task(pilot.run()) for pilot in pilots]
        await self._go_on(until)

    def join(self) -> int:
        """One more pilot comes now, beside those that live; how many jobs it has taken up."""
        pilot = Pilot(self, None)
        has = pilot.take_up()
        self._tasks.append(asyncio.get_running_loop().create_task(pilot.run()))
        return has

    async def all_gone(self) -> None:
        """Let the pilots of before live on until all of them have left or are dead."""
        await self._go_on(None)

    async def _go_on(self, until: float | None) -> None:
        async with asyncio.timeout(LIMIT_S):
            await self.clock.settle()
            while not all(task.done() for task in self._tasks):
                wake = self.clock.next_wake()
                if until is not None and (wake is None or wake >= until):
                    break
                await self.clock.advance(0.0 if wake is None else wake - self.clock.monotonic())
        if until is not None:
            await self.clock.advance(until - self.clock.monotonic())
        for task in self._tasks:
            if task.done():
                task.result()


@contextmanager
def _race(pilots: list["Pilot"]) -> Iterator[None]:
    """The second pilot takes up what it finds at the moment when the first one is about to link its lease."""
    link = os.link

    def interrupted(source: Any, target: Any) -> None:
        os.link = link
        for pilot in pilots[1:]:
            pilot.take_up()
        link(source, target)

    os.link = interrupted  # type: ignore[assignment]
    try:
        yield
    finally:
        os.link = link


class _Lines(logging.Handler):
    """Keeps what is said in the world of this moment."""

    world: World | None = None
    level_before = logging.NOTSET

    def emit(self, record: logging.LogRecord) -> None:
        if self.world is not None:
            self.world.lines.append(record.getMessage())


_lines = _Lines()


class _LauncherOfNow:
    """`payload.launcher` of the world of this moment."""

    def __getattr__(self, name: str) -> Any:
        assert _lines.world is not None
        return getattr(launcher if name.isupper() else _lines.world.payload, name)


async def _call_hook(limit_s: float, hook: Any, *args: Any, **kwargs: Any) -> Any:
    """Without a thread: real time does not pass here."""
    await asyncio.sleep(0)
    return hook(*args, **kwargs)


async def _at_once(function: Any, *args: Any) -> Any:
    return function(*args)


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let journals be fatal; no threads, no watchers of processes, and a disk as durable as memory.

    A kill takes nothing that was written, and what a power cut takes is another matter (`Fate.torn`).
    """
    make_mortal(monkeypatch)
    monkeypatch.setattr(payloads, "launcher", _LauncherOfNow())
    monkeypatch.setattr(hooking, "call_hook", _call_hook)
    monkeypatch.setattr(logs.asyncio, "to_thread", _at_once)
    monkeypatch.setattr(supervisor, "BEAT_S", 600.0)
    monkeypatch.setattr(stepping.Stepper, "_watch", lambda stepper, work: None)
    monkeypatch.setattr(signals, "install", lambda on_signal: None)
    monkeypatch.setattr(signals, "remove", lambda: None)
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda fd: None)
    logger = logging.getLogger("picard")
    logger.addHandler(_lines)
    _lines.level_before = logger.level
    logger.setLevel(
        logging.INFO
    )  # not the attribute: what other tests asked the loggers below is remembered there
    monkeypatch.setattr(logger, "propagate", False)


def uninstall() -> None:
    """Undo what monkeypatch does not."""
    logger = logging.getLogger("picard")
    logger.removeHandler(_lines)
    logger.setLevel(_lines.level_before)
    _lines.world = None
    forget_all()


def play(world: World, story: Callable[[World], Any]) -> None:
    """Run a story in its world."""
    _lines.world = world
    asyncio.run(story(world))
