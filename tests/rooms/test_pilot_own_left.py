"""A pilot that lives on beside a job that it had put down, since no storage took its outputs: it comes back to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sweep_kit as kit
from sweep_kit import World
from sweep_pilot import Fate
from test_crash_sweep import HELD, finished

HOUR_S = 3600.0


@pytest.fixture(autouse=True)
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything is on a virtual clock."""
    kit.install(monkeypatch)
    yield
    kit.uninstall()


def night(directory: Path, back_at: float) -> World:
    """No storage until then; a user's short job, for which no pilot takes a long break."""
    scenario = HELD._replace(
        mood=lambda endpoint, lfn, now: "down" if now < back_at else "up", wall_s=60.0, label="user"
    )
    return World(directory / "world", scenario)


def rounds(world: World) -> int:
    """How often its outputs were tried in vain."""
    return sum("out1 to A" in line and "nobody answers" in line for line in world.lines)


@pytest.mark.parametrize("first", [None, Fate("after", 8)], ids=["its own job", "a job that it found"])
def test_the_only_pilot_of_a_node_tries_again(tmp_path: Path, first: Fate | None) -> None:
    """In passing, when the outputs have rested, and no more often than any other pilot would; the storage is back after
    an hour and a half, and the window of a user's job is three."""
    world = night(tmp_path, 1.5 * HOUR_S)

    async def story(world: World) -> None:
        if first is not None:
            await world.live(first)
        await world.live(None, jobs=9, queue_patience_s=4 * HOUR_S)

    kit.play(world, story)
    assert [*finished(world)] == []
    assert 3 <= rounds(world) <= 6


def test_its_own_jobs_are_not_counted_among_those_of_others(tmp_path: Path) -> None:
    """It may take up one, which is its own to begin with."""
    world = night(tmp_path, 2 * HOUR_S)

    async def story(world: World) -> None:
        await world.live(None, jobs=9, queue_patience_s=4 * HOUR_S, max_recoveries=1)

    kit.play(world, story)
    assert [*finished(world)] == []


def test_what_no_storage_takes_before_its_window_closes_is_declared_lost_in_time(tmp_path: Path) -> None:
    """By the pilot that looks after it: the server hears the cause instead of nothing."""
    world = night(tmp_path, 99 * HOUR_S)

    async def story(world: World) -> None:
        await world.live(None, jobs=9, queue_patience_s=4 * HOUR_S)

    kit.play(world, story)
    (report,) = world.panda.reports
    assert report.status.value == "failed"
    assert "out1" in (report.pilot_error_diag or "")
    assert not world.job_dir.exists()
