"""A server that is gone for ten minutes, sleepless: asked with growing, jittered pauses, and found when it is back."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec
from pilot_kit import ToldDispatcher, parts_for

from picard_pilot.model.orders import Acquired, BadJob
from picard_pilot.pilot.supervisor import Supervisor
from picard_pilot.testing.clock import VirtualClock

OUTAGE_S = 600
BROKEN = BadJob(
    job_id=9, attempt_nr=2, field="outFiles", why="is not a bare name", evidence="'../x'", code=1371
)
"""A job that needs no payload: it is refused and reported."""


class Night(ToldDispatcher):
    """A server that is down whenever `is_down` says so, to the moment."""

    def __init__(self, clock: VirtualClock, is_down: Callable[["Night", float], bool]) -> None:
        self._now = clock.monotonic
        self._is_down = is_down
        super().__init__(clock)

    @property
    def down(self) -> bool:
        return self._is_down(self, self._now())

    @down.setter
    def down(self, _: bool) -> None:
        """What the base sets at the start does not count."""


def night(directory: Path, seed: int, is_down: Callable[[Night, float], bool]) -> tuple[int, Night]:
    """One pilot, one job, one server; exit code, and what was asked and told."""

    async def scenario() -> tuple[int, Night]:
        clock = VirtualClock()
        dispatcher = Night(clock, is_down)
        dispatcher.jobs.append(Acquired(bad=(BROKEN,)))
        directory.mkdir()
        parts = msgspec.structs.replace(parts_for(clock, dispatcher, directory), seed=seed)
        pilot = asyncio.create_task(Supervisor(parts).run([]))
        for _ in range(3600):
            await clock.advance(1)
            if pilot.done():
                break
        return await pilot, dispatcher

    return asyncio.run(scenario())


def pauses(times: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(times)]


def check_pauses(times: list[float], other_pilots: list[float]) -> None:
    """They grow, stay within two minutes, and no two pilots come in step."""
    seen = pauses([when for when in times if when <= OUTAGE_S])
    assert len(seen) >= 5
    assert max(seen[-2:]) > 3 * seen[0]
    assert max(seen) <= 120
    assert seen != pauses([when for when in other_pilots if when <= OUTAGE_S])


def test_a_server_that_comes_back_after_ten_minutes_still_finds_the_pilot(tmp_path: Path) -> None:
    """Down from the start: the pilot waits, takes the job, and reports it."""
    nights = [night(tmp_path / str(seed), seed, lambda _, now: now < OUTAGE_S) for seed in (1, 2)]
    for code, dispatcher in nights:
        assert code == 0
        final = [(when, update) for when, update in dispatcher.told if update.final]
        assert [(update.job_id, update.pilot_error_code) for _, update in final] == [(9, 1371)]
        assert OUTAGE_S <= final[0][0] <= OUTAGE_S + 61
    check_pauses(*([when for when, _ in dispatcher.asked] for _, dispatcher in nights))


def test_a_report_waits_ten_minutes_for_its_server(tmp_path: Path) -> None:
    """Down from the moment the job is given: its report is told until it is taken, and no job is asked for before."""
    nights = [
        night(tmp_path / str(seed), seed, lambda it, now: not it.jobs and now < OUTAGE_S) for seed in (1, 2)
    ]
    for code, dispatcher in nights:
        assert code == 0
        tries = [when for when, update in dispatcher.told if update.final]
        assert OUTAGE_S <= tries[-1] <= OUTAGE_S + 121
        assert [when for when, _ in dispatcher.asked if 0 < when < tries[-1]] == []
        assert len({update.pilot_error_diag for _, update in dispatcher.told if update.final}) == 1
    check_pauses(*([when for when, update in dispatcher.told if update.final] for _, dispatcher in nights))
