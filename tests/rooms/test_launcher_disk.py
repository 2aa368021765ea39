"""payload.launcher on a full disk: an end is recorded, and a start that cannot be recorded does not happen."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from launch_kit import payload, runs
from process_kit import DEADLINE_S, go, shell, until_async

from picard_pilot.model.command import StartErrorKind
from picard_pilot.payload import launcher
from picard_pilot.payload.launch import Exited, LaunchFailed, NeverStarted
from picard_pilot.system import disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "picard-test", str(place)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def _fill(place: Path) -> None:
    """Take the last byte."""
    with (place / "filling").open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def test_a_disk_that_fills_up_loses_no_end(small_disk: Path, tmp_path: Path) -> None:
    """The payload fills the disk with its own output; its exit code is known all the same."""
    os.mkfifo(tmp_path / "go")
    spec = payload(
        tmp_path,
        "read line <go; yes >>disk/more; exit 33",
        directory=str(small_disk / "launch"),
        stdout=str(small_disk / "payload.stdout"),
    )

    async def scenario() -> None:
        handle = await launcher.launch(spec)
        _fill(small_disk)
        assert disk.is_full(small_disk)
        await asyncio.to_thread((tmp_path / "go").write_text, "\n")
        found = await asyncio.wait_for(launcher.wait(handle), DEADLINE_S)
        assert isinstance(found, Exited)
        assert found.exit.exit_code == 33

    go(scenario())
    assert runs(tmp_path) == 1


def test_a_start_that_cannot_be_recorded_does_not_happen(small_disk: Path, tmp_path: Path) -> None:
    """Full before the launch: a typed reason, nothing ran, and with room again it runs."""
    spec = payload(
        tmp_path,
        "exit 0",
        directory=str(small_disk / "launch"),
        stdout=str(tmp_path / "payload.stdout"),
    )

    async def scenario() -> None:
        # Room for none, one and two of the three small files of a launch.
        for kept in range(0, 12_288, 4096):
            shutil.rmtree(spec.directory, ignore_errors=True)
            _fill(small_disk)
            os.truncate(small_disk / "filling", (small_disk / "filling").stat().st_size - kept)
            with pytest.raises(LaunchFailed) as failed:
                await launcher.launch(spec)
            assert failed.value.error.kind is StartErrorKind.DISK_FULL
            assert await launcher.find(Path(spec.directory)) == NeverStarted()
            assert runs(tmp_path) == 0
        (small_disk / "filling").unlink()
        handle = await launcher.launch(spec)
        assert isinstance(await launcher.wait(handle), Exited)
        await until_async(lambda: runs(tmp_path) == 1, "the one run")

    go(scenario())


def test_a_command_on_a_full_disk_is_told_by_the_kernel_and_by_us(small_disk: Path) -> None:
    """What fitted is kept, the command hears ENOSPC itself, and its own words are not lost."""
    result = shell("exec cat /dev/zero", stdout=small_disk / "out")
    assert result.exit_code == 1
    assert "No space left" in result.stderr_tail
    assert result.stdout_bytes == (small_disk / "out").stat().st_size > 0
    _fill(small_disk)
    assert shell("echo works", temporary=small_disk).exit_code == 1  # its output has no room
    (small_disk / "filling").unlink()
