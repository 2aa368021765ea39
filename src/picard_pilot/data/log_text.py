"""A log file as it goes into the archive: bounded, with the middle cut where it is too long, without secrets.

Which files go there is `data.logs`; what a secret looks like is `system.redact`.
"""

import io
import os
import stat
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from picard_pilot.system.redact import Redactor

if TYPE_CHECKING:
    import tarfile

HEAD_BYTES = 16 << 20
TAIL_BYTES = 48 << 20
"""What is kept of a file: its beginning shows the set-up, its end the failure."""

SMALL_HEAD_BYTES = 16 << 10
SMALL_TAIL_BYTES = 48 << 10
"""The same where the disk is full: what was set aside for that is half a megabyte, and text shrinks to a fifth."""

WHOLE_BYTES = 1 << 20
"""A file up to this size is looked at as a whole first: line by line takes ten times longer, and few need it."""

BLOCK_BYTES = 1 << 20
"""So much of a longer one is looked at at once."""

LINE_LIMIT_BYTES = 64 << 10
"""Longer lines are looked through in pieces: memory stays bounded."""


class Excerpt:
    """The redacted text of one file as it was when this was made; what is appended later does not count.

    A large file is read twice: an archive needs the size before the content, and there may be no room for a copy.
    Raises OSError. `read` serves `tarfile`.
    """

    def __init__(
        self, path: Path, redactor: Redactor, tick: Callable[[], None], *, small: bool = False
    ) -> None:
        self._head_bytes = SMALL_HEAD_BYTES if small else HEAD_BYTES
        self._tail_bytes = SMALL_TAIL_BYTES if small else TAIL_BYTES
        self._path = path
        self._redactor = redactor
        self._tick = tick
        self._is_json = path.suffix in (".json", ".jsonl")
        self._length, self.mtime = self._look()
        self.cut_bytes = max(0, self._length - self._head_bytes - self._tail_bytes)
        whole = None if self.cut_bytes or self._length > WHOLE_BYTES else self._harmless()
        self.size_bytes = sum(len(piece) for piece in self._clean()) if whole is None else len(whole)
        self._pieces = None if whole is not None else self._clean()
        self._rest = memoryview(whole or b"")

    def read(self, count: int) -> bytes:
        """The next bytes; if the file has shrunk meanwhile, blanks, since the size is promised."""
        parts, missing = [], count
        while missing > 0:
            if not self._rest:
                piece = next(self._pieces or iter(()), None)
                if piece is None:
                    break
                self._rest = memoryview(piece)
            parts.append(self._rest[:missing])
            self._rest = self._rest[missing:]
            missing -= len(parts[-1])
        return b"".join(parts).ljust(count, b" ")

    def close(self) -> None:
        """Let go of the file: whoever reads stops at its promised size. On NFS a directory stays in which a file was
        removed while it was open."""
        if self._pieces is not None:
            self._pieces.close()

    def _look(self) -> tuple[int, float]:
        fd = self._open()
        try:
            found = os.fstat(fd)
        finally:
            os.close(fd)
        return found.st_size, found.st_mtime

    def _open(self) -> int:
        fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise IsADirectoryError(None, "it is no regular file")
        return fd

    def _harmless(self) -> bytes | None:
        """The content of a small file in which one look finds nothing that could be a secret, else None."""
        with os.fdopen(self._open(), "rb") as file:
            content = file.read(self._length)
        return content if self._redactor.is_clean(content.decode("utf-8", "surrogateescape")) else None

    def _clean(self) -> Generator[bytes, None, None]:
        inside_key = False
        for block in self._blocks():
            self._tick()
            # One look at a block takes a tenth of the time that its lines take, and nearly all hold no secret.
            if not inside_key and self._redactor.is_clean(block.decode("utf-8", "surrogateescape")):
                yield block
                continue
            for line in _lines_of(block):
                read = line.decode("utf-8", "surrogateescape")
                text = self._redactor.document(read) if self._is_json and read[0] == "{" else None
                if text is None:
                    text, inside_key = self._redactor.line(read, inside_key)
                yield text.encode("utf-8", "surrogateescape")

    def _blocks(self) -> Iterator[bytes]:
        with os.fdopen(self._open(), "rb") as file:
            if not self.cut_bytes:
                yield from _some_blocks(file, self._length)
                return
            yield from _some_blocks(file, self._head_bytes)
            yield b"\n... %d bytes are left out here; the job's directory had them all ...\n" % self.cut_bytes
            file.seek(self._length - self._tail_bytes)
            yield from _some_blocks(file, self._tail_bytes)


def add_text(
    archive: "tarfile.TarFile", name: str, size_bytes: int, mtime: float, content: "Excerpt | io.BytesIO"
) -> None:
    """Add one text to an archive, readable for all. Raises OSError."""
    import tarfile  # with the first archive: a pilot's start needs none

    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size_bytes, int(mtime), 0o644
    archive.addfile(info, cast(IO[bytes], content))  # which only reads


def _some_blocks(file: BinaryIO, count: int) -> Iterator[bytes]:
    """The next `count` bytes in blocks of whole lines; of a line that is longer than a block, pieces."""
    while count > 0 and (block := file.read(min(count, BLOCK_BYTES))):
        if not block.endswith(b"\n"):
            block += file.readline(min(count - len(block), LINE_LIMIT_BYTES))
        count -= len(block)
        yield block


def _lines_of(block: bytes) -> Iterator[bytes]:
    """Its lines with their ends, long ones in pieces."""
    stream = io.BytesIO(block)
    while line := stream.readline(LINE_LIMIT_BYTES):
        yield line
