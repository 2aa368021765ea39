"""The journal in its reserve: on a full disk it goes on in blocks that nobody else can take."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from picard_pilot.journal.file import END_BYTES, Journal, JournalFull, read
from picard_pilot.model import events as ev
from picard_pilot.model.job import Job

RECEIVED = ev.JobReceived(job=Job(job_id=1, attempt_nr=1, parameters="x" * 3000), queue="Q")
RESUMED = ev.Resumed(pilot="p" * 300)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "picard-test", str(place)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(place: Path) -> None:
    """Take the last byte."""
    with (place / "filling").open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def started(place: Path, reserve_bytes: int) -> tuple[Journal, Path]:
    """A journal with one record and a reserve beside it, on a disk that is full but for them."""
    journal = Journal(place / "journal.jsonl", "p1", lambda: 1000.0)
    journal.append(RECEIVED)
    reserve = place / "reserve"
    with reserve.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, reserve_bytes)
    fill(place)
    return journal, reserve


def test_a_full_journal_goes_on_in_its_reserve(small_disk: Path) -> None:
    """Every record from before and after is there, although every free byte is taken at once by somebody else."""
    journal, reserve = started(small_disk, 128 * 1024)
    with pytest.raises(JournalFull):
        for _ in range(100):
            journal.append(RESUMED)
    before = len(journal.records)
    journal.move_into(reserve)
    fill(small_disk)
    for _ in range(50):
        journal.append(RESUMED)
        fill(small_disk)
    journal.close()
    assert not reserve.exists()
    records = read(small_disk / "journal.jsonl")
    assert [record.seq for record in records] == list(range(1, before + 51))
    assert records[0].event == RECEIVED


def test_a_later_pilot_keeps_what_was_set_aside(small_disk: Path) -> None:
    """Opening the journal again neither reads the zero bytes as damage nor gives them to others."""
    journal, reserve = started(small_disk, 128 * 1024)
    journal.move_into(reserve)
    journal.close()
    fill(small_disk)
    later = Journal(small_disk / "journal.jsonl", "p2", lambda: 1000.0)
    for _ in range(50):
        later.append(RESUMED)
    later.close()
    assert len(read(small_disk / "journal.jsonl")) == 51


def test_what_is_not_needed_is_given_back(small_disk: Path) -> None:
    """Room for the records of the job's end stays."""
    journal, reserve = started(small_disk, 512 * 1024)
    journal.move_into(reserve)
    journal.give_back()
    free = os.statvfs(small_disk)
    assert free.f_bavail * free.f_frsize >= (512 * 1024 - END_BYTES) - 16 * 1024
    assert len(read(small_disk / "journal.jsonl")) == 1
    journal.close()


def test_a_reserve_that_is_too_small_changes_nothing(small_disk: Path) -> None:
    """The journal stays where it is, whole."""
    journal, reserve = started(small_disk, 1024)
    with pytest.raises(JournalFull):
        journal.move_into(reserve)
    journal.close()
    assert reserve.exists()
    assert len(read(small_disk / "journal.jsonl")) == 1


def test_a_torn_record_before_the_zero_bytes_is_passed_over(small_disk: Path) -> None:
    """As at the end of a file without them."""
    journal, reserve = started(small_disk, 128 * 1024)
    journal.move_into(reserve)
    path = small_disk / "journal.jsonl"
    whole = journal.path.read_bytes().rstrip(b"\0")
    journal.append(RESUMED)
    journal.close()
    for torn in (b'{"v":1,"se', b'{"v":1,"seq":2}\n'):
        with path.open("r+b") as file:
            file.seek(len(whole))
            file.write(torn.ljust(1000, b"\0"))
        assert len(read(path)) == 1
        later = Journal(path, "p2", lambda: 1000.0)
        assert later.append(RESUMED).seq == 2
        later.close()
        assert len(read(path)) == 2
