"""Nodes whose clocks are wrong: times of jobs go by the server's clock, and nothing that waits is lost by a node's."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import sweep_kit as kit
from panda_kit import Scripted
from sweep_kit import Scenario, World
from sweep_pilot import Fate
from test_crash_sweep import HELD, finished
from test_crash_sweep_chains import failed_with

from picard_pilot.panda.client import PandaClient
from picard_pilot.pilot.server_time import TOLERANCE_S, ServerTime
from picard_pilot.testing.clock import VirtualClock
from picard_pilot.testing.faulty_server import Say

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


def test_until_the_server_was_heard_the_nodes_clock_counts() -> None:
    """There is no other."""
    clock = VirtualClock()
    assert ServerTime(clock).now() == clock.now_utc()


@pytest.mark.parametrize("ahead_s", [0.0, TOLERANCE_S, -TOLERANCE_S])
def test_a_clock_that_is_good_enough_counts(ahead_s: float) -> None:
    """A network's delay sets no clock."""
    clock = VirtualClock()
    time = ServerTime(clock)
    time.heard(clock.now_utc() - ahead_s)
    assert time.now() == clock.now_utc()


@pytest.mark.parametrize(("ahead_s", "way"), [(DAY_S, "86400 s ahead of"), (-90.0, "90 s behind")])
def test_a_wrong_clock_gives_way_to_the_servers(
    ahead_s: float, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes on with the monotonic clock, whatever somebody sets meanwhile; people are told once."""
    clock = VirtualClock()
    time, true = ServerTime(clock), clock.now_utc() - ahead_s
    with caplog.at_level(logging.WARNING, logger="picard.clock"):
        time.heard(true)
        time.heard(true)
    assert time.now() == true
    asyncio.run(clock.advance(HOUR_S))
    assert time.now() == true + HOUR_S
    clock.set_wall(clock.now_utc() - 3 * DAY_S)
    assert time.now() == true + HOUR_S
    assert [way in record.getMessage() for record in caplog.records] == [True]
    clock.set_wall(true + HOUR_S + 5)
    assert time.now() == true + HOUR_S + 5


@pytest.mark.parametrize(
    ("date", "success", "heard"),
    [
        ("Fri, 15 Jan 2027 08:00:00 GMT", True, [1_800_000_000.0]),
        ("Fri, 15 Jan 2027 08:00:00 GMT", False, []),
        ("yesterday", True, []),
        (None, True, []),
    ],
)
def test_the_server_tells_the_time_with_each_answer(
    date: str | None, success: bool, heard: list[float]
) -> None:
    """A date that none can read, or of somebody who does not speak as a PanDA server, says nothing."""
    told: list[float] = []
    body = b'{"success": true, "message": "", "data": "alive=yes"}' if success else b"<html>login</html>"
    headers = (("Content-Type", "application/json"), *((("Date", date),) if date else ()))
    server = Scripted([Say(body=body, headers=headers)])
    try:
        client = PandaClient(server.http, server.server.url, on_date=told.append)
        assert (asyncio.run(client.is_alive()) is None) is success
    finally:
        server.close()
    assert told == heard


# Jobs that wait


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pilots can be killed at their records."""
    kit.install(monkeypatch)
    yield
    kit.uninstall()


WRONG = [DAY_S, -DAY_S, 8 * DAY_S]


def night(back_at: float, label: str) -> Scenario:
    """No storage until then, and a payload too short for its pilot to come back."""
    return HELD._replace(
        mood=lambda endpoint, lfn, now: "down" if now < back_at else "up", wall_s=60.0, label=label
    )


@pytest.mark.parametrize("ahead_s", WRONG)
@pytest.mark.parametrize("whose", ["first", "second", "rescuer"])
@pytest.mark.parametrize("label", ["user", "managed"])
def test_outputs_that_wait_are_not_lost_by_a_wrong_clock(
    tmp_path: Path, mortal: None, label: str, whose: str, ahead_s: float
) -> None:
    """Two hours without a storage, three pilots one after the other, of which one is on a node with a wrong clock."""
    world = World(tmp_path / "world", night(2 * HOUR_S, label))

    async def story(world: World) -> None:
        for name, at in (("first", 0.0), ("second", HOUR_S), ("rescuer", 2.5 * HOUR_S)):
            await world.clock.advance(at - world.clock.monotonic())
            await world.live(None, ahead_s=ahead_s if name == whose else 0.0)
            assert world.panda.status == ("finished" if name == "rescuer" else "holding")

    kit.play(world, story)
    assert [*finished(world)] == []


@pytest.mark.parametrize("ahead_s", [*WRONG, 600.0])
@pytest.mark.parametrize("whose", ["first", "rescuer"])
def test_a_window_closes_by_the_servers_clock(
    tmp_path: Path, mortal: None, whose: str, ahead_s: float
) -> None:
    """Whatever the nodes' clocks say: the job is declared lost with the cause just before the server gives it up."""
    late = 3 * HOUR_S - 200
    world = World(tmp_path / "world", night(late, "user"))

    async def story(world: World) -> None:
        for name, at in (("first", 0.0), ("rescuer", late)):
            await world.clock.advance(at - world.clock.monotonic())
            await world.live(None, ahead_s=ahead_s if name == whose else 0.0)

    kit.play(world, story)
    assert [*failed_with(world, "STAGEOUTFAILED")] == []
    assert "its window closed on" in (world.panda.reports[0].pilot_error_diag or "")


@pytest.mark.parametrize("ahead_s", WRONG)
def test_a_wrong_clock_removes_nothing_that_the_server_does_not_know(
    tmp_path: Path, mortal: None, ahead_s: float
) -> None:
    """Seven days are the server's days."""
    world = World(tmp_path / "world", night(HOUR_S, "user"))

    async def story(world: World) -> None:
        await world.live(None)
        world.panda.known = False
        await world.live(None, ahead_s=ahead_s)
        assert (world.job_dir / "out1").exists()
        world.panda.known = True
        await world.clock.advance(HOUR_S)
        await world.live(None)

    kit.play(world, story)
    assert [*finished(world)] == []


@pytest.mark.parametrize("ahead_s", WRONG)
def test_a_payload_that_was_found_while_nobody_could_be_asked(
    tmp_path: Path, mortal: None, ahead_s: float
) -> None:
    """Its records have the wrong node's time then; the outputs wait all the same."""
    world = World(tmp_path / "world", night(2 * HOUR_S, "user"))

    async def story(world: World) -> None:
        await world.live(Fate("after", 8))  # PayloadStarted
        world.panda.down = True
        await world.live_until(world.clock.monotonic() + 300, None, ahead_s=ahead_s)
        world.panda.down = False
        await world.all_gone()
        assert world.panda.status == "holding"
        await world.clock.advance(2 * HOUR_S)
        await world.live(None)

    kit.play(world, story)
    assert [*finished(world)] == []
