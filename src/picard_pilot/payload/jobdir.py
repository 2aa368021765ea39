"""The directory of one job: making it, finding those that earlier pilots left, removing it.

Everything that is needed to go on with a job is inside; what the journal in it says is `journal`.
"""

import errno
import logging
import os
import stat
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from picard_pilot.model.bundle import Bundle

log = logging.getLogger("picard.jobdir")

PREFIX = "PanDA_Pilot-"
"""The ecosystem's name for a job's directory, followed by the job's number."""

PRIVATE = "picard"
"""The pilot's own records inside the job's directory."""

LAUNCH_DIRECTORY = "launch"
"""The launcher's records, in the private directory."""

TEMPORARY = ".tmp"
"""The payload's own directory for temporary files, so that they go with the job. Payloads make a `tmp` themselves."""
TEMPORARY_BYTES = 70
"""Of its path at most: the name of a socket has 107 bytes, and Python's multiprocessing puts 35 after TMPDIR."""

RESERVE = "reserve"
RESERVE_BYTES = 512 * 1024
"""Blocks set aside in the private directory, so that journal, report and log archive of a job can still be written
when the payload has filled the disk. A journal is about 20 kB, a report 5 kB, a log archive of a small job 50 kB."""


def bundle_of(directory: Path) -> Bundle:
    """The paths of the job that lives in `directory`."""
    return Bundle(
        directory=str(directory),
        private=str(directory / PRIVATE),
        stdout=str(directory / "payload.stdout"),
        stderr=str(directory / "payload.stderr"),
        job_report=str(directory / "jobReport.json"),
    )


def make(workdir: Path, job_id: int, attempt_nr: int) -> Bundle:
    """Make a job's directory with its private one and the reserve; only this user may enter.

    An attempt whose usual directory name is taken (the remains of another attempt) gets its number appended.
    Raises OSError, FileExistsError when even that is taken; nothing is left of a directory that cannot be made whole.
    """
    directory = workdir / f"{PREFIX}{job_id}"
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        directory = workdir / f"{PREFIX}{job_id}-{attempt_nr}"
        directory.mkdir(mode=0o700)
    bundle = bundle_of(directory)
    try:
        Path(bundle.private).mkdir(mode=0o700)
        _set_aside(reserve_of(bundle))
    except OSError:
        remove(bundle)
        raise
    return bundle


def reserve_of(bundle: Bundle) -> Path:
    """The file whose blocks are the job's reserve; it is gone once they were used."""
    return Path(bundle.private, RESERVE)


def temporary(bundle: Bundle) -> dict[str, str]:
    """The variables that lead a payload's temporary files into its job's directory, which is made.

    Nothing where the path is so long that no socket could be made in it: then the node's own are used. Raises OSError.
    """
    path = Path(bundle.directory, TEMPORARY)
    if len(os.fsencode(path)) > TEMPORARY_BYTES:
        return {}
    path.mkdir(mode=0o700, exist_ok=True)
    return {name: str(path) for name in ("TMPDIR", "TMP", "TEMP")}


def reopen(bundle: Bundle) -> None:
    """Make sure that the job's directory and all that is in the private one can be used, whatever the payload did.

    The payload runs as the same user and can change any mode, and put links, which lead elsewhere, in place of
    files and directories. What cannot be mended shows where it is needed.
    """
    try:
        for directory in (Path(bundle.directory), Path(bundle.private)):
            if os.path.lexists(directory) and (directory.is_symlink() or not directory.is_dir()):
                directory.unlink()
            directory.mkdir(mode=0o700, exist_ok=True)
            if directory == Path(bundle.directory) and _is_shared(directory):
                # The other user's rights are within the group's.
                directory.chmod(stat.S_IMODE(directory.stat().st_mode) | 0o700)
            else:
                directory.chmod(0o700)
        for root, directories, files in os.walk(bundle.private):
            for path in (Path(root, name) for name in (*directories, *files)):
                kind = stat.S_IFMT(path.lstat().st_mode)
                if kind == stat.S_IFDIR:
                    path.chmod(0o700)
                elif kind == stat.S_IFREG:
                    path.chmod(0o600)
                elif kind == stat.S_IFLNK or root == bundle.private:
                    path.unlink()  # the launcher's folder has a pipe of its own
    except OSError as error:
        log.warning("%s cannot be used as it should: %s", bundle.private, error)


