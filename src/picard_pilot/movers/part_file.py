"""A file that is being written: it has a temporary name beside its target until it is complete and committed.

What is written into it, and whether it is right, is the mover's business.
"""

import itertools
import os
from pathlib import Path

SUFFIX = ".part"
RANDOM_BYTES = 6
NAME_LIMIT_BYTES = 255
"""Longest file name on Linux file systems."""

_MOST = 1 << 8 * RANDOM_BYTES
_numbers = itertools.count(int.from_bytes(os.urandom(RANDOM_BYTES)))
"""Random once: asking the system for each file would let the other threads take the interpreter."""


def part_name(name: str) -> str:
    """A fresh temporary name beside `name`: `.<name>.<random>.part`, cut to what a file system takes."""
    tail = f".{next(_numbers) % _MOST:0{2 * RANDOM_BYTES}x}{SUFFIX}"
    kept = os.fsencode(name)[: NAME_LIMIT_BYTES - len(tail) - 1]
    return f".{kept.decode('utf-8', 'replace').replace(chr(0xFFFD), '_')}{tail}"


class PartFile:
    """Open for writing as a context; without a commit it is removed at the end.

    All methods raise OSError as the system gives it. Paths are plain text in here: a `Path` takes as long as the
    creation of a small file.
    """

    def __init__(self, target: Path | str) -> None:
        self._target = os.fspath(target)
        folder, name = os.path.split(self._target)
        self.path = os.path.join(folder, part_name(name))  # noqa: PTH118
        self.fd = -1
        self.written_bytes = 0
        """By `write`, and by the system's word."""
        self._stands = False

    def __enter__(self) -> "PartFile":
        self.fd = os.open(
            self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666
        )
        self._stands = True
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        if self._stands:
            Path(self.path).unlink(missing_ok=True)

    def _close(self) -> None:
        """Network file systems report the failure of an earlier write only here: so before any commit."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)

    def write(self, data: memoryview) -> None:
        """Write all of `data`."""
        while data:
            count = os.write(self.fd, data)
            self.written_bytes += count
            data = data[count:]

    def size_bytes(self) -> int:
        """The size as the file system sees it."""
        return os.fstat(self.fd).st_size

    def sync(self) -> None:
        """Make the content durable."""
        os.fsync(self.fd)

    def replace_target(self) -> None:
        """Commit: the target is this file from now on, whatever stood there before."""
        self._close()
        os.replace(self.path, self._target)  # noqa: PTH105
        self._stands = False

    def become_target(self) -> None:
        """Commit without ever replacing: FileExistsError where something stands at the target.

        A link of the temporary name is the one commit that is atomic and refuses an existing target on every
        POSIX file system; where links are unknown, looking first is the best there is.
        """
        self._close()
        try:
            os.link(self.path, self._target)
        except FileExistsError:
            raise
        except OSError:
            if os.path.lexists(self._target):
                raise FileExistsError(f"{self._target} exists") from None
            os.rename(self.path, self._target)  # noqa: PTH104
