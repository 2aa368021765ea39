"""The file by which the pilots of a node share what they know of storages."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from health_kit import Calm, pass_time, shut

from picard_pilot.data import health_file
from picard_pilot.data.health import (
    Door,
    Known,
)
from picard_pilot.data.health_file import FILE, LOCK, SharedHealth, node_directory
from picard_pilot.data.paces import paces
from picard_pilot.settings.read import settings_for
from picard_pilot.system.clock import RealClock
from picard_pilot.testing.clock import VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    """Time that tests set."""
    return VirtualClock()


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


def test_pilots_of_one_node_are_processes(tmp_path: Path, clock: VirtualClock) -> None:
    """Four of them write at the same time: nothing of what one has learnt is lost to another."""
    folder = tmp_path / "node"
    children = [
        subprocess.Popen([sys.executable, "-c", LEARNING, str(folder), str(number)]) for number in range(4)
    ]
    assert [child.wait(60) for child in children] == [0] * 4
    health = SharedHealth(folder, RealClock(), Calm())
    assert [
        surl
        for surl in (f"root://a//{number}.{turn}" for number in range(4) for turn in range(40))
        if health.bad(surl) != "missing"
    ] == []
    assert sorted(path.name for path in folder.iterdir()) == [FILE, LOCK]


LEARNING = """
import random, sys
from pathlib import Path
from picard_pilot.data.health_file import SharedHealth
from picard_pilot.settings.read import settings_for
from picard_pilot.system.clock import RealClock

health = SharedHealth(Path(sys.argv[1]), RealClock(), random.Random())
for turn in range(40):
    health.remember_bad(f"root://a//{sys.argv[2]}.{turn}", "missing")
while health._backlog:  # another one held the lock
    health._look()
"""


def test_short_pauses_shut_a_door_for_a_short_time(tmp_path: Path, clock: VirtualClock) -> None:
    """The settings of somebody in a hurry, in a test for instance."""
    settings = settings_for(
        node_directory=str(tmp_path / "node"), stagein_retry_pause_s=0.1, staging_patience_s=60.0
    )
    stagein, stageout = paces(settings, clock, Calm(), 1000.0)
    assert stagein.known is stageout.known
    assert (stagein.limits.longest_pause_s, stageout.limits.longest_pause_s) == (0.1, 600.0)
    assert stagein.limits.patience_s == 60.0 and stagein.ends_at == 1000.0
    shut(stagein.known)
    assert stageout.known.ask("A").wait_s == pytest.approx(0.1, abs=0.001)


def test_the_node_directory_is_named_after_the_user() -> None:
    """Two users of a node do not meet; the setting wins."""
    assert node_directory(None) == Path(f"/tmp/picard-{os.getuid()}")
    assert node_directory("/scratch/x") == Path("/scratch/x")
