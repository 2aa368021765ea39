"""The transfer worker ends with its pilot, however the pilot ends."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from worker_kit import HERE, request, run

from picard_pilot.data.worker_process import MODULE
from picard_pilot.data.worker_protocol import Ask
from picard_pilot.testing.mover_kit import until

PILOT = """
import asyncio, sys
from pathlib import Path
from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.transfer import FetchRequest

async def main(surl, target):
    async with TransferWorker() as worker:
        transfer = asyncio.create_task(
            worker.transfer(FetchRequest(lfn="in", surl=surl, target=target, movers=("naughty_movers:Slow",)))
        )
        while worker.pid is None:
            await asyncio.sleep(0.01)
        print(worker.pid, flush=True)
        await transfer

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("frozen", [False, True])
def test_the_worker_dies_with_its_pilot(tmp_path: Path, frozen: bool) -> None:
    """kill -9 on the pilot: the worker is gone too, even one that is stopped, and moves no byte for nobody."""

    async def work() -> None:
        asked = request(tmp_path)
        pilot = subprocess.Popen(  # noqa: ASYNC220 - a test may wait for a fork
            [sys.executable, "-c", PILOT, asked.surl, asked.target],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": HERE},
        )
        assert pilot.stdout is not None
        pid = int(await asyncio.to_thread(pilot.stdout.readline))
        if frozen:
            # Only once it has asked the kernel to die with its parent: from then on it ignores SIGTERM.
            await until(lambda: ignores_sigterm(pid))
            os.kill(pid, signal.SIGSTOP)
        pilot.kill()
        pilot.wait()
        pilot.stdout.close()
        await until(lambda: not running(pid))

    run(work())


@contextmanager
def spoken_to() -> Iterator[tuple[socket.socket, "subprocess.Popen[bytes]"]]:
    """A worker of this process, and the pilot's end of its socket."""
    ours, theirs = socket.socketpair()
    ours.settimeout(60)
    with ours, theirs:
        command = [sys.executable, "-P", "-m", MODULE, str(theirs.fileno()), str(os.getpid())]
        environment = {**os.environ, "PYTHONPATH": HERE}
        with subprocess.Popen(
            command, pass_fds=(theirs.fileno(),), stderr=subprocess.DEVNULL, env=environment
        ) as started:
            theirs.close()
            try:
                yield ours, started
            finally:
                started.kill()


def test_a_closed_socket_ends_it_in_the_middle_of_a_transfer(tmp_path: Path) -> None:
    """It does not wait for what nobody wants any more."""
    with spoken_to() as (pilot, started):
        ask = Ask(number=1, request=request(tmp_path, mover="Slow"))
        pilot.sendall(msgspec.json.encode(ask) + b"\n")
        assert b"passed" in pilot.recv(1000)
        pilot.shutdown(socket.SHUT_WR)
        assert started.wait(60) == 0


def test_a_thread_that_fails_takes_the_worker_along(tmp_path: Path) -> None:
    """A request that one of its threads has lost is one that a dead worker had, and will be asked again."""
    with spoken_to() as (pilot, started):
        ask = Ask(number=1, request=request(tmp_path, mover="Slow"))
        pilot.sendall(msgspec.json.encode(ask) + b"\nno request\n")
        assert started.wait(60) == 1


def ignores_sigterm(pid: int) -> bool:
    """Whether the process has got so far as to ignore SIGTERM."""
    ignored = Path(f"/proc/{pid}/status").read_text().partition("SigIgn:")[2].split()[0]
    return bool(int(ignored, 16) >> (signal.SIGTERM - 1) & 1)


def running(pid: int) -> bool:
    """Whether a process lives; whose zombie it is, is not ours to say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
