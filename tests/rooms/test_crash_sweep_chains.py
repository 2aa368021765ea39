"""Pilots that die one after the other, records that were torn, a disk that is full, and windows that close meanwhile.

The sweep over a single kill and the server's views is `test_crash_sweep`.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sweep_kit as kit
from sweep_kit import LOG, Scenario, World
from sweep_pilot import Fate, Pilot
from sweep_world import HOUR_S, SLOW_S
from test_crash_sweep import ELSEWHERE, HELD, PLAIN, RECORDS, finished, nothing_left, stored_once

from picard_pilot.journal import file as journal_file
from picard_pilot.lifecycle.holding import REPORT_RESERVE_S
from picard_pilot.model.report import JobStatus
from picard_pilot.pilot import faults


@pytest.fixture(autouse=True)
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pilots can be killed at their records."""
    kit.install(monkeypatch)
    yield
    kit.uninstall()


def sweep(
    directory: Path, scenario: Scenario, fates: dict[str, tuple[Fate | None, ...]],
    judge: Callable[[World], Iterator[str]] = finished,
) -> None:  # fmt: skip
    """For each story: pilots with these fates, one after the other, then one that nothing befalls.

    Fails with a line for each story that ends badly.
    """
    bad = []
    for name, each in fates.items():
        world = World(directory / "world", scenario)

        async def story(world: World, each: tuple[Fate | None, ...] = each) -> None:
            for fate in (*each, None):
                await world.live(fate)

        kit.play(world, story)
        if problems := [*judge(world)]:
            bad.append(f"{name}: {', '.join(problems)}; {world.lines[-1]}")
        shutil.rmtree(world.directory)
    if bad:
        pytest.fail(f"{len(bad)} of {len(fates)} stories end badly\n" + "\n".join(bad), pytrace=False)


@pytest.mark.parametrize(
    ("scenario", "step"),
    [(PLAIN, 2), (ELSEWHERE, 5), (HELD, 5)],
    ids=lambda value: value.name if isinstance(value, Scenario) else "",
)
def test_the_rescuer_is_killed_as_well(tmp_path: Path, scenario: Scenario, step: int) -> None:
    """Around its own records, after a pilot that was killed after each of its: every `step`-th of all pairs."""
    records = RECORDS[scenario.name]
    pairs = [
        (first, second, when)
        for first in range(1, len(records))
        for second in range(1, len(records) - first + 2)
        for when in ("before", "after")
    ]
    fates: dict[str, tuple[Fate | None, ...]] = {
        f"after {first} {records[first - 1]}, then {when} the rescuer's {second}": (
            Fate("after", first),
            Fate(when, second),
        )
        for first, second, when in pairs[::step]
    }
    sweep(tmp_path, scenario, fates)


@pytest.mark.parametrize("scenario", [PLAIN, ELSEWHERE, HELD], ids=lambda scenario: scenario.name)
def test_another_pilot_looks_at_every_record_of_the_rescuer(tmp_path: Path, scenario: Scenario) -> None:
    """It finds the lease held each time, and the rescuer notices nothing."""
    looks = 0

    def look(pilot: Pilot) -> None:
        nonlocal looks
        world, looks = pilot.world, looks + 1
        world.on_record = None
        other = Pilot(world, None)
        assert other.take_up() == 0
        world.alive.discard(other.number)
        world.on_record = look

    for first in range(1, len(RECORDS[scenario.name]), 3):
        world = World(tmp_path / f"{first}", scenario)

        async def story(world: World, fate: Fate = Fate("after", first)) -> None:  # noqa: B008
            await world.live(fate)
            world.on_record = look
            await world.live(None)

        kit.play(world, story)
        assert [*finished(world)] == [], first
    assert looks > 2 * len(RECORDS[scenario.name])


@pytest.mark.parametrize("scenario", [PLAIN, ELSEWHERE, HELD], ids=lambda scenario: scenario.name)
def test_a_pilot_that_is_believed_dead_lives_on(tmp_path: Path, scenario: Scenario) -> None:
    """At each of its records another one takes the job over, as after half an hour without a sign of life: what the
    first one still wants to write down is refused."""
    bad = {}
    for number in range(2, 2 * len(RECORDS[scenario.name]) + 1):
        world = World(tmp_path / "world", scenario)
        looks = 0

        def take_over(pilot: Pilot) -> None:
            nonlocal looks
            looks += 1
            if looks == number:  # noqa: B023
                pilot.world.on_record = None
                pilot.world.alive.discard(pilot.number)
                assert pilot.world.join() == 1

        async def story(world: World, take_over: Callable[[Pilot], None] = take_over) -> None:
            world.on_record = take_over
            await world.live(None)

        kit.play(world, story)
        bad[number] = ", ".join(finished(world))
        assert world.pilots[0].code in (0, 82), number
        shutil.rmtree(world.directory)
    assert {number: says for number, says in bad.items() if says} == {}


