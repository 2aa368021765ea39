"""A regular file that a mover reads, on the node or on a mounted storage; nothing that only looks like one.

Writing is `part_file`; what its bytes should be is `measure`.
"""

import os
import stat
from pathlib import Path

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import FailureClass, Side, TransferError, TransferFailure
from picard_pilot.movers.base import Progress
from picard_pilot.movers.measure import measure
from picard_pilot.movers.troubles import Blaming

BLOCK_BYTES = 256 * 1024
"""Fits the processor's cache; larger and smaller blocks were measured to be slower or equal."""


class OpenFile:
    """A regular file open for reading, as a context; a FIFO or a device is refused without waiting for it."""

    def __init__(self, path: Path, lfn: str, surl: str, side: Side) -> None:
        self._path = path
        self._lfn = lfn
        self._surl = surl
        self._side = side
        self.fd = -1
        self.size_bytes = 0
        self.passed_bytes = 0
        """How many bytes were read since the last start from the beginning."""

    def __enter__(self) -> "OpenFile":
        # On the node nothing may lead elsewhere at the last moment; a storage may well be built of links.
        follow = os.O_NOFOLLOW if self._side is Side.NODE else 0
        with self.blaming("opening"):
            self.fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | follow)
        self._began = os.fstat(self.fd)
        self.size_bytes = self._began.st_size
        if not stat.S_ISREG(self._began.st_mode):
            os.close(self.fd)
            raise TransferError(
                TransferFailure(
                    kind=FailureClass.SPECIFICATION,
                    says=f"{self._lfn} is not a regular file on the {self._side}",
                    side=self._side,
                    surl=self._surl,
                )
            )
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def blaming(self, verb: str) -> Blaming:
        """A context that classifies an OSError as this file's."""
        return Blaming(f"{verb} {self._lfn} on the {self._side}", self._surl, self._side)

    def read_into(self, block: memoryview) -> int:
        """Fill `block` with the next bytes; 0 at the end."""
        with self.blaming("reading"):
            count = os.readv(self.fd, [block])
        self.passed_bytes += count
        return count

    def read_through(self, kind: ChecksumKind, progress: Progress) -> Checksum:
        """The checksum of the whole file, from its beginning."""
        os.lseek(self.fd, 0, os.SEEK_SET)
        self.passed_bytes = 0
        running = measure(kind)
        block = memoryview(bytearray(BLOCK_BYTES))
        while count := self.read_into(block):
            self.must_not_outgrow()
            running.update(block[:count])
            progress(count)
        return running.result()

    def must_not_outgrow(self) -> None:
        """Refuse to follow for ever a file of the node to which somebody writes as fast as it is read."""
        if self._side is Side.NODE and self.passed_bytes > self.size_bytes:
            self.must_be_unchanged()

    def must_be_unchanged(self) -> None:
        """Refuse a file that somebody wrote to while it was read: its checksum would mean nothing."""
        now = os.fstat(self.fd)
        if (now.st_size, now.st_mtime_ns) != (self._began.st_size, self._began.st_mtime_ns):
            raise TransferError(
                TransferFailure(
                    kind=FailureClass.TRANSFER,
                    says=f"{self._lfn} was changed on the {self._side} while it was copied",
                    side=self._side,
                    surl=self._surl,
                    retry_after_s=0.0,
                )
            )
