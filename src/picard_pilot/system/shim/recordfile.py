"""Files of one block that are written in place, so that a full disk cannot lose what goes into them later.

What is written is `protocol.encode_record`'s. On a file system that never overwrites in place (btrfs, ZFS) the
promise is as good as that file system's reserve.
"""

import posix

from picard_pilot.system.shim.protocol import RECORD_BYTES


def create(path: str) -> int:
    """An open, empty file, not inherited by programs. Raises OSError."""
    return posix.open(path, posix.O_RDWR | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o644)


def overwrite(fd: int, data: bytes) -> None:
    """Fill the whole block with `data` and blanks, durably. Raises OSError."""
    data = data.ljust(RECORD_BYTES - 1) + b"\n"
    done = 0
    while done < len(data):
        done += posix.pwrite(fd, data[done:], done)
    posix.fsync(fd)


def sync_directory(path: str) -> None:
    """Make the names in a directory durable. Raises OSError."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        posix.fsync(fd)
    finally:
        posix.close(fd)


def remove(path: str) -> None:
    """Remove a file if it is there. Raises OSError."""
    try:
        posix.unlink(path)
    except FileNotFoundError:
        pass


def tell(path: str, data: bytes) -> bool:
    """Write to a file of the kernel's that may not be there or not be ours; whether it was taken."""
    try:
        fd = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    except OSError:
        return False
    try:
        return posix.write(fd, data) == len(data)
    except OSError:
        return False
    finally:
        posix.close(fd)
