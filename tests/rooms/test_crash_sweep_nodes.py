"""A work directory that several nodes share: kill -9 after each record on one of them, and rescuers on others.

Nobody there can see whether the dead pilot lives: they wait until its lease has not been renewed for half an hour, by
the file server's clock, and then one of them goes on. Server, storages, payload and time are those of `sweep_kit`.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sweep_kit as kit
from sweep_kit import Scenario, World
from sweep_pilot import Fate, Pilot
from test_crash_sweep import ELSEWHERE, HELD, PLAIN, RECORDS, finished

from picard_pilot.journal.lease import LEASE_S

MINUTE_S = 60.0


@pytest.fixture(autouse=True)
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pilots can be killed at their records."""
    kit.install(monkeypatch)
    yield
    kit.uninstall()


def silent_for(world: World, seconds: float) -> None:
    """Nobody has renewed the job's lease for so long."""
    then = time.time() - seconds
    for lease in world.job_dir.glob("picard/lease*.json"):
        os.utime(lease, (then, then))


def taken_up_on(world: World, *hosts: str) -> list[int]:
    """How many jobs a pilot on each of these nodes finds, one after the other; all of them are gone again."""
    pilots = [Pilot(world, None, host=host) for host in hosts]
    found = [pilot.take_up() for pilot in pilots]
    for pilot in pilots:
        world.alive.discard(pilot.number)
        for journal in pilot.journals:
            journal.close()
    return found


@pytest.mark.parametrize("scenario", [PLAIN, ELSEWHERE, HELD], ids=lambda scenario: scenario.name)
def test_rescuers_on_other_nodes_wait_for_the_lease_to_run_out(tmp_path: Path, scenario: Scenario) -> None:
    """After each record, or every other one of a long night: nobody there touches the job for half an hour; then it is
    finished, once."""
    for record in range(1, len(RECORDS[scenario.name]), 1 if scenario is PLAIN else 2):
        world = World(tmp_path / f"{record}", scenario)

        async def story(world: World, fate: Fate = Fate("after", record)) -> None:  # noqa: B008
            await world.live(fate, host="a")
            before = world.events()
            silent_for(world, LEASE_S - 5 * MINUTE_S)
            await world.live(None, None, host="b")
            assert world.events() == before
            silent_for(world, LEASE_S + MINUTE_S)
            await world.live(None, None, host="b")

        kit.play(world, story)
        assert [*finished(world)] == [], record


def test_one_of_three_nodes_gets_it(tmp_path: Path) -> None:
    """The others see its lease, which is young; so does the dead pilot's own node, where another pilot comes."""
    world = World(tmp_path / "world", PLAIN)

    async def story(world: World) -> None:
        await world.live(Fate("after", 5), host="a")
        silent_for(world, LEASE_S + MINUTE_S)
        assert taken_up_on(world, "b", "c", "a") == [1, 0, 0]
        silent_for(world, LEASE_S + MINUTE_S)
        await world.live(None, host="c")

    kit.play(world, story)
    assert [*finished(world)] == []


def test_on_its_own_node_a_dead_pilot_is_seen_at_once(tmp_path: Path) -> None:
    """There its process can be asked for; the half hour is for others."""
    world = World(tmp_path / "world", PLAIN)

    async def story(world: World) -> None:
        await world.live(Fate("after", 5), host="a")
        assert taken_up_on(world, "b") == [0]
        await world.live(None, host="a")

    kit.play(world, story)
    assert [*finished(world)] == []
