"""Telling the server: every phase in order, heartbeats in every phase, and no word after the final report."""

import asyncio
from itertools import pairwise
from pathlib import Path

import msgspec
from pilot_kit import DOWN, ToldDispatcher, parts_for, work_for

from picard_pilot.model import events as ev
from picard_pilot.model.orders import Orders
from picard_pilot.pilot.teller import Teller
from picard_pilot.pilot.work import JobWork
from picard_pilot.testing.clock import VirtualClock


def ignore(work: JobWork, commands: tuple[str, ...]) -> None:
    """Nobody obeys."""


def test_heartbeats_go_out_while_nothing_happens(tmp_path: Path) -> None:
    """One per interval, in whatever phase the job is, with that phase and since when."""

    async def scenario() -> None:
        clock = VirtualClock()
        dispatcher = ToldDispatcher(clock)
        work = work_for(tmp_path, clock)
        teller = Teller(work, parts_for(clock, dispatcher, tmp_path, heartbeat_s=1800.0), ignore)
        task = asyncio.create_task(teller.run())
        teller.tell()
        await clock.advance(3 * 1800 + 1)
        work.record(ev.Admitted())
        await clock.advance(1800)
        assert dispatcher.phases == ["starting", "starting", "starting", "starting", "setup"]
        assert [when for when, _ in dispatcher.told] == [0, 1800, 3600, 5400, 7200]
        assert dispatcher.told[-1][1].phase_since == work.case.since
        await teller.hush()
        await task

    asyncio.run(scenario())


def test_the_first_heartbeats_of_a_payload_come_early(tmp_path: Path) -> None:
    """After a minute, then each after twice the time of the one before, up to the setting; not so in other phases."""

    async def scenario() -> None:
        clock = VirtualClock()
        dispatcher = ToldDispatcher(clock)
        work = work_for(tmp_path, clock)
        work.record(ev.Admitted())
        work.record(ev.Prepared())
        parts = parts_for(clock, dispatcher, tmp_path, heartbeat_s=1800.0, progress_s=60.0)
        teller = Teller(work, parts, ignore)
        task = asyncio.create_task(teller.run())
        teller.tell()
        await clock.advance(7 * 1800)
        whens = [when for when, _ in dispatcher.told]
        assert [after - before for before, after in pairwise(whens)] == [60, 120, 240, 480, 960, *[1800] * 5]
        assert set(dispatcher.phases) == {"running"}
        await teller.hush()
        await task

    asyncio.run(scenario())


def test_phases_told_during_an_outage_arrive_in_order_afterwards(tmp_path: Path) -> None:
    """Nothing is skipped; the pauses grow and differ from one job to the next."""

    async def scenario() -> None:
        clock = VirtualClock()
        dispatcher = ToldDispatcher(clock)
        dispatcher.down = True
        work = work_for(tmp_path, clock)
        teller = Teller(work, parts_for(clock, dispatcher, tmp_path, progress_s=1800.0), ignore)
        task = asyncio.create_task(teller.run())
        teller.tell()
        await clock.advance(1)
        work.record(ev.Admitted())
        teller.tell()
        work.record(ev.Prepared())
        teller.tell()
        await clock.advance(600)
        tries = [when for when, _ in dispatcher.told]
        pauses = [after - before for before, after in pairwise(tries)]
        assert 4 <= len(tries) <= 12
        assert pauses[-1] > pauses[0]
        dispatcher.down = False
        dispatcher.told.clear()
        await clock.advance(301)
        assert dispatcher.phases == ["starting", "setup", "running"]
        await teller.hush()
        await task

    asyncio.run(scenario())


def test_the_last_words_are_said_before_the_report_but_not_to_a_server_that_is_gone(tmp_path: Path) -> None:
    """`hush` lets what is queued out if the server listens, and does not wait for one that does not."""

    async def scenario() -> None:
        for down in (False, True):
            clock = VirtualClock()
            dispatcher = ToldDispatcher(clock)
            dispatcher.down = down
            work = work_for(tmp_path, clock)
            teller = Teller(work, parts_for(clock, dispatcher, tmp_path), ignore)
            task = asyncio.create_task(teller.run())
            await clock.settle()
            teller.tell()
            work.record(ev.Admitted())
            teller.tell()
            await teller.hush()
            teller.tell()
            await clock.advance(10_000)
            await task
            assert dispatcher.phases == (["starting"] if down else ["starting", "setup"])

    asyncio.run(scenario())


def test_commands_come_back_and_refused_updates_are_not_repeated(tmp_path: Path) -> None:
    """What can never pass is said in the log and dropped."""

    async def scenario() -> None:
        heard: list[tuple[str, ...]] = []
        clock = VirtualClock()
        dispatcher = ToldDispatcher(clock)
        dispatcher.answers.extend(
            [msgspec.structs.replace(DOWN, may_pass=False), Orders(commands=("debug", "tobekilled"))]
        )
        work = work_for(tmp_path, clock)
        teller = Teller(
            work, parts_for(clock, dispatcher, tmp_path), lambda _, commands: heard.append(commands)
        )
        task = asyncio.create_task(teller.run())
        teller.tell()
        teller.tell()
        await clock.advance(1)
        assert heard == [("debug", "tobekilled")]
        assert len(dispatcher.told) == 2
        await teller.hush()
        await task

    asyncio.run(scenario())
