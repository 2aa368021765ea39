"""Writing files so that they survive a crash, and opening those that a payload may have replaced.

Checksums are computed by the movers while bytes pass; the journal, which appends, writes its own way.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from picard_pilot.system.disk import is_full_error


class DiskFull(OSError):
    """A write failed for lack of room or quota; `filename` is what could not be written."""


@contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Turn an OSError that means a full disk or quota into DiskFull with the path; others pass unchanged."""
    try:
        yield
    except OSError as error:
        if is_full_error(error) and not isinstance(error, DiskFull):
            raise DiskFull(error.errno, os.strerror(error.errno or 0), str(path)) from error
        raise


def write_durably(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace the file at `path` by `data`, as a whole or not at all, and on the disk when this returns.

    A reader, and the node after a power cut, sees the old content or the new one. May be called again after any
    failure; a full disk leaves the old file and nothing else. Raises DiskFull, OSError.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    with full_disk_named(path):
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        try:
            try:
                write_all(fd, data)
                os.fsync(fd)
            finally:
                os.close(fd)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def write_all(fd: int, data: bytes) -> None:
    """Write all bytes, however many calls that takes. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def open_regular(path: Path | str, flags: int, mode: int = 0o600) -> int:
    """Open a regular file, never through a symbolic link and never waiting for the other end of a pipe.

    For names in a directory where a payload can put what it likes. Raises OSError.
    """
    fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, mode)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return fd


def read_regular(path: Path) -> bytes:
    """The content of a regular file, opened as `open_regular` does. Raises OSError."""
    with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
        return file.read()


def is_file(path: Path) -> bool:
    """Whether there is a file, as far as this user can see; never raises.

    `Path.is_file` raises for a place that is not ours to see, such as a home or a runtime directory that another
    user's environment names, and for a name that is too long.
    """
    try:
        return path.is_file()
    except OSError:
        return False


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