@pytest.mark.parametrize("reachable", [True, False])
@pytest.mark.parametrize("state", ["Admitted", "PayloadStarted", "Diagnosed"])
def test_a_pilot_that_ends_what_is_not_ours_is_killed_as_well(
    tmp_path: Path, state: str, reachable: bool
) -> None:
    """Around each of its records; the next one ends it, though it may not be able to ask."""
    for number in (1, 2):
        for when in ("before", "after"):
            world = World(tmp_path / f"{when}-{number}", PLAIN)

            async def story(world: World, fate: Fate = Fate(when, number)) -> None:  # noqa: B008
                await world.live(Fate("after", RECORDS["plain"].index(state) + 1))
                world.panda.attempt_nr += 1
                stored = len(world.storages.commits)
                await world.live(fate)
                world.panda.down = not reachable
                await world.live_until(world.clock.monotonic() + 600, None)
                world.panda.down = False
                await world.all_gone()
                await world.live(None)
                assert len(world.storages.commits) == stored

            kit.play(world, story)
            assert (world.panda.reports, [*nothing_left(world)]) == ([], []), (when, number)


@pytest.mark.parametrize(
    ("scenario", "cut"),
    [
        (PLAIN, 1),
        (PLAIN, 40),
        (PLAIN, -2),
        (PLAIN, -1),
        (ELSEWHERE, 40),
        (ELSEWHERE, -1),
        (HELD, 40),
        (HELD, -1),
    ],
    ids=lambda value: value.name if isinstance(value, Scenario) else str(value),
)
def test_a_record_of_which_a_part_was_written(tmp_path: Path, scenario: Scenario, cut: int) -> None:
    """Its first byte, some, all but its end, all but the end of the line: it did not happen."""
    records = RECORDS[scenario.name]
    fates: dict[str, tuple[Fate | None, ...]] = {
        f"{cut} bytes of {number} {records[number - 1]}": (Fate("torn", number, cut),)
        for number in range(2, len(records) + 1)
    }
    sweep(tmp_path, scenario, fates)


@pytest.mark.parametrize("scenario", [PLAIN, ELSEWHERE, HELD], ids=lambda scenario: scenario.name)
def test_a_disk_without_room_even_in_the_reserve(tmp_path: Path, scenario: Scenario) -> None:
    """The event did not happen and nothing is done about it; a later pilot, which has room, goes on."""
    records = RECORDS[scenario.name]
    fates: dict[str, tuple[Fate | None, ...]] = {
        f"at {number} {records[number - 1]}": (Fate("out", number),) for number in range(2, len(records) + 1)
    }
    sweep(tmp_path, scenario, fates)


@pytest.mark.parametrize("scenario", [PLAIN, ELSEWHERE, HELD], ids=lambda scenario: scenario.name)
def test_a_full_disk_and_a_kill(tmp_path: Path, scenario: Scenario) -> None:
    """The journal goes on in its reserve: a payload that was over is not lost, another one is stopped and told so."""
    records = RECORDS[scenario.name]
    exited = records.index("PayloadExited") + 1
    sweep(
        tmp_path, scenario,
        {f"at {number} {records[number - 1]}": (Fate("full", number),) for number in range(exited, len(records) + 1)},
    )  # fmt: skip
    sweep(
        tmp_path, scenario,
        {f"at {number} {records[number - 1]}": (Fate("full", number),) for number in range(1, exited)},
        judge=lambda world: failed_with(world, "NOLOCALSPACE"),
    )  # fmt: skip


def failed_with(world: World, error: str) -> Iterator[str]:
    """What is wrong with a job that should have been reported failed with this cause, its log stored."""
    panda = world.panda
    if panda.status != "failed" or len(panda.reports) != 1:
        yield f"{panda.status} with {len(panda.reports)} reports"
        return
    (report,) = panda.reports
    code = faults.fault(error, "", rule="test").code
    if (report.status, report.pilot_error_code) != (JobStatus.FAILED, code):
        yield f"reported {report.status} {report.pilot_error_code}: {report.pilot_error_diag}"
    if world.payload.runs > 1:
        yield f"the payload ran {world.payload.runs} times"
    yield from stored_once(world)
    yield from nothing_left(world)


LIMIT = 15
"""How often a job may bring its pilot down."""


def test_a_job_that_kills_every_pilot(tmp_path: Path) -> None:
    """After so many it is reported failed with that as cause, and the log leaves."""
    world = World(tmp_path / "world", PLAIN)
    lives = 0

    async def story(world: World) -> None:
        nonlocal lives
        await world.live(Fate("after", 3))
        while world.job_dir.exists() and lives < 3 * LIMIT:
            lives += 1
            await world.live(Fate("before", 2) if lives <= LIMIT else None)

    kit.play(world, story)
    assert [*failed_with(world, "INTERNALPILOTPROBLEM")] == []
    assert lives == LIMIT + 1
    assert [file.lfn for file in world.panda.reports[0].outputs] == [LOG]


