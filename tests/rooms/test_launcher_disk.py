"""payload.launcher on a full disk: an end is recorded, and a start that cannot be recorded does not happen."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from launch_kit import payload, runs
from process_kit import DEADLINE_S, go, shell, until_async

from disk_kit import SmallDisk, small_disk
from picard_pilot.model.command import StartErrorKind
from picard_pilot.payload import launcher
from picard_pilot.payload.launch import Exited, LaunchFailed, NeverStarted
from picard_pilot.system import disk


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallDisk]:
    """A file system of 256 kB."""
    with small_disk(tmp_path / "disk", "256k") as made:
        yield made


def test_a_disk_that_fills_up_loses_no_end(small: SmallDisk, tmp_path: Path) -> None:
    """The payload fills the disk with its own output; its exit code is known all the same."""
    os.mkfifo(tmp_path / "go")
    spec = payload(
        tmp_path,
        "read line <go; yes >>disk/more; exit 33",
        directory=str(small.place / "launch"),
        stdout=str(small.place / "payload.stdout"),
    )

    async def scenario() -> None:
        handle = await launcher.launch(spec)
        small.fill()
        assert disk.is_full(small.place)
        await asyncio.to_thread((tmp_path / "go").write_text, "\n")
        found = await asyncio.wait_for(launcher.wait(handle), DEADLINE_S)
        assert isinstance(found, Exited)
        assert found.exit.exit_code == 33

    go(scenario())
    assert runs(tmp_path) == 1


def test_a_start_that_cannot_be_recorded_does_not_happen(small: SmallDisk, tmp_path: Path) -> None:
    """Full before the launch: a typed reason, nothing ran, and with room again it runs."""
    spec = payload(
        tmp_path,
        "exit 0",
        directory=str(small.place / "launch"),
        stdout=str(tmp_path / "payload.stdout"),
    )

    async def scenario() -> None:
        # Room for none, one and two of the three small files of a launch.
        for kept in range(0, 12_288, 4096):
            shutil.rmtree(spec.directory, ignore_errors=True)
            small.empty()
            small.fill(keep_bytes=kept)
            with pytest.raises(LaunchFailed) as failed:
                await launcher.launch(spec)
            assert failed.value.error.kind is StartErrorKind.DISK_FULL
            assert await launcher.find(Path(spec.directory)) == NeverStarted()
            assert runs(tmp_path) == 0
        small.empty()
        handle = await launcher.launch(spec)
        assert isinstance(await launcher.wait(handle), Exited)
        await until_async(lambda: runs(tmp_path) == 1, "the one run")

    go(scenario())


def test_a_command_on_a_full_disk_is_told_by_the_kernel_and_by_us(small: SmallDisk) -> None:
    """What fitted is kept, the command hears ENOSPC itself, and its own words are not lost."""
    result = shell("exec cat /dev/zero", stdout=small.place / "out")
    assert result.exit_code == 1
    assert "No space left" in result.stderr_tail
    assert result.stdout_bytes == (small.place / "out").stat().st_size > 0
    small.fill()
    assert shell("echo works", temporary=small.place).exit_code == 1  # its output has no room
    small.empty()
