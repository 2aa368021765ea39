"""The breaker of one storage door, and what is remembered of copies."""

import random
from pathlib import Path

import pytest
from health_kit import Calm, pass_time, shut
from hypothesis import given
from hypothesis import strategies as st

from picard_pilot.data.health import (
    BAD_COPIES_AT_MOST,
    DOORS_AT_MOST,
    FAILURES_TO_OPEN,
    OPEN,
    PROBE_LEASE_S,
    BadCopy,
    Door,
    Health,
    Known,
    Permit,
    tidied,
)
from picard_pilot.data.health_file import SharedHealth
from picard_pilot.testing.clock import VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    """Time that tests set."""
    return VirtualClock()


@pytest.fixture(params=["alone", "shared"])
def health(request: pytest.FixtureRequest, clock: VirtualClock, tmp_path: Path) -> Health:
    """One pilot's knowledge: the breaker is the same with and without the file."""
    if request.param == "alone":
        return Health(clock, Calm())
    return SharedHealth(tmp_path / "node", clock, Calm())


def test_a_door_shuts_after_three_failures_in_a_row(health: Health) -> None:
    """An answer in between starts the count anew."""
    for _ in range(FAILURES_TO_OPEN - 1):
        health.failed(health.ask("A"))
    health.worked(health.ask("A"))
    for _ in range(FAILURES_TO_OPEN - 1):
        health.failed(health.ask("A"))
    assert health.ask("A").wait_s == 0
    health.failed(health.ask("A"))
    assert health.ask("A").wait_s == OPEN.first_s
    assert health.ask("B").wait_s == 0


def test_each_failed_probe_doubles_the_time_up_to_a_quarter_of_an_hour(
    health: Health, clock: VirtualClock
) -> None:
    """30 s, 1, 2, 4, 8, 15 and 15 minutes; then a success opens the door for everybody."""
    shut(health)
    waits = []
    for _ in range(7):
        waits.append(health.ask("A").wait_s)
        pass_time(clock, waits[-1])
        health.failed(health.ask("A"))
    assert waits == [30, 60, 120, 240, 480, 900, 900]
    pass_time(clock, 900)
    health.worked(health.ask("A"))
    assert health.ask("A") == Permit("A")
    shut(health)
    assert health.ask("A").wait_s == 30


def test_one_probe_at_a_time(health: Health, clock: VirtualClock) -> None:
    """The others look again soon; a probe that was given back is free at once, a silent one after its lease."""
    shut(health)
    pass_time(clock, 30)
    probe = health.ask("A")
    assert probe.wait_s == 0 and probe.probe is not None
    assert 0 < health.ask("A").wait_s <= 15
    health.unused(probe)
    again = health.ask("A")
    assert again.wait_s == 0
    pass_time(clock, PROBE_LEASE_S)
    assert health.ask("A").wait_s == 0


def test_what_was_under_way_when_the_door_was_shut_proves_nothing(
    health: Health, clock: VirtualClock
) -> None:
    """Thirty-two transfers fail together: the door is shut for 30 s, not for ever longer."""
    permits = [health.ask("A") for _ in range(32)]
    for permit in permits:
        health.failed(permit)
    assert health.ask("A").wait_s == 30
    pass_time(clock, 30)
    probe = health.ask("A")
    health.failed(permits[0])
    health.unused(permits[1])
    assert health.ask("A").wait_s > 0  # the probe is still the one
    health.failed(probe)
    assert health.ask("A").wait_s == 60


def test_a_wall_clock_that_is_set_back_shuts_nothing_for_long(health: Health, clock: VirtualClock) -> None:
    """Without this a storage would be avoided for as many hours as the clock went back."""
    shut(health)
    clock.set_wall(clock.now_utc() - 86_400)
    assert health.ask("A").wait_s == 0


def test_bad_copies_are_known_by_their_bare_address(health: Health, clock: VirtualClock) -> None:
    """A signature in an address goes into no file; a day later the copy gets another chance."""
    health.remember_bad("https://s3/bucket/f?Signature=SECRET", "checksum")
    assert health.bad("https://s3/bucket/f?Signature=OTHER") == "checksum"
    health.worked(health.ask("A"), "https://s3/bucket/f")
    assert health.bad("https://s3/bucket/f") is None
    health.remember_bad("root://a//f", "missing")
    pass_time(clock, 86_401)
    health.remember_bad("root://b//f", "missing")
    assert health.bad("root://a//f") is None
    assert health.bad("root://b//f") == "missing"


@given(
    st.lists(
        st.tuples(st.sampled_from(["ask", "failed", "worked", "unused"]), st.floats(0, 200)), max_size=60
    ),
    st.integers(0, 100),
)
def test_never_two_probes_and_never_shut_for_too_long(steps: list[tuple[str, float]], seed: int) -> None:
    """Whatever happens in whatever order."""
    clock = VirtualClock()
    health = Health(clock, random.Random(seed))
    held: list[tuple[Permit, float]] = []
    for step, seconds in steps:
        pass_time(clock, seconds)
        now = clock.monotonic()
        if step == "ask" or not held:
            permit = health.ask("A")
            assert 0 <= permit.wait_s <= OPEN.longest_s + 15
            if permit.wait_s == 0:
                probes = [since for other, since in held if other.probe and now - since < PROBE_LEASE_S]
                assert permit.probe is None or not probes
                held.append((permit, now))
        else:
            permit, _ = held.pop(0)
            getattr(health, step)(permit)


def test_knowledge_stays_small() -> None:
    """The oldest goes first, and what is out of date at any size."""
    known = Known(
        doors={
            f"D{number}": Door(failures=1, touched=1000.0 + number) for number in range(DOORS_AT_MOST + 9)
        },
        bad={
            f"root://a//{number}": BadCopy(reason="x", since=1000.0 + number)
            for number in range(BAD_COPIES_AT_MOST + 9)
        },
    )
    left = tidied(known, 2000.0)
    assert (len(left.doors), len(left.bad)) == (DOORS_AT_MOST, BAD_COPIES_AT_MOST)
    assert "D8" not in left.doors and "D9" in left.doors
    assert tidied(known, 1e6) == Known()
