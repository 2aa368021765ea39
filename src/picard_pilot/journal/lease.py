"""The lease on a job's directory: which pilot may write its journal. On a local disk and on a network file system.

Every lease is a file of its own, `lease.json`, then `lease.1.json` and so on; the highest number counts. A new one is
written under another name and then linked to its own, which exactly one of several pilots achieves, on NFS too, and it
is complete from the moment it appears: no lock that a dead host could keep. Whether its owner is gone is asked of the
processes on the same host, and elsewhere of the file's age by the file server's own clock, so that it does not matter
how wrong the clocks of the nodes are.
"""

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from picard_pilot.system.disk import is_full_error
from picard_pilot.system.files import open_regular, read_regular, write_all

NAME = "lease.json"
"""The first lease of a directory; a later one has its number before the suffix."""

NOBODY = b"null"
"""What a lease that was given up holds."""

LEASE_S = 1800.0
"""A lease of another host counts so long after its last renewal: thirty renewals missed. The server gives up a silent
job after 2 h, so that a later pilot has time left to bring its outputs home."""

SPARE = ".lease.spare"
"""A file whose block is there already: on a full disk a later pilot writes its lease into it."""

SIZE_BYTES = 512
"""All leases are filled up with blanks to this size: writing one into the spare, or again, needs no room."""

NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
"""What file systems without hard links answer."""


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """A pilot process, named so that neither a reused pid nor a reboot can be mistaken for it."""

    pilot: str
    host: str
    boot_id: str
    pid: int
    start_ticks: int
    pid_namespace: int | None = None
    """The number of its process name space: pids of another one, such as a container's, mean nothing here."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a job's directory. `expires_at` (seconds since 1970, UTC, by the owner's clock) is for people."""

    owner: Owner
    expires_at: float


IsAlive = Callable[[int, int], bool]
"""Whether the process with this pid and start time lives."""


class LeaseHeld(Exception):
    """Another pilot holds the job."""

    def __init__(self, lease: Lease) -> None:
        """`lease` is the one that stands."""
        owner = lease.owner
        super().__init__(f"pilot {owner.pilot} (pid {owner.pid} on {owner.host}) holds this job")
        self.lease = lease


class _Standing(NamedTuple):
    """The lease file that counts: its number, what it says (None: given up, or not to be understood), its last change
    by the file server's clock."""

    number: int
    lease: Lease | None
    changed_at: float


def take(directory: Path, owner: Owner, now: float, is_alive: IsAlive) -> Lease:
    """Take or renew the lease on a job's private directory for `owner`; `now` is UTC by the pilot's clock.

    Exactly one of several pilots that try at once gets it. Raises LeaseHeld when another living pilot has it,
    OSError when the directory cannot be written.
    """
    lease = Lease(owner=owner, expires_at=now + LEASE_S)
    while True:
        standing = _standing(directory)
        if standing is not None and standing.lease is not None and standing.lease.owner == owner:
            _write_again(directory / name(standing.number), _filled(lease))
            return lease
        with _draft(directory, lease, sync=standing is not None) as (draft, server_now):
            if standing is not None and standing.lease is not None:
                age_s = server_now - standing.changed_at
                if _holds(standing.lease, owner, age_s, is_alive):
                    raise LeaseHeld(standing.lease)
            number = 0 if standing is None else standing.number + 1
            # A number below another one was tidied away while we judged what stood there.
            # None at all: the one who had it is done with the job, and removes the directory.
            if _publish(draft, directory / name(number)) and max(_numbers(directory), default=-1) == number:
                _tidy(directory, number)
                return lease


def release(directory: Path, owner: Owner) -> None:
    """Give the lease up if `owner` has it. May be called twice, also when the directory is gone. Raises OSError."""
    if not directory.is_dir():
        return
    standing = _standing(directory)
    if standing is not None and standing.lease is not None and standing.lease.owner == owner:
        _write_again(directory / name(standing.number), NOBODY.ljust(SIZE_BYTES))


def read(directory: Path) -> Lease | None:
    """The lease that stands, or None; one that cannot be understood counts as none. Raises OSError."""
    standing = _standing(directory)
    return None if standing is None else standing.lease


