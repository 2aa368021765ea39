"""The virtual clock of the tests: time passes only when it is told to, and always alike."""

import asyncio

import pytest

from picard_pilot.system.clock import Clock, RealClock
from picard_pilot.testing.clock import VirtualClock


def test_sleepers_wake_in_order_each_at_its_time() -> None:
    """Also those that fall asleep on the way; equal times in the order of falling asleep."""

    async def scenario() -> None:
        clock = VirtualClock()
        heard: list[tuple[float, str]] = []

        async def sleeper(name: str, *pauses: float) -> None:
            for pause in pauses:
                await clock.sleep(pause)
                heard.append((clock.monotonic(), name))

        async with asyncio.TaskGroup() as group:
            for name, pauses in {"b": (2, 2), "a": (1, 3), "c": (2,)}.items():
                group.create_task(sleeper(name, *pauses))
            await clock.advance(3)
            assert heard == [(1, "a"), (2, "b"), (2, "c")]
            assert clock.monotonic() == 3
            assert (clock.sleepers, clock.next_wake()) == (2, 4)
            await clock.advance(3600)
        assert heard[3:] == [(4, "a"), (4, "b")]
        assert clock.next_wake() is None

    asyncio.run(scenario())


def test_a_cancelled_sleeper_is_forgotten() -> None:
    """It neither wakes nor counts."""

    async def scenario() -> None:
        clock = VirtualClock()
        task = asyncio.create_task(clock.sleep(5))
        await clock.settle()
        task.cancel()
        await asyncio.wait([task])
        assert clock.sleepers == 0
        await clock.advance(10)

    asyncio.run(scenario())


def test_the_wall_clock_can_be_set_and_nobody_who_waits_notices() -> None:
    """As an administrator or a time server does."""

    async def scenario() -> None:
        clock = VirtualClock(start_utc=1000.0)
        task = asyncio.create_task(clock.sleep(5))
        await clock.advance(2)
        assert clock.now_utc() == 1002
        clock.set_wall(10.0)
        await clock.advance(3)
        assert task.done()
        assert (clock.now_utc(), clock.monotonic()) == (13, 5)

    asyncio.run(scenario())


@pytest.mark.parametrize("clock", [RealClock(), VirtualClock()])
def test_no_pause_is_no_wait_but_lets_others_run(clock: Clock) -> None:
    """Zero and less."""

    async def scenario() -> None:
        ran = []

        async def other() -> None:
            ran.append(1)

        task = asyncio.create_task(other())
        await clock.sleep(0)
        await clock.sleep(-1)
        assert ran
        await task

    asyncio.run(scenario())


def test_the_real_clock_is_the_nodes() -> None:
    """Both times go forward."""
    clock = RealClock()
    before = clock.monotonic(), clock.now_utc()
    asyncio.run(clock.sleep(0.001))
    assert clock.monotonic() > before[0]
    assert clock.now_utc() >= before[1]
