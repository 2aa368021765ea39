"""A pilot that sees its work directory as a client of NFS does. It is a stand-in: no real NFS is mounted.

A file that is removed while some process of the node has it open gets another name instead (`.nfs...`), which goes when
the file is closed; until then the directory that it is in cannot be removed.
"""

import os
import stat
import sys
from pathlib import Path

from picard_pilot.cli.main import main

really_unlink, really_rmdir = Path.unlink, Path.rmdir


def unlink(path: Path, missing_ok: bool = False) -> None:
    """Remove it, or rename it where somebody has it open."""
    try:
        status = path.lstat()
    except OSError:
        return really_unlink(path, missing_ok)
    if stat.S_ISREG(status.st_mode) and is_open(status):
        path.rename(path.with_name(f".nfs{os.urandom(8).hex()}"))
        return None
    return really_unlink(path, missing_ok)


def rmdir(path: Path) -> None:
    """Remove it, once the files that were closed meanwhile are gone."""
    for each in path.glob(".nfs*"):
        if not is_open(each.lstat()):
            really_unlink(each)
    really_rmdir(path)


def is_open(status: os.stat_result) -> bool:
    """Whether a process of this node has the file open."""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            held = [os.stat(entry.path) for entry in os.scandir(process / "fd")]  # noqa: PTH116 - what it leads to
        except OSError:
            continue  # gone, or another user's
        if any(os.path.samestat(status, each) for each in held):
            return True
    return False


if __name__ == "__main__":
    Path.unlink, Path.rmdir = unlink, rmdir  # type: ignore[method-assign]
    sys.exit(main(sys.argv[1:]))