# Windows


def held_night(tmp_path: Path, **changes: Any) -> World:
    """A world whose storage is away for the whole night."""
    mood = changes.pop("mood", lambda endpoint, lfn, now: "down")
    return World(tmp_path / "world", HELD._replace(mood=mood, wall_s=60.0, **changes))


@pytest.mark.parametrize(("label", "window_s"), [("user", 3 * HOUR_S), ("managed", 48 * HOUR_S)])
def test_nobody_came_before_the_window_closed(tmp_path: Path, label: str, window_s: float) -> None:
    """Declared lost with the cause just before the server would say it knows not what; the log leaves."""
    back_at = window_s - 200
    world = held_night(
        tmp_path, label=label, mood=lambda endpoint, lfn, now: "down" if now < back_at else "up"
    )

    async def story(world: World) -> None:
        await world.live(None)
        assert world.panda.status == "holding"
        await world.clock.advance(back_at)
        await world.live(None)

    kit.play(world, story)
    assert [*failed_with(world, "STAGEOUTFAILED")] == []
    (report,) = world.panda.reports
    assert "its window closed on" in (report.pilot_error_diag or "")
    assert [file.lfn for file in report.outputs] == [LOG]
    assert world.storages.commits == [f"told://A/{LOG}"]


def test_nobody_came_before_the_server_had_given_it_up(tmp_path: Path) -> None:
    """It has failed there: nothing is stored or told, and the log of the pilot says why."""
    world = held_night(tmp_path, label="user")

    async def story(world: World) -> None:
        await world.live(None)
        await world.clock.advance(3 * HOUR_S + 60)
        world.scenario = HELD
        await world.live(None)

    kit.play(world, story)
    assert (world.panda.status, world.panda.reports, world.storages.commits) == ("failed", [], [])
    assert any("it is failed at the server" in line for line in world.lines)
    assert [*nothing_left(world)] == []


@pytest.mark.parametrize(("before_end_s", "in_time"), [(200.0, True), (60.0, False)])
def test_the_window_closes_while_a_rescuer_stores(tmp_path: Path, before_end_s: float, in_time: bool) -> None:
    """What was begun in time is finished, and the reserve is there for its report.

    Where the server has given the job up by then, the log says so, and what is stored stands there once.
    """
    begins = 3 * HOUR_S - REPORT_RESERVE_S - before_end_s
    assert (before_end_s + REPORT_RESERVE_S > SLOW_S) is in_time
    world = held_night(
        tmp_path, label="user", mood=lambda endpoint, lfn, now: "down" if now < begins else slow(lfn)
    )

    async def story(world: World) -> None:
        await world.live(None)
        await world.clock.advance(begins)
        await world.live(None)
        await world.live(None)

    kit.play(world, story)
    if in_time:
        assert [*finished(world)] == []
        return
    assert [*stored_once(world), *nothing_left(world)] == []
    assert (world.panda.status, world.panda.reports) == ("failed", [])
    assert any("but the server had given the job up" in line for line in world.lines)


def slow(lfn: str) -> str:
    """The log is small."""
    return "up" if lfn == LOG else "slow"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("record", range(1, 6))
def test_a_rescuer_is_killed_around_the_end_of_the_window(tmp_path: Path, when: str, record: int) -> None:
    """In its records: taken up, declared lost, log stored, told. The next one, a minute later, says the same."""
    back_at = 3 * HOUR_S - 200
    world = held_night(
        tmp_path, label="user", mood=lambda endpoint, lfn, now: "down" if now < back_at else "up"
    )

    async def story(world: World) -> None:
        await world.live(None)
        await world.clock.advance(back_at)
        await world.live(Fate(when, record))
        await world.clock.advance(60)
        await world.live(None)

    kit.play(world, story)
    assert [*failed_with(world, "STAGEOUTFAILED")] == []


def test_a_journal_that_was_lost_with_its_blocks_is_left_with_what_lies_there(tmp_path: Path) -> None:
    """Nobody knows any more whose the outputs are: they are not removed, and the log says where they lie."""
    world = World(tmp_path / "world", PLAIN)

    async def story(world: World) -> None:
        await world.live(Fate("after", 10))
        journal = world.job_dir / "picard" / journal_file.NAME
        journal.write_bytes(b"\0" * journal.stat().st_size)
        await world.live(None)

    kit.play(world, story)
    assert (world.job_dir / "out1").exists()
    assert any(str(world.job_dir) in line and "is left as it is" in line for line in world.lines)
