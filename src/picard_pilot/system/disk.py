"""Room on the file systems under the pilot's directories. Limits on it are for those who set them."""

import errno
import fcntl
import os
from pathlib import Path

FULL_BELOW_BYTES = 1 << 20
"""With less than this the next journal, report or log line may fail, whatever the last one did."""


def free_bytes(path: Path) -> int:
    """What an ordinary user may still write on the file system of `path`. Raises OSError."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def is_full(path: Path) -> bool:
    """Whether the file system has no room or no inodes left. Raises OSError.

    Quotas are not seen by this: they show when a write fails, see `is_full_error`.
    """
    status = os.statvfs(path)
    # Some file systems (btrfs among them) count no inodes: total 0 is not "none left".
    return status.f_bavail * status.f_frsize < FULL_BELOW_BYTES or (
        status.f_files > 0 and status.f_favail == 0
    )


def is_full_error(error: OSError) -> bool:
    """Whether a write failed since the disk is full, or the user's quota of it."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


NO_LOCKS = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK})
"""What file systems without locks answer: Lustre that is mounted without `flock`, NFS whose lock service is away."""


def why_no_locks(directory: Path) -> str | None:
    """What the file system of `directory` answers to a lock, if it has none; None if it has, or if that cannot be tried
    (a full disk has no room for the file)."""
    path = directory / f".picard-lock.{os.urandom(8).hex()}"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.strerror if error.errno in NO_LOCKS else None
    finally:
        os.close(fd)
        path.unlink(missing_ok=True)
    return None
