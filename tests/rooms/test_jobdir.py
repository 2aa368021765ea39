"""The directory of a job: made whole or not at all, and removed whatever a payload did in it."""

import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from picard_pilot.payload import jobdir

DEEP = 3000
"""Deeper than a path may be long, and than Python's stack."""


def test_whatever_a_payload_leaves_is_removed(tmp_path: Path) -> None:
    """Names that are no text, links, pipes, locked directories; what a link points to stays."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    bundle = jobdir.make(tmp_path, 7, 1)
    directory = Path(bundle.directory)
    (directory / "link").symlink_to(outside)
    (directory / "dangling").symlink_to("nowhere")
    os.mkfifo(directory / "pipe")
    Path(os.fsdecode(os.fsencode(directory) + b"/\xff\n")).touch()
    (directory / "a" / "b").mkdir(parents=True)
    (directory / "a" / "b" / "file").touch(mode=0)
    (directory / "a" / "b").chmod(0)
    (directory / "a").chmod(0o400)
    directory.chmod(0o500)
    assert jobdir.remove(bundle, last="journal.jsonl") == []
    assert not directory.exists()
    assert (outside / "kept").exists()
    assert jobdir.remove(bundle) == []


def test_a_socket_fits_into_the_temporary_folder_or_there_is_none(tmp_path: Path) -> None:
    """Its name may have 107 bytes, and programs put 35 of their own behind TMPDIR."""
    short = Path(tempfile.mkdtemp(prefix="w", dir="/tmp"))
    try:
        fits = jobdir.TEMPORARY_BYTES - len(f"{short}//PanDA_Pilot-7/{jobdir.TEMPORARY}")
        for fill in (1, fits, fits + 1):
            workdir = short / ("d" * fill)
            workdir.mkdir(exist_ok=True)
            bundle = jobdir.make(workdir, 7, 1)
            told = jobdir.temporary(bundle)
            path = Path(bundle.directory, jobdir.TEMPORARY)
            if told:
                assert set(told) == {"TMPDIR", "TMP", "TEMP"} and set(told.values()) == {str(path)}
                with socket.socket(socket.AF_UNIX) as made:
                    made.bind(f"{path}/{'s' * 34}")
            assert path.exists() is bool(told) is (fill <= fits)
    finally:
        shutil.rmtree(short)


def test_a_link_in_the_place_of_the_pilots_own_folder_is_not_followed(tmp_path: Path) -> None:
    """Only the link goes."""
    home = tmp_path / "home"
    (home / "documents").mkdir(parents=True)
    (home / "journal.jsonl").touch()
    bundle = jobdir.make(tmp_path, 7, 1)
    Path(bundle.private).rename(Path(bundle.directory, "moved"))
    Path(bundle.private).symlink_to(home)
    jobdir.remove(bundle, last="journal.jsonl")
    assert not Path(bundle.directory).exists()
    assert sorted(path.name for path in home.iterdir()) == ["documents", "journal.jsonl"]


def test_directories_nested_deeper_than_any_path_goes_are_removed(tmp_path: Path) -> None:
    """A payload that goes on and on into new directories: no reason for a pilot to end, today or on its return."""
    bundle = jobdir.make(tmp_path, 7, 1)
    here = os.open(bundle.directory, os.O_RDONLY)
    for _ in range(DEEP):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    assert jobdir.remove(bundle) == []
    assert list(tmp_path.iterdir()) == []


def test_the_journal_goes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be removed keeps it, so that a later pilot takes the removal up."""
    bundle = jobdir.make(tmp_path, 7, 1)
    journal = Path(bundle.private, "journal.jsonl")
    journal.touch()
    Path(bundle.private, "aaa").touch()
    Path(bundle.directory, "stubborn").touch()
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.name in ("stubborn", "aaa"):
            raise PermissionError(1, "Operation not permitted", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert len(jobdir.remove(bundle, last=journal.name)) == 1
    Path(bundle.directory, "stubborn").rename(tmp_path / "gone")
    assert len(jobdir.remove(bundle, last=journal.name)) == 1
    assert journal.exists()
