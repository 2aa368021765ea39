"""One incarnation of the transfer worker: its process, its socket, and the certainty of its end.

What is in flight, time limits and restarts are `data.worker`.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from picard_pilot.data.worker_log import OpenLog
from picard_pilot.data.worker_protocol import Ask, Reply
from picard_pilot.data.worker_tree import programs_of, wait_until_gone
from picard_pilot.model.command import ProcessId

KILL_WAIT_S = 5.0
"""After SIGKILL a process is gone in milliseconds, unless it hangs in the kernel, where no wait helps."""

MODULE = "picard_pilot.data.worker_main"


class WorkerProcess:
    """A started worker. `on_reply` gets everything it says, `on_gone` is called once when it has gone."""

    def __init__(self, on_reply: Callable[[Reply], None], on_gone: Callable[["WorkerProcess"], None]) -> None:
        self._on_reply = on_reply
        self._on_gone = on_gone
        self._transport: asyncio.Transport | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.dismissed = False
        """Set when the pilot itself ended it: its end says nothing about what it was doing."""

    async def start(self, log_path: Path | None, environment: Mapping[str, str] | None) -> None:
        """Start the program; raises OSError where the system refuses."""
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: _Lines(self), sock=self._spawn(log_path, environment)
        )
        self._transport = transport

    def _spawn(self, log_path: Path | None, environment: Mapping[str, str] | None) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.set_inheritable(True)
            with OpenLog(log_path) as log:
                self._process = subprocess.Popen(
                    # -P: the working directory is no place to import from; a payload could have written there.
                    [sys.executable, "-P", "-m", MODULE, str(theirs.fileno()), str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    stdout=log,  # what movers and their libraries chatter
                    stderr=log,
                    pass_fds=(theirs.fileno(),),
                    cwd="/",
                    env=environment,
                )
        return ours

    @property
    def pid(self) -> int | None:
        """The worker's process id; None before the start."""
        return self._process.pid if self._process else None

    def ask(self, ask: Ask) -> None:
        """Send one request; where the worker has gone meanwhile, `on_gone` tells."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(msgspec.json.encode(ask) + b"\n")

    async def kill(self) -> None:
        """End it as a whole and wait until not one byte can be written any more."""
        self.dismissed = True
        if self._process is None:
            return
        programs: list[ProcessId] = []
        if self._process.poll() is None:
            try:
                programs = await programs_of(self._process.pid)
            finally:
                self._process.kill()
        if self._transport is not None:
            self._transport.abort()
        await self._gone_for_good(self._process)
        await wait_until_gone(programs)

    async def exit_words(self) -> str:
        """How it ended, for people."""
        if self._process is None:
            return "it was not started"
        if self._process.poll() is None:
            self._process.kill()  # it closed its socket and went on: of no use any more
        status = await self._gone_for_good(self._process)
        if status is None:
            return "it does not end"
        return f"it was killed by signal {-status}" if status < 0 else f"it exited with status {status}"

    async def _gone_for_good(self, process: subprocess.Popen[bytes]) -> int | None:
        if process.poll() is not None:
            return process.returncode
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        pidfd = os.pidfd_open(process.pid)
        loop.add_reader(pidfd, gone.set)
        try:
            async with asyncio.timeout(KILL_WAIT_S):
                await gone.wait()
        except TimeoutError:
            return None
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)
        return process.wait()

    def heard(self, reply: Reply) -> None:
        """Called by the connection for each line."""
        self._on_reply(reply)

    def lost(self) -> None:
        """Called by the connection when the worker closed it."""
        self._on_gone(self)


class _Lines(asyncio.Protocol):
    """Cuts what arrives into lines and decodes each."""

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process
        self._rest = b""
        self._decoder = msgspec.json.Decoder(Reply)

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._process.heard(self._decoder.decode(line))

    def connection_lost(self, _exc: Exception | None) -> None:
        self._process.lost()