def _is_shared(directory: Path) -> bool:
    """Whether an access list gives another user a right, as for a payload that runs as one."""
    try:
        return bool(os.getxattr(directory, "system.posix_acl_access"))
    except OSError:
        return False


def left_in(workdir: Path) -> list[Path]:
    """The job directories in `workdir`, oldest first; those that vanish meanwhile are passed over."""
    found = []
    with os.scandir(workdir) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False):
                try:
                    found.append((entry.stat(follow_symlinks=False).st_ctime, entry.path))
                except FileNotFoundError:
                    continue
    return [Path(path) for _, path in sorted(found)]


def remove(bundle: Bundle, last: str | None = None) -> list[str]:
    """Remove the job's directory with all in it, also what the payload locked or nested deeper than any path goes.

    The file `last` of the private directory (the journal) goes last, so that an interrupted removal is taken up
    again. What could not be removed is returned as sentences; then that file is still there.
    """
    problems: list[str] = []
    directory, private = Path(bundle.directory), Path(bundle.private)
    _empty(directory, directory, private, problems)
    journal = private / last if last else None
    if not problems:
        _empty(private, directory, journal, problems)
    if not problems:
        if journal is not None:
            _try(journal.unlink, journal, problems)
        for empty in (private, directory):
            _try(empty.rmdir, empty, problems)
    return problems


def _set_aside(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, RESERVE_BYTES)
    except OSError as error:
        # A file system without fallocate gets real bytes; a full one must say so.
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise
        os.pwrite(fd, b"\0" * RESERVE_BYTES, 0)
    finally:
        os.close(fd)


def _empty(directory: Path, attic: Path, spare: Path | None, problems: list[str]) -> None:
    """Remove all in `directory` but `spare`. A directory is moved up into `attic` before it is emptied: no path gets
    longer than it was at first, and no stack deeper."""
    name = f".removed-{os.urandom(8).hex()}"
    waiting, moved = [directory], 0
    while waiting:
        path = waiting.pop()
        for entry, is_directory in _entries(path, problems):
            if entry == spare and not entry.is_symlink():
                continue
            if not is_directory:
                _try(entry.unlink, entry, problems)
                continue
            moved += 1
            up = attic / f"{name}-{moved}"
            if _try(partial(_move, entry, up), entry, problems):
                waiting.append(up)
        if path != directory:
            _try(path.rmdir, path, problems)


def _move(directory: Path, to: Path) -> None:
    """Whoever moves a directory has to change its entry `..`, so it must be writable."""
    directory.chmod(0o700)
    directory.rename(to)


def _entries(directory: Path, problems: list[str]) -> list[tuple[Path, bool]]:
    """What is in a directory, and whether each is a directory itself."""
    try:
        directory.chmod(0o700)
        with os.scandir(directory) as entries:
            return [(Path(entry.path), entry.is_dir(follow_symlinks=False)) for entry in entries]
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(f"{directory}: {error.strerror}")
        return []


def _try(act: Callable[[], object], path: Path, problems: list[str]) -> bool:
    """Whether it was done; what has gone meanwhile needs no removing."""
    try:
        act()
    except FileNotFoundError:
        return False
    except OSError as error:
        problems.append(f"{path}: {error.strerror}")
        return False
    return True


def last_sign(private: Path, now: float) -> float | None:
    """When the pilot before was last at work on the job whose private directory this is, by the files that it keeps:
    the journal, the status, the lease that it renews each minute. Seconds since 1970, UTC, by the clock that says
    `now`: the files' ages count, whatever the time of day is here."""
    times = []
    try:
        with os.scandir(private) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    times.append(entry.stat(follow_symlinks=False).st_mtime)
    except OSError:
        return None
    return now - max(0.0, time.time() - max(times)) if times else None
