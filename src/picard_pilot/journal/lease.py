"""The lease on a job's directory: which pilot may write its journal.

Minimal and for one host: pid with start time and boot id decide there, the expiry decides for another host.
"""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from picard_pilot.system.files import open_regular, read_regular

NAME = "lease.json"
NOBODY = b"null"
"""What a lease that was given up leaves: the file stays, for a later pilot on a full disk."""
LEASE_S = 7200.0
"""A lease of another host is honoured this long after its last renewal: the server's own limit for a lost
heartbeat, 2 h, after which the job is not that pilot's any more."""


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """A pilot process, named so that neither a reused pid nor a reboot can be mistaken for it."""

    pilot: str
    host: str
    boot_id: str
    pid: int
    start_ticks: int


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a job's directory, until when (seconds since 1970, UTC)."""

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


def take(directory: Path, owner: Owner, now: float, is_alive: IsAlive) -> Lease:
    """Take or renew the lease on a job's private directory for `owner`.

    Exactly one of several pilots that try at once gets it. Raises LeaseHeld when another living pilot has it,
    OSError when the directory cannot be written.
    """
    with _Guard(directory):
        standing = read(directory)
        if standing is not None and standing.owner != owner and _holds(standing, owner, now, is_alive):
            raise LeaseHeld(standing)
        lease = Lease(owner=owner, expires_at=now + LEASE_S)
        _write(directory, msgspec.json.encode(lease))
        return lease


def release(directory: Path, owner: Owner) -> None:
    """Give the lease up if `owner` has it. May be called twice, also when the directory is gone. Raises OSError."""
    if not directory.is_dir():
        return
    with _Guard(directory):
        standing = read(directory)
        if standing is not None and standing.owner == owner:
            _write(directory, NOBODY)


def read(directory: Path) -> Lease | None:
    """The lease that stands, or None; one that cannot be understood counts as none. Raises OSError."""
    try:
        return msgspec.json.decode(read_regular(directory / NAME), type=Lease | None)
    except (FileNotFoundError, ValueError, RecursionError):  # no JSON, not even text, or of another form
        return None


def _write(directory: Path, content: bytes) -> None:
    """In place, under the guard: a full disk has no room for a second file. Raises OSError."""
    fd = open_regular(directory / NAME, os.O_WRONLY | os.O_CREAT)
    try:
        os.pwrite(fd, content, 0)
        os.ftruncate(fd, len(content))
    finally:
        os.close(fd)


def _holds(lease: Lease, asker: Owner, now: float, is_alive: IsAlive) -> bool:
    if lease.owner.host == asker.host:
        return lease.owner.boot_id == asker.boot_id and is_alive(lease.owner.pid, lease.owner.start_ticks)
    return now < lease.expires_at


class _Guard:
    """Keeps the pilots of this host from judging and writing a lease at the same moment."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / f".{NAME}.lock"
        self._fd = -1

    def __enter__(self) -> None:
        self._fd = open_regular(self._path, os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
