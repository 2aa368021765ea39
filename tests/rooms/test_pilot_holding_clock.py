"""Outputs that wait for a storage while somebody sets the node's wall clock: no break is longer, no window shorter."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from test_pilot_holding import HOUR_S, Night, hours, never

from picard_pilot.model.states import State

DAY_S = 24 * HOUR_S


def setting_the_clock(night: Night, by_s: float, up: Callable[[float], bool]) -> Callable[[str, float], bool]:
    """What a storage answers; at its first try, and at that after the first break, the wall clock is set."""
    jumps = [by_s, -by_s]

    def asked(name: str, now: float) -> bool:
        if jumps:
            night.clock.set_wall(night.clock.now_utc() + jumps.pop(0))
        return up(now)

    return asked


@pytest.mark.parametrize("by_s", [-DAY_S, DAY_S])
@pytest.mark.parametrize("label", ["managed", "user"])
def test_a_clock_that_is_set_moves_no_break(tmp_path: Path, by_s: float, label: str) -> None:
    """By a day in the middle of a stage-out, and back again after the first break: tried at the same hours."""
    night = Night(tmp_path, never)
    night.storages._up = setting_the_clock(night, by_s, lambda now: now >= 2 * HOUR_S - 1)
    work = night.work(20 * HOUR_S, label)
    ended, code = night.run(work)
    assert hours(night.storages.tries) == [(0, "A"), (0.5, "A"), (2, "A")]
    assert ended == pytest.approx(2 * HOUR_S, abs=5)
    assert (code, work.case.state) == (0, State.FINISHED)


@pytest.mark.parametrize("by_s", [-DAY_S, DAY_S])
def test_a_clock_that_is_set_during_a_break(tmp_path: Path, by_s: float) -> None:
    """The window of a user's job is three hours of waiting, not what the clock says."""
    night = Night(tmp_path, never)
    work = night.work(20 * HOUR_S, "user")

    async def set_it() -> None:
        await night.clock.sleep(0.25 * HOUR_S)
        night.clock.set_wall(night.clock.now_utc() + by_s)

    tell = night.dispatcher.tell

    async def tell_and_set(*args: object, **more: object) -> object:
        if not night.dispatcher.told:
            setting.append(asyncio.create_task(set_it()))
        return await tell(*args, **more)  # type: ignore[arg-type]

    setting: list[asyncio.Task[None]] = []
    night.dispatcher.tell = tell_and_set  # type: ignore[method-assign, assignment]
    night.run(work)
    assert setting
    assert hours(night.storages.tries) == [(0, "A"), (0.5, "A"), (2, "A")]
    assert work.case.waiting and work.case.held is not None
    assert (work.case.state, work.case.failed) == (State.HOLDING, False)
    begun = work.case.entered[State.HOLDING]
    assert work.case.held.until == pytest.approx(begun + 3 * HOUR_S - 300, abs=1)
