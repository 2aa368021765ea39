"""The directory of one job: making it, finding those that earlier pilots left, removing it.

Everything that is needed to go on with a job is inside; what the journal in it says is `journal`.
"""

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

from picard_pilot.model.bundle import Bundle

log = logging.getLogger("picard.jobdir")

PREFIX = "PanDA_Pilot-"
"""The ecosystem's name for a job's directory, followed by the job's number."""

PRIVATE = "picard"
"""The pilot's own records inside the job's directory."""

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


def reopen(bundle: Bundle) -> None:
    """Make sure that the job's directory and all that is in the private one can be used, whatever the payload did.

    The payload runs as the same user and can change any mode. What cannot be mended shows where it is needed.
    """
    try:
        for directory in (Path(bundle.directory), Path(bundle.private)):
            directory.mkdir(mode=0o700, exist_ok=True)
            directory.chmod(0o700)
        for root, directories, files in os.walk(bundle.private):
            for names, mode in ((directories, 0o700), (files, 0o600)):
                for path in (Path(root, name) for name in names):
                    if not path.is_symlink():
                        path.chmod(mode)
    except OSError as error:
        log.warning("%s cannot be used as it should: %s", bundle.private, error)


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


def remove(bundle: Bundle) -> list[str]:
    """Remove the job's directory with all in it, also directories that the payload made unreadable.

    The journal goes last, so that an interrupted removal is taken up again. What could not be removed is
    returned as sentences.
    """
    problems: list[str] = []
    directory = Path(bundle.directory)
    journal_dir = directory / PRIVATE
    for entry in _entries(directory, problems):
        if Path(entry) != journal_dir:
            _remove_tree(Path(entry), problems)
    if not problems:
        _remove_tree(journal_dir, problems)
        _try(directory.rmdir, directory, problems)
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


def _remove_tree(path: Path, problems: list[str]) -> None:
    if path.is_symlink() or not path.is_dir():
        _try(path.unlink, path, problems)
        return
    for entry in _entries(path, problems):
        _remove_tree(Path(entry), problems)
    _try(path.rmdir, path, problems)


def _entries(directory: Path, problems: list[str]) -> list[str]:
    for attempt in (1, 2):
        try:
            with os.scandir(directory) as entries:
                return [entry.path for entry in entries]
        except PermissionError as error:
            if attempt == 2:
                problems.append(f"{directory}: {error.strerror}")
                break
            _try(lambda: directory.chmod(0o700), directory, problems)
        except FileNotFoundError:
            break
    return []


def _try(act: Callable[[], object], path: Path, problems: list[str]) -> None:
    try:
        act()
    except FileNotFoundError:
        pass
    except PermissionError as error:
        # The parent may be one that the payload made read-only.
        try:
            path.parent.chmod(0o700)
            act()
        except OSError:
            problems.append(f"{path}: {error.strerror}")
    except OSError as error:
        problems.append(f"{path}: {error.strerror}")
