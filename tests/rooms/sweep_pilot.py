"""One pilot on a virtual clock that is killed around a record of its journal, or whose disk is full there.

It is the real supervisor; the world in which it lives and dies is `sweep_kit`.
"""

import asyncio
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest
from pilot_kit import DOWN, ToldDispatcher, parts_for

from picard_pilot.journal import file as journal_file
from picard_pilot.journal.lease import Owner
from picard_pilot.journal.record import record_of, to_line
from picard_pilot.model.orders import Ask
from picard_pilot.model.report import Update
from picard_pilot.pilot import recovery
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.server_time import ServerTime
from picard_pilot.pilot.supervisor import Supervisor
from picard_pilot.pilot.work import JobWork
from picard_pilot.system.log import Log
from picard_pilot.system.redact import Redactor
from picard_pilot.testing.clock import VirtualClock

if TYPE_CHECKING:
    from sweep_kit import World


class Killed(BaseException):
    """Kill -9: what the pilot does from here on does not happen."""


class Fate(NamedTuple):
    """What befalls a pilot at the `at`-th record that it writes.

    before, after: it is killed. torn: it is killed when `cut` of the record's bytes are written (negative: from the
    end). full: the disk is full, until its reserve is used. out: not even that helps.
    """

    when: str
    at: int
    cut: int = 0


_pilots: dict[str, "Pilot"] = {}
_numbers = itertools.count(1)
_append = journal_file.Journal.append
_move_into = journal_file.Journal.move_into


class Pilot:
    """One pilot process."""

    def __init__(
        self, world: "World", fate: Fate | None, *, host: str = "h", ahead_s: float = 0.0, **settings: Any
    ) -> None:
        """`ahead_s` is how far the clock of its node `host` is ahead of the true time, which is the server's."""
        self.world = world
        self._clock = _NodeClock(world.clock, ahead_s)
        self.number = next(_numbers)
        self.name = f"pilot-{self.number}"
        self._fate = fate
        self._settings = settings
        self._host = host
        self._written = 0
        self._full = False
        self._left: list[JobWork] | None = None
        """What it took up; None before it looked."""
        self.dead = False
        self.code: int | None = None
        self.journals: set[journal_file.Journal] = set()
        world.alive.add(self.number)
        _pilots[self.name] = self
        self.parts = self._parts()

    def _parts(self) -> Parts:
        world = self.world
        parts = parts_for(
            self._clock,  # type: ignore[arg-type]
            ToldDispatcher(world.clock),
            world.directory,
            **{"jobs": 1, "queue_patience_s": 0.0, "server_patience_s": 300.0, **self._settings},
        )
        line: Any = _Line(self)
        worker: Any = _Worker(self)
        return msgspec.structs.replace(
            parts,
            owner=Owner(
                pilot=self.name,
                host=self._host,
                boot_id=f"of {self._host}",
                pid=self.number,
                start_ticks=1,
                pid_namespace=1,
            ),
            site=world.site,
            dispatcher=line,
            worker=worker,
            server_time=ServerTime(self._clock),
            log=_NoLog([], None, Redactor()),
            is_alive=lambda pid, ticks: pid in world.alive,
        )

    def take_up(self) -> int:
        """As it does at its start; how many jobs it has."""
        if self._left is None:
            self._left = []  # it does so once
            self._left = recovery.take_up(self.parts)
            for work in self._left:
                self.journals.add(work.journal)  # type: ignore[arg-type]
        return len(self._left)

    async def run(self) -> None:
        """Live until it leaves or is killed."""
        try:
            self.code = await Supervisor(self.parts).run(self._left or [])
        except BaseException:
            if not self.dead:
                raise
        finally:
            self.world.alive.discard(self.number)
            for journal in self.journals:
                journal.close()

    def must_live(self) -> None:
        """The dead do nothing."""
        if self.dead:
            raise Killed

    def die(self) -> None:
        """Now."""
        self.dead = True
        self.world.alive.discard(self.number)
        raise Killed

    def write(self, journal: journal_file.Journal, event: Any, at: float | None) -> Any:
        """One record, and what befalls the pilot there."""
        self.must_live()
        self.journals.add(journal)
        self._written += not self._full
        when = self._fate.when if self._fate is not None and self._written == self._fate.at else None
        if when in ("full", "out") or (self._full and self._fate is not None and self._fate.when == "out"):
            if not self._full or self._fate.when == "out":  # type: ignore[union-attr]
                self._full = True
                raise journal_file.JournalFull(str(journal.path))
            when = None
        if when == "before":
            self.die()
        if when == "torn":
            assert self._fate is not None
            line = to_line(record_of(event, seq=len(journal.records) + 1, at=at or 0.0, by=self.name))
            os.write(journal._fd, line[: self._fate.cut])
            self.die()
        self._meet()
        record = _append(journal, event, at)
        if when == "after":
            self.die()
        self._meet()
        return record

    def _meet(self) -> None:
        if self.world.on_record is not None:
            self.world.on_record(self)

    def move(self, journal: journal_file.Journal, reserve: Path) -> None:
        """Into the reserve, where there is one."""
        self.must_live()
        if self._fate is not None and self._fate.when == "out":
            raise journal_file.JournalFull(str(journal.path))
        _move_into(journal, reserve)


