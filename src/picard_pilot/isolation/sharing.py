"""Sharing a job's directory, and nothing else, with the user that its payload runs as: by access lists.

Without them (and without being root) the only other way is to open the directory to everybody on the node.
"""

import fcntl
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from picard_pilot.model.isolation import CannotConfine

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
VERSION = 2
OWNER, USER, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
UNNAMED = 0xFFFFFFFF
READ_WRITE_SEARCH, READ_WRITE, READ_SEARCH, SEARCH, NOTHING = 7, 6, 5, 1, 0


def share(directory: str, uid: int, hidden: Iterable[str]) -> None:
    """Let the user `uid` work in `directory`, and both users use what the other makes there.

    Folders above are opened for passing through only, and what is `hidden` is closed to all but the pilot, as is all
    that lies beside the job in a hidden folder above it. May be called again. Raises CannotConfine where the file
    system knows no access lists, or where something is another user's to open or close.
    """
    job = Path(directory).resolve()
    closed = {Path(each).resolve() for each in hidden}
    for above in reversed(job.parents):
        _let_pass(above, uid)
    for each in closed:
        _close(each, job, uid)
    both = {os.geteuid(): READ_WRITE_SEARCH, uid: READ_WRITE_SEARCH}
    _set(job, ACCESS, both)
    _set(job, DEFAULT, both)
    _open_entries(job, uid, closed)


def open_trees(readable: Iterable[str], writable: Iterable[str], uid: int) -> None:
    """Let the user reach what must be visible outside of the job's directory, as far as it is the pilot's.

    What is another user's is as open as that user made it.
    """
    for paths, right in ((readable, READ_SEARCH), (writable, READ_WRITE_SEARCH)):
        for each in paths:
            path = Path(each).resolve()
            if path.stat().st_uid == os.geteuid():
                for above in reversed(path.parents):
                    _let_pass(above, uid)
                _open_tree(path, uid, right)


def _open_tree(path: Path, uid: int, right: int) -> None:
    if path.is_symlink() or path.stat().st_uid != os.geteuid():
        return
    _set(path, ACCESS, {uid: right if path.is_dir() else right & READ_WRITE})
    for entry in path.iterdir() if path.is_dir() else ():
        _open_tree(entry, uid, right)


def _open_entries(folder: Path, uid: int, closed: set[Path]) -> None:
    """What the pilot put there before: inputs and their lists."""
    for entry in folder.iterdir():
        if entry in closed or entry.is_symlink():
            continue
        _set(entry, ACCESS, {uid: READ_WRITE_SEARCH if entry.is_dir() else READ_WRITE})
        if entry.is_dir():
            _open_entries(entry, uid, closed)


def _let_pass(folder: Path, uid: int) -> None:
    status = folder.stat()
    if status.st_mode & stat.S_IXOTH:
        return
    if status.st_uid != os.geteuid():
        raise CannotConfine(f"{folder} is closed to the payload's user, and is not the pilot's to open")
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Another pilot may be adding another user to the same folder, which is above its job too.
        fcntl.flock(fd, fcntl.LOCK_EX)
        _set(folder, ACCESS, {uid: SEARCH}, other=status.st_mode & 7)
    finally:
        os.close(fd)


def _close(path: Path, job: Path, uid: int) -> None:
    """Take everybody else's rights off a hidden path; of a folder above the job's, off what lies beside the job."""
    try:
        if job.is_relative_to(path):
            _refuse_a_common_folder(path)
            for each in path.iterdir():
                if not job.is_relative_to(each):
                    _take(each)
            # Its names are not to be read; and what the pilot will make there later is closed as well.
            _set(path, ACCESS, {uid: SEARCH}, of_group=NOTHING)
            _set(path, DEFAULT, {}, of_group=NOTHING)
        else:
            _take(path)
    except FileNotFoundError:
        return


def _refuse_a_common_folder(path: Path) -> None:
    """What others have in a folder that is theirs too, such as /tmp, is not to be closed."""
    if path.stat().st_mode & stat.S_IWOTH:
        raise CannotConfine(
            f"{path} must be hidden, and is open to all: give the pilot a work directory of its own"
        )


def _take(path: Path) -> None:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode) or not status.st_mode & 0o077:
        return
    try:
        path.chmod(stat.S_IMODE(status.st_mode) & ~0o077)
    except PermissionError:
        raise CannotConfine(f"{path} must be hidden, and is not the pilot's to close") from None


def _set(
    path: Path, kind: str, users: dict[int, int], *, of_group: int | None = None, other: int = NOTHING
) -> None:
    """Add users to an access list; whom it names already stays, all others have `other`. Raises CannotConfine."""
    mode = path.stat().st_mode
    entries = {(OWNER, UNNAMED): mode >> 6 & 7, (GROUP, UNNAMED): mode >> 3 & 7}
    try:
        entries.update(_read(os.getxattr(path, kind)))
    except OSError:
        pass  # it has none yet
    entries.update({(USER, uid): allowed for uid, allowed in users.items()})
    if of_group is not None:
        entries[GROUP, UNNAMED] = of_group
    entries[OTHER, UNNAMED] = other
    entries.pop((MASK, UNNAMED), None)
    if any(tag == USER for tag, _ in entries):
        entries[MASK, UNNAMED] = _union(right for (tag, _), right in entries.items() if tag in (USER, GROUP))
    packed = struct.pack("<I", VERSION)
    for (tag, uid), right in sorted(entries.items()):
        packed += struct.pack("<HHI", tag, right, uid)
    try:
        os.setxattr(path, kind, packed)
    except OSError as error:
        raise CannotConfine(
            f"{path} cannot be shared with the payload's user by an access list: {error.strerror}"
        ) from None


def _read(packed: bytes) -> dict[tuple[int, int], int]:
    """The entries of an access list: who, and what is allowed."""
    body = packed[struct.calcsize("<I") :]
    return {(tag, uid): right for tag, right, uid in struct.iter_unpack("<HHI", body)}


def _union(rights: Iterable[int]) -> int:
    found = NOTHING
    for right in rights:
        found |= right
    return found
