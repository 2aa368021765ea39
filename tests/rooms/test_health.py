"""The breaker of one storage door, and the file by which the pilots of a node share what they know."""

import os
import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from picard_pilot.data import health_file
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
from picard_pilot.data.health_file import FILE, LOCK, SharedHealth, node_directory
from picard_pilot.testing.clock import VirtualClock


class Calm(random.Random):
    """Chance that takes nothing away."""

    def random(self) -> float:
        """Always zero."""
        return 0.0


def shut(health: Health, door: str = "A") -> None:
    """Fail often enough."""
    for _ in range(FAILURES_TO_OPEN):
        health.failed(health.ask(door))


def pass_time(clock: VirtualClock, seconds: float) -> None:
    """Let time pass; nobody sleeps on this clock."""
    clock._now += seconds


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


# the file


def pair(folder: Path, clock: VirtualClock) -> tuple[SharedHealth, SharedHealth]:
    """Two pilots of one node."""
    return SharedHealth(folder, clock, Calm()), SharedHealth(folder, clock, Calm())


def test_one_pilot_learns_from_another(tmp_path: Path, clock: VirtualClock) -> None:
    """Failures of both count together, a bad copy is bad for both, and one success opens the door for both."""
    first, second = pair(tmp_path / "node", clock)
    first.failed(first.ask("A"))
    second.failed(second.ask("A"))
    first.failed(first.ask("A"))
    assert second.ask("A").wait_s == 30
    first.remember_bad("root://a//f", "checksum")
    assert second.bad("root://a//f") == "checksum"
    pass_time(clock, 30)
    probe = second.ask("A")
    assert probe.wait_s == 0
    assert first.ask("A").wait_s > 0
    second.worked(probe, "root://a//f")
    assert first.ask("A").wait_s == 0
    assert first.bad("root://a//f") is None
    assert (tmp_path / "node").stat().st_mode & 0o777 == 0o700


def test_a_healthy_storage_costs_no_file(tmp_path: Path, clock: VirtualClock) -> None:
    """A thousand transfers that work write nothing at all."""
    health = SharedHealth(tmp_path / "node", clock, Calm())
    for number in range(1000):
        health.worked(health.ask("A"), f"root://a//{number}")
    assert not (tmp_path / "node").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"doors": 3}',
        b'{"doors": {"A": {"until": 1e999}}}',
        b" " * 1_100_000 + b"{}",
        b"[" * 100_000,
    ],
    ids=["empty", "cut", "no text", "wrong type", "infinite", "large", "deep"],
)
def test_a_file_that_makes_no_sense_is_begun_anew(
    tmp_path: Path, clock: VirtualClock, content: bytes
) -> None:
    """A payload of the same user can write there what it likes."""
    folder = tmp_path / "node"
    folder.mkdir(mode=0o700)
    (folder / FILE).write_bytes(content)
    first, second = pair(folder, clock)
    assert first.ask("A").wait_s == 0
    shut(first)
    assert second.ask("A").wait_s == 30


def test_times_that_nobody_could_have_written_shut_nothing(tmp_path: Path, clock: VirtualClock) -> None:
    """A door that is said to be shut for a thousand years is probed at once."""
    folder = tmp_path / "node"
    folder.mkdir(mode=0o700)
    far = Door(failures=3, shut=1, until=1e12, probe="x", probe_until=1e12, touched=clock.now_utc())
    (folder / FILE).write_bytes(msgspec.json.encode(Known(doors={"A": far})))
    assert SharedHealth(folder, clock, Calm()).ask("A").wait_s == 0


def foreign_mode(folder: Path) -> None:
    """A directory that others may write to."""
    folder.mkdir()
    folder.chmod(0o777)


def foreign_link(folder: Path) -> None:
    """A link that leads elsewhere."""
    (folder.parent / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(folder.parent / "elsewhere")


def no_parent(folder: Path) -> None:
    """A place that cannot be made."""
    folder.parent.chmod(0o700)
    folder.parent.rmdir()


def a_file(folder: Path) -> None:
    """A file of that name."""
    folder.write_bytes(b"")


def pipe_inside(folder: Path) -> None:
    """A pipe that nobody reads stands where the lock should."""
    folder.mkdir(mode=0o700)
    os.mkfifo(folder / LOCK)


def directory_inside(folder: Path) -> None:
    """A directory stands where the new file is written."""
    folder.mkdir(mode=0o700)
    (folder / f".{FILE}.part").mkdir()


@pytest.mark.parametrize(
    "spoil", [foreign_mode, foreign_link, no_parent, a_file, pipe_inside, directory_inside]
)
def test_a_place_that_cannot_be_used_costs_one_line_and_no_job(
    tmp_path: Path, clock: VirtualClock, caplog: pytest.LogCaptureFixture, spoil: object
) -> None:
    """Each pilot then knows what it has seen itself."""
    folder = tmp_path / "place" / "node"
    folder.parent.mkdir()
    spoil(folder)  # type: ignore[operator]
    first, second = pair(folder, clock)
    shut(first)
    assert first.ask("A").wait_s == 30
    assert second.ask("A").wait_s == 0
    pass_time(clock, 30)
    probe = first.ask("A")
    assert probe.wait_s == 0
    first.failed(probe)
    assert first.ask("A").wait_s == 60
    assert sum("not shared" in record.message for record in caplog.records) == 1


def test_another_users_directory_is_not_used(
    tmp_path: Path, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither read nor written."""
    folder = tmp_path / "node"
    shut(SharedHealth(folder, clock, Calm()))
    before = (folder / FILE).read_bytes()
    monkeypatch.setattr(health_file.os, "getuid", lambda: os.geteuid() + 1)
    other = SharedHealth(folder, clock, Calm())
    assert other.ask("A").wait_s == 0
    shut(other, "B")
    assert (folder / FILE).read_bytes() == before


def test_a_pilot_that_stopped_with_the_lock_holds_nobody(tmp_path: Path, clock: VirtualClock) -> None:
    """The others know their own failures at once, take no probe, and write as soon as the lock is free."""
    import fcntl

    folder = tmp_path / "node"
    first, second = pair(folder, clock)
    first.remember_bad("root://a//f", "missing")
    fd = os.open(folder / LOCK, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        shut(first)
        assert first.ask("A").wait_s == 30
        assert second.ask("A").wait_s == 0
        pass_time(clock, 30)
        assert 0 < first.ask("A").wait_s <= 2
    finally:
        os.close(fd)
    assert first.ask("A").wait_s == 0
    assert second.ask("A").wait_s > 0
    assert second.bad("root://a//f") == "missing"


def test_a_directory_that_a_cleaner_removed_is_made_again(tmp_path: Path, clock: VirtualClock) -> None:
    """What this pilot knows goes on, and what it learns is shared again."""
    folder = tmp_path / "node"
    first, second = pair(folder, clock)
    shut(first)
    for name in folder.iterdir():
        name.unlink()
    folder.rmdir()
    assert first.ask("A").wait_s == 30
    first.remember_bad("root://a//f", "missing")
    assert second.bad("root://a//f") == "missing"


def test_the_node_directory_is_named_after_the_user() -> None:
    """Two users of a node do not meet; the setting wins."""
    assert node_directory(None) == Path(f"/tmp/picard-{os.getuid()}")
    assert node_directory("/scratch/x") == Path("/scratch/x")
