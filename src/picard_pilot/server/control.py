"""For whoever starts, looks at, and stops a server: plain functions, without a line of printing.

Serving itself is `run`'s; the client of a running server's calls is elsewhere.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from picard_pilot.server import info
from picard_pilot.server.info import ServerInfo
from picard_pilot.server.settings import ServerSettings, check
from picard_pilot.system import proc

START_TIMEOUT_S = 30.0
"""A start takes half a second; a node under load gets a minute's half."""

STOP_TIMEOUT_S = 10.0
"""More than the server's own grace for calls under way; after it the process is killed, which loses nothing."""

_LOG_TAIL_BYTES = 2000


class ControlError(RuntimeError):
    """A server could not be started, stopped or asked; the text has three lines for people."""


def start_foreground(settings: ServerSettings, on_ready: Callable[[ServerInfo], None] | None = None) -> None:
    """Serve in this process until SIGTERM or SIGINT; errors as `run.serve`."""
    from picard_pilot.server.run import serve

    serve(settings, on_ready)


def start_detached(settings: ServerSettings, *, timeout_s: float = START_TIMEOUT_S) -> ServerInfo:
    """Start a server process that outlives this one; returns once it answers calls. Its log is `server.log`.

    Raises:
        SettingsError: settings that must not be served.
        ControlError: it did not start; the text has the end of its log.
    """
    check(settings)
    data_dir = Path(settings.data_dir).absolute()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = msgspec.structs.replace(settings, data_dir=str(data_dir))
    reader, writer = os.pipe()
    try:
        try:
            pid = _spawn(settings, data_dir / info.LOG_NAME, writer)
        finally:
            os.close(writer)
        told = _read_all(reader, timeout_s)
    finally:
        os.close(reader)
    if told:
        return msgspec.json.decode(told, type=ServerInfo)
    _end_child(pid)
    raise ControlError(
        f"the server did not start in {data_dir}\n{_tail(data_dir / info.LOG_NAME)}\n"
        "correct what it says and start it again"
    )


def status(data_dir: Path) -> ServerInfo | None:
    """The server that runs in this data directory, or None."""
    found = info.read(data_dir)
    return found if found is not None and info.runs(found) else None


def stop(data_dir: Path, *, timeout_s: float = STOP_TIMEOUT_S) -> bool:
    """Stop the server and wait for its end; False if none ran.

    Raises:
        ControlError: it belongs to someone else.
    """
    found = status(data_dir)
    if found is None:
        return False
    descriptor = proc.open_pidfd(found.process)
    if descriptor is None:
        return False
    try:
        for number, wait_s in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, timeout_s)):
            signal.pidfd_send_signal(descriptor, number)
            if select.select([descriptor], [], [], wait_s)[0]:
                break
    except ProcessLookupError:
        pass
    except PermissionError as error:
        raise ControlError(
            f"the server in {data_dir} cannot be stopped\n{error}: process {found.process.pid}\n"
            "stop it as the user who started it"
        ) from error
    finally:
        os.close(descriptor)
    _reap(found.process.pid)
    info.remove(data_dir)
    return True


def token(data_dir: Path, role: str) -> str:
    """The token of a role (pilot, production, user), to be sent with `Origin: <vo>.<role>`.

    Raises:
        ControlError: no server was ever started here, or there is no such role.
    """
    path = token_file(data_dir, role)
    try:
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise ControlError(
            f"there is no token for role {role} in {data_dir}\n{error}\n"
            "start the server once with `ppilot server start`; roles are pilot, production and user"
        ) from error


def token_file(data_dir: Path, role: str) -> Path:
    """Where the token of a role is, for a pilot to read it from."""
    return data_dir / "tokens" / f"{role}.token"


def login_url(data_dir: Path) -> str:
    """An address that signs one browser in, once, within ten minutes.

    Raises:
        ControlError: no server runs here.
    """
    from picard_pilot.server.auth import Tokens

    found = status(data_dir)
    if found is None:
        raise ControlError(
            f"no server runs in {data_dir}\nits {info.FILE_NAME} is missing or names a process that is gone\n"
            "start it with `ppilot server start`"
        )
    login = Tokens(data_dir, "", 0).login_token()
    return f"{found.url}/login?token={login}"


def _spawn(settings: ServerSettings, log_file: Path, ready: int) -> int:
    """The server's process: a session of its own, so that a Ctrl-C in this terminal does not reach it."""
    arguments = ["-m", "picard_pilot.server.run", msgspec.json.encode(settings).decode(), "3"]
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        sys.executable,
        [sys.executable, *arguments],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, ready, 3),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log_file), append, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def _read_all(reader: int, timeout_s: float) -> bytes:
    """Until the other end is closed or the time is over."""
    deadline = time.monotonic() + timeout_s
    told = b""
    while select.select([reader], [], [], max(0.0, deadline - time.monotonic()))[0]:
        part = os.read(reader, 65536)
        if not part:
            return told
        told += part
    return b""


def _end_child(pid: int) -> None:
    """Our own child, not reaped yet, so the pid is still its."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _reap(pid: int) -> None:
    """Where the server is a child of this process, take its exit status; otherwise there is nothing to do."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def _tail(log_file: Path) -> str:
    try:
        content = log_file.read_bytes()
    except OSError:
        return "it wrote no log"
    lines = content[-_LOG_TAIL_BYTES:].decode("utf-8", "replace").strip().splitlines()
    return "; ".join(lines[-3:]) or "it wrote nothing to its log"
