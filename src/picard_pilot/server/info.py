"""What a running server tells about itself in its data directory: `server.json`, and the lock that keeps it alone.

Starting and stopping is `control`'s.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from picard_pilot.model.command import ProcessId
from picard_pilot.system import proc
from picard_pilot.system.files import write_durably

FILE_NAME = "server.json"
LOCK_NAME = "server.lock"
LOG_NAME = "server.log"
DATABASE_NAME = "server.sqlite"


class ServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A running server: where it is and which process it is. Holds no secret."""

    url: str
    """What pilots are given, for instance `https://127.0.0.1:40123`."""
    host: str
    port: int
    process: ProcessId
    boot_id: str
    """Of the node, since pids and start times begin anew with each boot."""
    ca_file: str | None
    """The authority that signed the server's certificate; None with plain http."""
    data_dir: str
    started_at_s: float


class ServerRuns(RuntimeError):
    """Another server works in this data directory."""


@contextmanager
def alone(data_dir: Path) -> Iterator[None]:
    """Hold the data directory for this process; the kernel lets go of it with the process.

    Raises:
        ServerRuns: another process holds it.
    """
    descriptor = os.open(data_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServerRuns(
                f"a server runs in {data_dir} already\nits lock {LOCK_NAME} is held\n"
                "use it, stop it with `ppilot server stop`, or give another data directory"
            ) from None
        yield
    finally:
        os.close(descriptor)


def write(info: ServerInfo) -> None:
    """Publish; a reader sees all or nothing."""
    write_durably(Path(info.data_dir) / FILE_NAME, msgspec.json.format(msgspec.json.encode(info), indent=2))


def read(data_dir: Path) -> ServerInfo | None:
    """What a server wrote here last, whether or not it still runs; None where there is nothing readable."""
    try:
        return msgspec.json.decode((data_dir / FILE_NAME).read_bytes(), type=ServerInfo)
    except (OSError, ValueError):  # no JSON, or not even text
        return None


def remove(data_dir: Path) -> None:
    """Called by the server when it stops."""
    (data_dir / FILE_NAME).unlink(missing_ok=True)


def runs(info: ServerInfo) -> bool:
    """Whether this very process still runs."""
    return info.boot_id == proc.boot_id() and proc.is_running(info.process)
