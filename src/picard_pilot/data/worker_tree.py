"""The programs that a transfer worker runs (gfal, a site's scripts): known before its end, and gone after it.

Each has a launcher of its own (`system.shim`) that kills its tree when the worker dies, within milliseconds. Here it is
waited for, so that after a verdict really nothing moves; the worker itself is ended by `data.worker_process`.
"""

import asyncio
import os
import signal
from pathlib import Path

from picard_pilot.model.command import ProcessId
from picard_pilot.system import proc
from picard_pilot.system.shim.tree import stat_fields
from picard_pilot.system.spawn import process_end

FREEZE_WAIT_S = 0.5
"""A stopped process stops in microseconds, unless a thread of it hangs in the kernel, where it starts no program."""

LAUNCHER_WAIT_S = 3.0
"""Launchers need milliseconds to kill and reap a tree; then whatever was seen is killed from here."""


async def programs_of(pid: int) -> list[ProcessId]:
    """All processes below a worker, which is stopped for it, so that it starts no more of them. It is to be killed."""
    try:
        os.kill(pid, signal.SIGSTOP)
    except ProcessLookupError:
        return []
    try:
        async with asyncio.timeout(FREEZE_WAIT_S):
            while not _is_stopped(pid):  # noqa: ASYNC110 - a stop gives no event
                await asyncio.sleep(0.001)
    except TimeoutError:
        pass
    return proc.descendants(pid)


def _is_stopped(pid: int) -> bool:
    """Whether every thread stands still, or the process is gone."""
    try:
        threads = [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return True
    states = [stat_fields(thread)[:1] for thread in threads]
    return all(state in ([b"T"], [b"t"], [b"Z"], [b"X"], []) for state in states)


async def wait_until_gone(programs: list[ProcessId]) -> None:
    """Return when none of these lives any more, at the latest after killing them from here."""
    try:
        async with asyncio.timeout(LAUNCHER_WAIT_S):
            for program in programs:
                await _end_of(program)
    except TimeoutError:
        for program in programs:
            try:
                proc.send_signal(program, signal.SIGKILL)
            except PermissionError:
                pass  # another user's by now: not ours to end


async def _end_of(program: ProcessId) -> None:
    pidfd = proc.open_pidfd(program)
    if pidfd is None:
        return
    try:
        await process_end(pidfd)
    finally:
        os.close(pidfd)
