"""Stopping a payload that runs as another user, whom the pilot has to ask through a switch of identity."""

import asyncio
import signal
from pathlib import Path

import pytest
from pilot_kit import ToldDispatcher, parts_for, work_for
from process_kit import go

from picard_pilot.model.command import ProcessId
from picard_pilot.payload.launch import LaunchHandle
from picard_pilot.pilot import confining as pilot_confining
from picard_pilot.pilot.confining import Confining
from picard_pilot.testing.clock import VirtualClock


class SlowSwitch:
    """Another user's payload; a signal takes until it is let through."""

    def __init__(self) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.sent: list[signal.Signals] = []

    async def signal(self, processes: list[ProcessId], number: signal.Signals) -> None:
        self.begun.set()
        await self.go_on.wait()
        self.sent.append(number)


def test_a_second_stop_does_not_take_the_first_ones_word_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server says it with every answer, faster than another user's payload can be told: it is told, and once."""
    switch, gone = SlowSwitch(), ProcessId(pid=2**22, start_ticks=1)
    handle = LaunchHandle(
        directory=str(tmp_path),
        launch_id="x",
        launcher=gone,
        main=gone,
        boot_id="b",
        host="h",
        started_at=0,
    )

    async def story() -> None:
        over = asyncio.Event()
        monkeypatch.setattr(Confining, "switch_of", lambda *_: switch)
        monkeypatch.setattr(pilot_confining.launcher, "wait", lambda _: over.wait())
        clock = VirtualClock()
        confining = Confining(parts_for(clock, ToldDispatcher(clock), tmp_path))
        work = work_for(tmp_path, clock)
        first = asyncio.create_task(confining.stop(work, handle, 60.0))
        await switch.begun.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        second = asyncio.create_task(confining.stop(work, handle, 60.0))
        switch.go_on.set()
        over.set()
        await second
        assert switch.sent.count(signal.SIGTERM) == 1
        assert switch.sent[0] is signal.SIGTERM

    go(story())
