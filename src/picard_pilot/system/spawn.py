"""Starting the launcher program, sending it its order, and waiting for its end. The caller's side of `system.shim`.

How a command of the pilot is run with it is `system.run`; how a payload is, `payload.launcher`.
"""

import asyncio
import fcntl
import marshal
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from picard_pilot.system.shim.protocol import CHANNEL_FD, LOCK_FD, ORDER_LENGTH_DIGITS, PROTOCOL

_START = os.fsencode(Path(__file__).parent / "shim" / "start.py")
_ABOVE_TARGETS = 16
"""Descriptors are moved up to here before they are laid on 0 to 4, so that none is overwritten on the way."""
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "LD_PRELOAD")
"""What the interpreter may need to start; the launcher sees nothing else of our environment, nor does a command."""
_RESET_SIGNALS = tuple(n for n in range(1, 65) if n not in (9, 19, 32, 33))


LONGEST_GRACE_S = 1e6
"""Longer than any job; keeps infinity off the wire."""


class BadOrder(ValueError):
    """A command that no kernel would take: empty, with a NUL byte, or a variable whose name has a `=`."""


def encode_order(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    cwd: str,
    directory: str | None = None,
    launch_id: str = "",
    time_limit_s: float | None = None,
    output_limit_bytes: int | None = None,
    grace_s: float,
    oom_score_adj: int | None = None,
    cgroup: str | None = None,
    own_process_space: bool = False,
    other_user: int | None = None,
) -> bytes:
    """The bytes of an order. With a `directory` the command is detached. Raises BadOrder.

    The command starts in the `cgroup` (a folder), if it may, and whatever is in that at its end is killed. With
    `own_process_space` the command makes one for its children, and SIGTERM is only for them. It runs as `other_user`,
    if that is given, whom he who orders a stop asks himself.
    """
    texts = [*argv, *env.keys(), *env.values(), cwd]
    if not argv or not argv[0] or any("\0" in text for text in texts):
        raise BadOrder("the command is empty or has a NUL byte in it")
    if any(not name or "=" in name for name in env):
        raise BadOrder("the environment has a name that is empty or has a `=` in it")
    try:
        arguments = [os.fsencode(argument) for argument in argv]
        variables = {os.fsencode(name): os.fsencode(value) for name, value in env.items()}
    except UnicodeEncodeError as error:
        raise BadOrder(f"a character cannot be passed to a program: {error.object[error.start]!a}") from None
    order = {
        "protocol": PROTOCOL,
        "argv": arguments,
        "env": variables,
        "cwd": os.fsencode(cwd),
        "directory": directory,
        "launch_id": launch_id,
        "time_limit_s": time_limit_s,
        "output_limit_bytes": output_limit_bytes,
        "grace_s": float(grace_s),
        "oom_score_adj": oom_score_adj,
        "cgroup": cgroup,
        "own_process_space": own_process_space,
        "other_user": other_user,
    }
    body = marshal.dumps(order)
    return b"%0*d" % (ORDER_LENGTH_DIGITS, len(body)) + body


class Shim:
    """A running launcher: its process and our end of the channel to it."""

    def __init__(self, pid: int, pidfd: int, channel: socket.socket) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.channel = channel

    async def send(self, order: bytes) -> None:
        """Send the whole order; until then the launcher starts nothing. Raises OSError if it is gone."""
        await asyncio.get_running_loop().sock_sendall(self.channel, order)

    def stop(self, grace_s: float, reason: str) -> None:
        """Ask an attached command's launcher to stop it. May be called again, to shorten; nothing if it is gone."""
        try:
            self.channel.send(stop_line(grace_s, reason))
        except OSError:
            pass  # it is gone, which is what was wanted

    def leave(self) -> None:
        """Close our descriptors, reaping the launcher whenever it ends; an unsent order is dropped."""
        self.channel.close()
        if self.pidfd >= 0:
            asyncio.get_running_loop().add_reader(self.pidfd, _reap_and_close, self.pidfd)
            self.pidfd = -1

    def close(self) -> None:
        """Close our descriptors: an attached command is killed by that, an unsent order is dropped."""
        self.channel.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


def stop_line(grace_s: float, reason: str) -> bytes:
    """The order to stop, for the channel or the control FIFO."""
    return f"stop {round(min(max(0.0, grace_s), LONGEST_GRACE_S) * 1000)} {reason}\n".encode(
        "ascii", "replace"
    )


def start(stdin_fd: int, stdout_fd: int, stderr_fd: int, lock_fd: int | None = None) -> Shim:
    """Start a launcher on these descriptors, which the caller still has to close. Raises OSError.

    It is spawned without a fork of our memory, so the cost does not grow with the size of the pilot.
    """
    ours, theirs = socket.socketpair()
    moved: list[int] = []
    pid = 0
    try:
        wanted = [stdin_fd, stdout_fd, stderr_fd, theirs.fileno()]
        if lock_fd is not None:
            wanted.append(lock_fd)
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE_TARGETS) for fd in wanted]
        targets = (0, 1, 2, CHANNEL_FD, LOCK_FD)
        pid = os.posix_spawn(
            sys.executable,
            [os.fsencode(sys.executable), b"-I", b"-S", b"-E", _START],
            {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, at) for fd, at in zip(moved, targets, strict=False)],
            setsid=True,
            setsigmask=(),
            setsigdef=_RESET_SIGNALS,
        )
        pidfd = os.pidfd_open(pid)
    except OSError:
        ours.close()
        theirs.close()
        if pid:
            os.waitpid(pid, 0)  # without an order it leaves at once
        raise
    finally:
        theirs.close()
        for fd in moved:
            os.close(fd)
    ours.setblocking(False)
    return Shim(pid, pidfd, ours)


async def process_end(pidfd: int) -> None:
    """Return when the process has ended; its zombie may still be there. Cancelling it leaves nothing behind."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(pidfd, readable)
    try:
        await ended
    finally:
        loop.remove_reader(pidfd)


def _reap_and_close(pidfd: int) -> None:
    asyncio.get_running_loop().remove_reader(pidfd)
    reap(pidfd)
    os.close(pidfd)


def reap(pidfd: int) -> int | None:
    """Reap a process if it is our child and has ended; never anybody else's, never waiting.

    Its exit code; None if it was killed, lives, or is not ours to reap (any more).
    """
    try:
        ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return None
    return ended.si_status if ended is not None and ended.si_code == os.CLD_EXITED else None
