"""system.files and system.disk: durable writes, paths that stay inside, and room."""

import os
from pathlib import Path

import pytest

from picard_pilot.system import disk, files


def test_a_durable_write_replaces_the_whole_file(tmp_path: Path) -> None:
    """New content, the mode asked for, nothing beside it."""
    path = tmp_path / "status.json"
    files.write_durably(path, b"one")
    files.write_durably(path, b"two", mode=0o644)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_a_failing_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full disk in the middle: typed, with the path, and cleaned up."""
    path = tmp_path / "status.json"
    files.write_durably(path, b"old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(files.DiskFull) as failed:
        files.write_durably(path, b"new")
    assert failed.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]


def test_a_link_in_the_place_of_the_file_is_replaced_not_followed(tmp_path: Path) -> None:
    """A payload cannot make the pilot write elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    path = tmp_path / "status.json"
    path.symlink_to(elsewhere)
    files.write_durably(path, b"new")
    assert elsewhere.read_text() == "mine"
    assert path.read_bytes() == b"new"
    assert not path.is_symlink()


def test_the_real_full_device_is_recognised() -> None:
    """/dev/full is a disk that is full for ever."""
    with pytest.raises(files.DiskFull), files.full_disk_named(Path("/dev/full")):
        fd = os.open("/dev/full", os.O_WRONLY)
        try:
            files.write_all(fd, b"x")
        finally:
            os.close(fd)


def test_other_errors_pass_unchanged(tmp_path: Path) -> None:
    """A missing directory is no full disk."""
    with pytest.raises(FileNotFoundError):
        files.write_durably(tmp_path / "absent" / "file", b"x")


def test_room_is_told(tmp_path: Path) -> None:
    """A disk on which tests run is not full."""
    assert disk.free_bytes(tmp_path) > disk.FULL_BELOW_BYTES
    assert not disk.is_full(tmp_path)
    with pytest.raises(OSError, match="absent"):
        disk.free_bytes(tmp_path / "absent")


def test_quota_is_full_and_permission_is_not() -> None:
    """What people call a full disk."""
    assert disk.is_full_error(OSError(122, "quota"))
    assert not disk.is_full_error(PermissionError(13, "no"))