def holder(directory: Path, asker: Owner, now: float, is_alive: IsAlive) -> Lease | None:
    """The lease of somebody else that counts now; None where `asker` could take the directory. Nothing is written.

    For looking: a lease of another host is judged by `now`, and by `take` with the file server's clock. Raises OSError.
    """
    standing = _standing(directory)
    if standing is None or standing.lease is None or standing.lease.owner == asker:
        return None
    return standing.lease if _holds(standing.lease, asker, now - standing.changed_at, is_alive) else None


def name(number: int) -> str:
    """The file name of the lease with this number."""
    return NAME if number == 0 else f"lease.{number}.json"


_NAMES = re.compile(r"lease(?:\.([1-9][0-9]*))?\.json")


def _numbers(directory: Path) -> list[int]:
    """The numbers of the leases that are there. Raises OSError."""
    return [int(found[1] or 0) for entry in directory.iterdir() if (found := _NAMES.fullmatch(entry.name))]


def _standing(directory: Path) -> _Standing | None:
    while True:
        numbers = _numbers(directory)
        if not numbers:
            return None
        path = directory / name(max(numbers))
        try:
            content, changed_at = read_regular(path), path.stat().st_mtime
        except FileNotFoundError:
            continue  # a higher one has come, and this one was tidied away
        try:
            return _Standing(max(numbers), msgspec.json.decode(content, type=Lease | None), changed_at)
        except (ValueError, RecursionError):  # no JSON, not even text, or of another form
            return _Standing(max(numbers), None, changed_at)


def _holds(lease: Lease, asker: Owner, age_s: float, is_alive: IsAlive) -> bool:
    owner = lease.owner
    if owner.host == asker.host and owner.boot_id != asker.boot_id:
        return False
    if owner.host == asker.host and owner.pid_namespace == asker.pid_namespace:
        return is_alive(owner.pid, owner.start_ticks)
    return age_s < LEASE_S


def _filled(lease: Lease) -> bytes:
    return msgspec.json.encode(lease).ljust(SIZE_BYTES)


@contextmanager
def _draft(directory: Path, lease: Lease, *, sync: bool) -> Iterator[tuple[Path, float]]:
    """The lease under a passing name, and its time: the file server's with `sync`. Raises OSError."""
    path = directory / f".lease.{os.urandom(8).hex()}.draft"
    try:
        try:
            fd = _new(path, _filled(lease), sync=sync)
        except OSError as error:
            if not is_full_error(error):
                raise
            path.unlink(missing_ok=True)
            try:
                (directory / SPARE).rename(path)
            except FileNotFoundError:
                raise error from None
            _write_again(path, _filled(lease))
            fd = open_regular(path, os.O_RDONLY)
        try:
            yield path, os.fstat(fd).st_mtime
        finally:
            os.close(fd)
    finally:
        path.unlink(missing_ok=True)


def _publish(draft: Path, target: Path) -> bool:
    """Give the draft its lasting name; False where another pilot's has it. Raises OSError."""
    try:
        os.link(draft, target)
    except FileNotFoundError:
        return False  # who got the lease before tidied our draft away
    except FileExistsError:
        # NFS repeats a request whose answer was lost, and then answers so: the count tells whose link it is.
        try:
            return draft.stat().st_nlink > 1
        except FileNotFoundError:
            return False  # as above; if the link was ours, the next look finds that
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        with suppress(FileExistsError):
            os.close(_new(target, draft.read_bytes()))
            return True
        return False
    return True


def _new(path: Path, content: bytes, *, sync: bool = False) -> int:
    """Make a file with this content, with `sync` on the disk when this returns; its descriptor. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, content)
        if sync:
            os.fsync(fd)
    except OSError:
        os.close(fd)
        raise
    return fd


def _write_again(path: Path, content: bytes) -> None:
    """In place: a full disk has no room for a second file. Raises OSError."""
    fd = open_regular(path, os.O_WRONLY)
    try:
        os.pwrite(fd, content, 0)
        os.ftruncate(fd, len(content))
        os.utime(fd)
    finally:
        os.close(fd)


def _tidy(directory: Path, number: int) -> None:
    """Remove what the new lease has made obsolete, and see that a spare is there; what does not work is left."""
    for entry in directory.iterdir():
        found = _NAMES.fullmatch(entry.name)
        older = found is not None and int(found[1] or 0) < number
        if older or (entry.name.startswith(".lease.") and entry.name.endswith(".draft")):
            with suppress(OSError):
                entry.unlink()
    with suppress(OSError):
        os.close(_new(directory / SPARE, b" " * SIZE_BYTES))
