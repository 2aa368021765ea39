"""Room on the file systems under the pilot's directories. Limits on it are for those who set them."""

import errno
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
