"""The journal file of one job: durable append, and reading what survived.

What a record looks like is `journal.record`; who may write is `journal.lease`.
"""

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from picard_pilot.journal.record import (
    DamagedRecord,
    Record,
    UnknownRecord,
    from_copy,
    from_line,
    record_of,
    to_line,
)
from picard_pilot.model.events import Event, InputStaged, Prepared, Resumed
from picard_pilot.system.files import open_regular, read_regular, sync_directory, write_all

NAME = "journal.jsonl"

END_BYTES = 64 * 1024
"""More than the records from a payload's end to the accepted report take, each output included, in ordinary jobs."""


NOT_AWAITED = (InputStaged,)
"""Events that go to the disk with the next other one. A job may have thousands, and each wait costs milliseconds: what
a power cut takes of them is fetched again. A killed pilot loses none: the kernel has the bytes."""


BEFORE_NOT_AWAITED = (Prepared, Resumed, InputStaged)
"""What can stand before such an event: anywhere else, damage is more than a power cut."""


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


class JournalTaken(OSError):
    """Another pilot has written to this journal since: it took the job over, and the event was not written."""


class Journal:
    """Appends events to one file. `append` returns only after the bytes are on the disk, but for those events whose
    loss costs nothing (`NOT_AWAITED`): they are there once the next other event is."""

    def __init__(self, path: Path, by: str, wall: Callable[[], float]) -> None:
        """Open or make the file. A torn last line is cut off; `by` names this pilot, `wall` gives the time.

        Raises JournalDamaged, or OSError when the file cannot be made.
        """
        self.path = path
        is_new = not path.exists()
        self.records, self._size, is_torn = ([], 0, False) if is_new else _scan(path)
        self._by = by
        self._wall = wall
        self._fd = open_regular(path, os.O_RDWR | os.O_CREAT)
        if is_torn:
            os.ftruncate(self._fd, self._size)
        os.lseek(self._fd, self._size, os.SEEK_SET)
        if is_new:
            sync_directory(path.parent)

    def next_time(self) -> float:
        """The time for the next record; it never runs backwards inside a journal, whatever the node's clock does."""
        return max(self._wall(), self.records[-1].at) if self.records else self._wall()

    def append(self, event: Event, at: float | None = None) -> Record:
        """Write the event down and return its record once it is durable, all before it included. `at` is a value of
        `next_time`.

        Raises JournalFull when the disk is full: the file is then as it was before; JournalTaken when another pilot
        goes on with it, since this one was believed dead.
        """
        if os.pread(self._fd, 1, self._size) not in (b"", b"\0"):
            raise JournalTaken(errno.EBUSY, "another pilot goes on with this job", str(self.path))
        at = self.next_time() if at is None else at
        record = record_of(event, seq=len(self.records) + 1, at=at, by=self._by)
        line = to_line(record)
        try:
            write_all(self._fd, line)
            if not isinstance(event, NOT_AWAITED):
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

    def move_into(self, reserve: Path) -> None:
        """Go on in the blocks of the file `reserve`, which becomes the journal: for a disk that is full.

        What is left of them stays behind the last record as zero bytes, out of reach of a payload that takes every
        byte that becomes free. Raises JournalFull when they are too few for what is there, OSError; then nothing
        has changed.
        """
        data = b"".join(to_line(record) for record in self.records)
        fd = open_regular(reserve, os.O_RDWR)
        try:
            if os.fstat(fd).st_size <= len(data):
                raise JournalFull(str(self.path))
            write_all(fd, data)
            os.fdatasync(fd)
            reserve.replace(self.path)
        except (OSError, JournalFull):
            os.close(fd)
            raise
        os.close(self._fd)
        self._fd, self._size = fd, len(data)
        sync_directory(self.path.parent)

    def give_back(self) -> None:
        """Give the blocks behind the last record back to the disk, but for the few more that a job's end takes."""
        if os.fstat(self._fd).st_size > self._size + END_BYTES:
            os.ftruncate(self._fd, self._size + END_BYTES)

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read(path: Path) -> list[Record]:
    """All whole records of a journal, in order; a torn last line is what a crash leaves and is passed over, and so is
    a torn end of records that were not awaited.

    Raises JournalDamaged for any other bad line, and for a gap in the sequence; OSError when it cannot be read.
    """
    return _scan(path)[0]


def read_copy(path: Path) -> list[Record]:
    """The records of a journal in a log archive, where secrets were replaced, up to the first line that is none.

    Raises OSError.
    """
    records: list[Record] = []
    for line in read_regular(path).split(b"\n"):
        try:
            records.append(from_copy(line))
        except DamagedRecord:
            break
    return records


def _not_awaited(lines: Sequence[bytes]) -> bool:
    """Whether none of these lines shows that what stands before it was on the disk once."""
    for line in lines:
        try:
            if not isinstance(from_line(line).event, NOT_AWAITED):
                return False
        except UnknownRecord:
            return False
        except DamagedRecord:
            continue
    return True


def _scan(path: Path) -> tuple[list[Record], int, bool]:
    """The whole records, how many bytes of the file they take, and whether a torn one follows.

    Zero bytes behind the last record are room that was set aside.
    """
    lines = read_regular(path).split(b"\n")
    rest = lines[-1].strip(b"\0")
    records: list[Record] = []
    size = 0
    is_torn = rest != b""
    for number, line in enumerate(lines, start=1):
        if number == len(lines):
            break  # what follows the last newline is nothing, or torn
        try:
            record = from_line(line)
        except DamagedRecord as error:
            if number == len(lines) - 1 and not is_torn and not isinstance(error, UnknownRecord):
                is_torn = True  # the last line has its newline but not all of its bytes
                break
            may_be_cut = bool(records) and isinstance(records[-1].event, BEFORE_NOT_AWAITED)
            if may_be_cut and not isinstance(error, UnknownRecord) and _not_awaited(lines[number:]):
                is_torn = True  # a power cut: of what was not yet on the disk any part may be missing
                break
            raise JournalDamaged(path, number, str(error)) from error
        if record.seq != len(records) + 1:
            raise JournalDamaged(path, number, f"record {record.seq} where {len(records) + 1} was expected")
        records.append(record)
        size += len(line) + 1
    return records, size, is_torn