class _NoLog(Log):
    """Jobs get no log of their own: what pilots say is kept in memory."""

    def follow_job(self, job_id: int, path: Path) -> Callable[[], None]:
        return lambda: None


class _NodeClock:
    """The world's time on a node whose wall clock is wrong."""

    def __init__(self, true: VirtualClock, ahead_s: float) -> None:
        self.monotonic, self.sleep = true.monotonic, true.sleep
        self._true, self._ahead_s = true, ahead_s

    def now_utc(self) -> float:
        return self._true.now_utc() + self._ahead_s


class _Line:
    """The server as one pilot reaches it."""

    def __init__(self, pilot: Pilot) -> None:
        self._pilot = pilot
        self._panda = pilot.world.panda

    async def acquire(self, ask: Ask) -> Any:
        return await self._said(self._panda.give)

    async def tell(self, update: Update, *, deadline_s: float | None = None) -> Any:
        return await self._said(lambda: self._panda.hear(self._pilot.name, update))

    async def status(self, job_ids: tuple[int, ...]) -> Any:
        return await self._said(self._panda.standing)

    async def orders_for(self, job_ids: tuple[int, ...]) -> Any:
        return ()

    async def _said(self, answer: Callable[[], Any]) -> Any:
        await asyncio.sleep(0)
        self._pilot.must_live()
        said = answer()
        await asyncio.sleep(0)
        self._pilot.must_live()
        if said is not DOWN and self._pilot.parts.server_time is not None:
            self._pilot.parts.server_time.heard(self._pilot.world.clock.now_utc())
        return said


class _Worker:
    """The storages as one pilot reaches them; its worker dies with it."""

    def __init__(self, pilot: Pilot) -> None:
        self._pilot = pilot

    def warm_up(self) -> None:
        """It is there."""

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._pilot.world.storages, name)

        async def perform(request: Any, on_progress: Any = None) -> Any:
            self._pilot.must_live()
            answer = await verb(request)
            self._pilot.must_live()
            return answer

        return perform


def _of(journal: journal_file.Journal) -> Pilot:
    return _pilots[journal._by]


def _fatal_append(journal: journal_file.Journal, event: Any, at: float | None = None) -> Any:
    return _of(journal).write(journal, event, at)


def make_mortal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every journal's `append` and `move_into` be what its pilot's fate makes of it."""
    monkeypatch.setattr(journal_file.Journal, "append", _fatal_append)
    monkeypatch.setattr(journal_file.Journal, "move_into", lambda journal, to: _of(journal).move(journal, to))


def forget_all() -> None:
    """No pilot is known any more."""
    _pilots.clear()
