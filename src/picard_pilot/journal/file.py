"""The journal file of one job: durable append, and reading what survived.

What a record looks like is `journal.record`; who may write is `journal.lease`.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from picard_pilot.journal.record import DamagedRecord, Record, from_line, record_of, to_line
from picard_pilot.model.events import Event

NAME = "journal.jsonl"


class JournalDamaged(Exception):
    """A line that is not the last one cannot be read: more than a crash has happened to this file."""

    def __init__(self, path: Path, line: int, why: str) -> None:
        """`line` counts from 1."""
        super().__init__(f"{path}, line {line}: {why}")
        self.path = path
        self.line = line
        self.why = why


class JournalFull(Exception):
    """The disk has no room for the next record; the event was not written and nothing may be done about it."""


class Journal:
    """Appends events to one file. `append` returns only after the bytes are on the disk."""

    def __init__(self, path: Path, by: str, wall: Callable[[], float]) -> None:
        """Open or make the file. A torn last line is cut off; `by` names this pilot, `wall` gives the time.

        Raises JournalDamaged, or OSError when the file cannot be made.
        """
        self.path = path
        is_new = not path.exists()
        self.records, self._size = ([], 0) if is_new else _scan(path)
        self._by = by
        self._wall = wall
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._fd, self._size)
        os.lseek(self._fd, self._size, os.SEEK_SET)
        if is_new:
            _sync_directory(path.parent)

    def next_time(self) -> float:
        """The time for the next record; it never runs backwards inside a journal, whatever the node's clock does."""
        return max(self._wall(), self.records[-1].at) if self.records else self._wall()

    def append(self, event: Event, at: float | None = None) -> Record:
        """Write the event down and return its record once it is durable. `at` is a value of `next_time`.

        Raises JournalFull when the disk is full: the file is then as it was before.
        """
        at = self.next_time() if at is None else at
        record = record_of(event, seq=len(self.records) + 1, at=at, by=self._by)
        line = to_line(record)
        try:
            _write_all(self._fd, line)
            os.fdatasync(self._fd)
        except OSError as error:
            os.ftruncate(self._fd, self._size)
            os.lseek(self._fd, self._size, os.SEEK_SET)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise JournalFull(str(self.path)) from error
            raise
        self._size += len(line)
        self.records.append(record)
        return record

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read(path: Path) -> list[Record]:
    """All whole records of a journal, in order; a torn last line is what a crash leaves and is passed over.

    Raises JournalDamaged for any other bad line, and for a gap in the sequence; OSError when it cannot be read.
    """
    return _scan(path)[0]


def _scan(path: Path) -> tuple[list[Record], int]:
    """The whole records, and how many bytes of the file they take."""
    lines = path.read_bytes().split(b"\n")
    records: list[Record] = []
    size = 0
    for number, line in enumerate(lines, start=1):
        if number == len(lines):
            break  # what follows the last newline is nothing, or torn
        try:
            record = from_line(line)
        except DamagedRecord as error:
            if number == len(lines) - 1 and lines[-1] == b"":
                break  # the last line has its newline but not all of its bytes: torn as well
            raise JournalDamaged(path, number, str(error)) from error
        if record.seq != len(records) + 1:
            raise JournalDamaged(path, number, f"record {record.seq} where {len(records) + 1} was expected")
        records.append(record)
        size += len(line) + 1
    return records, size


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
