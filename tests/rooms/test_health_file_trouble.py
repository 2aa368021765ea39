"""The shared file of what is known of storages, on a bad day: in its place stands something else, the disk is full, the
clock is set. Each pilot knows at least what it has seen itself."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from health_kit import Calm, pass_time, shut

from picard_pilot.data import health_file
from picard_pilot.data.health_file import FILE, SharedHealth
from picard_pilot.testing.clock import VirtualClock

DAY_S = 86_400.0


@pytest.fixture
def clock() -> VirtualClock:
    """Time that tests set."""
    return VirtualClock()


def a_link(path: Path) -> None:
    """To a file elsewhere, which stays as it is."""
    (path.parent.parent / "precious").write_text("precious")
    path.symlink_to(path.parent.parent / "precious")


@pytest.mark.parametrize("spoil", [os.mkfifo, a_link])
def test_something_else_in_its_place_is_replaced(
    tmp_path: Path, clock: VirtualClock, spoil: Callable[[Path], None]
) -> None:
    """Nobody waits for a pipe, and nothing is written through a link."""
    (tmp_path / "node").mkdir(mode=0o700)
    spoil(tmp_path / "node" / FILE)
    first, second = (SharedHealth(tmp_path / "node", clock, Calm()) for _ in range(2))
    shut(first)
    assert (first.ask("A").wait_s, second.ask("A").wait_s) == (30, 30)
    assert (tmp_path / "node" / FILE).is_file() and not (tmp_path / "node" / FILE).is_symlink()
    if (tmp_path / "precious").exists():
        assert (tmp_path / "precious").read_text() == "precious"


def test_a_directory_in_its_place(
    tmp_path: Path, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """One line, and what this pilot has learnt lasts, also when somebody touches that directory."""
    (tmp_path / "node" / FILE).mkdir(parents=True)
    (tmp_path / "node").chmod(0o700)
    health = SharedHealth(tmp_path / "node", clock, Calm())
    shut(health)
    health.remember_bad("root://a//f", "missing")
    (tmp_path / "node" / FILE / "more").touch()
    assert health.ask("A").wait_s == 30
    assert health.bad("root://a//f") == "missing"
    pass_time(clock, 30)
    probe = health.ask("A")
    assert probe.wait_s == 0 and health.ask("A").wait_s > 0
    health.failed(probe)
    assert health.ask("A").wait_s == 60
    assert sum("not shared" in record.message for record in caplog.records) == 1


def test_what_a_newer_pilot_writes_there_is_read_as_far_as_it_is_known(
    tmp_path: Path, clock: VirtualClock
) -> None:
    """Fields that nobody here knows change nothing."""
    (tmp_path / "node").mkdir(mode=0o700)
    until, touched = clock.now_utc() + 20, clock.now_utc()
    (tmp_path / "node" / FILE).write_text(
        f'{{"version": 7, "doors": {{"A": {{"failures": 3, "shut": 1, "until": {until}, "touched": {touched}, '
        '"mood": "grim"}}, "bad": {}}'
    )
    assert SharedHealth(tmp_path / "node", clock, Calm()).ask("A").wait_s >= 20


def test_a_disk_that_is_full_for_a_while(
    tmp_path: Path, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stood in the file stands; what this pilot learns meanwhile is shared as soon as there is room."""
    first, second = (SharedHealth(tmp_path / "node", clock, Calm()) for _ in range(2))
    first.remember_bad("root://a//before", "missing")

    def full(fd: int, data: bytes) -> None:
        os.write(fd, data[:7])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(health_file, "write_all", full)
        shut(first)
        first.remember_bad("root://a//meanwhile", "checksum")
        assert first.ask("A").wait_s == 30
        assert second.ask("A").wait_s == 0
        assert second.bad("root://a//before") == "missing"
    assert first.ask("A").wait_s == 30
    assert second.ask("A").wait_s == 30
    pass_time(clock, 1)
    assert second.bad("root://a//meanwhile") == "checksum"


@pytest.mark.parametrize("by_s", [-DAY_S, DAY_S])
def test_a_clock_that_is_set_by_a_day(tmp_path: Path, clock: VirtualClock, by_s: float) -> None:
    """No door stays shut for it: a probe passes, whose failure shuts the door for the usual time."""
    first, second = (SharedHealth(tmp_path / "node", clock, Calm()) for _ in range(2))
    shut(first)
    clock.set_wall(clock.now_utc() + by_s)
    for _ in range(3):
        permit = first.ask("A")
        assert permit.wait_s == 0
        first.failed(permit)
        if second.ask("A").wait_s:
            break
    assert 30 <= second.ask("A").wait_s <= 60
    clock.set_wall(clock.now_utc() - by_s)
    permit = second.ask("A")
    assert permit.wait_s == 0
    second.worked(permit)
    assert first.ask("A").wait_s == 0
