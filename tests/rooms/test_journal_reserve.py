"""The journal in its reserve: on a full disk it goes on in blocks that nobody else can take."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from disk_kit import SmallDisk, small_disk
from picard_pilot.journal.file import END_BYTES, Journal, JournalFull, read
from picard_pilot.model import events as ev
from picard_pilot.model.job import Job

RECEIVED = ev.JobReceived(job=Job(job_id=1, attempt_nr=1, parameters="x" * 3000), queue="Q")
RESUMED = ev.Resumed(pilot="p" * 300)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A file system of 1 MB."""
    with small_disk(tmp_path / "disk", "1m") as made:
        yield made


def started(disk: SmallDisk, reserve_bytes: int) -> tuple[Journal, Path]:
    """A journal with one record and a reserve beside it, on a disk that is full but for them."""
    journal = Journal(disk.place / "journal.jsonl", "p1", lambda: 1000.0)
    journal.append(RECEIVED)
    reserve = disk.place / "reserve"
    with reserve.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, reserve_bytes)
    disk.fill()
    return journal, reserve


def test_a_full_journal_goes_on_in_its_reserve(disk: SmallDisk) -> None:
    """Every record from before and after is there, although every free byte is taken at once by somebody else."""
    journal, reserve = started(disk, 128 * 1024)
    with pytest.raises(JournalFull):
        for _ in range(100):
            journal.append(RESUMED)
    before = len(journal.records)
    journal.move_into(reserve)
    disk.fill()
    for _ in range(50):
        journal.append(RESUMED)
        disk.fill()
    journal.close()
    assert not reserve.exists()
    records = read(disk.place / "journal.jsonl")
    assert [record.seq for record in records] == list(range(1, before + 51))
    assert records[0].event == RECEIVED


def test_a_later_pilot_keeps_what_was_set_aside(disk: SmallDisk) -> None:
    """Opening the journal again neither reads the zero bytes as damage nor gives them to others."""
    journal, reserve = started(disk, 128 * 1024)
    journal.move_into(reserve)
    journal.close()
    disk.fill()
    later = Journal(disk.place / "journal.jsonl", "p2", lambda: 1000.0)
    for _ in range(50):
        later.append(RESUMED)
    later.close()
    assert len(read(disk.place / "journal.jsonl")) == 51


def test_what_is_not_needed_is_given_back(disk: SmallDisk) -> None:
    """Room for the records of the job's end stays."""
    journal, reserve = started(disk, 512 * 1024)
    journal.move_into(reserve)
    journal.give_back()
    assert disk.free_bytes >= (512 * 1024 - END_BYTES) - 16 * 1024
    assert len(read(disk.place / "journal.jsonl")) == 1
    journal.close()


def test_a_reserve_that_is_too_small_changes_nothing(disk: SmallDisk) -> None:
    """The journal stays where it is, whole."""
    journal, reserve = started(disk, 1024)
    with pytest.raises(JournalFull):
        journal.move_into(reserve)
    journal.close()
    assert reserve.exists()
    assert len(read(disk.place / "journal.jsonl")) == 1


def test_a_torn_record_before_the_zero_bytes_is_passed_over(disk: SmallDisk) -> None:
    """As at the end of a file without them."""
    journal, reserve = started(disk, 128 * 1024)
    journal.move_into(reserve)
    path = disk.place / "journal.jsonl"
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
