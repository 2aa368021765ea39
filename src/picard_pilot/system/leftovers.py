"""Finding and killing what is left of a command whose launcher was killed before it could do so itself.

As long as a launcher lives this is its own business (`system.shim.tree`), and it is better at it.
"""

import asyncio
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

from picard_pilot.model.command import ProcessId
from picard_pilot.system import proc
from picard_pilot.system.shim import tree
from picard_pilot.system.shim.protocol import KILL_PATIENCE_S, LAUNCHER_NAME
from picard_pilot.system.spawn import process_end

FileKey = tuple[int, int]
"""Device and inode."""


def output_key(path: Path) -> FileKey | None:
    """What identifies a command's output file; None if there is none, or no longer a file of its own.

    A payload may have put a link there, for instance to /dev/null, which every other process of the user writes to.
    """
    try:
        status = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        return None
    return status.st_dev, status.st_ino


def find_leftovers(main: ProcessId | None, outputs: set[FileKey], mark: str | None = None) -> list[ProcessId]:
    """What lives on of a command: processes of this user that can be nothing else.

    That is its main process, every process that has one of its output files open for writing, every one with
    `mark` (a whole `NAME=value`) in its environment, and all that descend from these. Not found is a process
    that gave up its output *and* its environment *and* whose parents are gone; only a cgroup would know it.
    Never found are the calling process and its ancestors, and what has a living launcher above it: that belongs
    to another command, which may well write to the same file.
    """
    spared = proc.ancestors(os.getpid())
    roots = {main.pid: main} if main is not None and proc.is_running(main) else {}
    sign = mark.encode() if mark is not None else None
    for pid in proc.all_pids():
        if pid not in spared and (_writes(pid, outputs) or (sign is not None and _has_mark(pid, sign))):
            process = proc.identify(pid)
            if process is not None and not _has_launcher(pid):
                roots[pid] = process
    for pid in list(roots):
        roots.update((process.pid, process) for process in proc.descendants(pid))
    return list(roots.values())


async def kill_leftovers(find: Callable[[], list[ProcessId]]) -> tuple[int, int]:
    """Kill what `find` finds until it finds nothing; how many were killed, and how many withstand."""
    seen: set[ProcessId] = set()
    give_up_at = asyncio.get_running_loop().time() + KILL_PATIENCE_S
    while found := find():
        seen.update(found)
        if asyncio.get_running_loop().time() > give_up_at:
            return len(seen) - len(found), len(found)
        for process in found:
            await _kill(process)
    return len(seen), 0


async def _kill(process: ProcessId) -> None:
    pidfd = proc.open_pidfd(process)
    if pidfd is None:
        return
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        async with asyncio.timeout(KILL_PATIENCE_S / 10):
            await process_end(pidfd)
    except (ProcessLookupError, PermissionError, TimeoutError):
        pass  # the next look tells
    finally:
        os.close(pidfd)


def _writes(pid: int, files: set[FileKey]) -> bool:
    try:
        open_files = list(Path(f"/proc/{pid}/fd").iterdir()) if files else []
    except OSError:
        return False  # gone, or another user's
    return any(_key_behind(link) in files and _opened_for_writing(pid, link.name) for link in open_files)


def _key_behind(link: Path) -> FileKey | None:
    try:
        status = link.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _opened_for_writing(pid: int, fd: str) -> bool:
    for line in tree.read_small(f"/proc/{pid}/fdinfo/{fd}").splitlines():
        if line.startswith(b"flags:"):
            return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    return False


def _has_launcher(pid: int) -> bool:
    return any(tree.read_small(f"/proc/{each}/comm").strip() == LAUNCHER_NAME for each in proc.ancestors(pid))


def _has_mark(pid: int, mark: bytes) -> bool:
    return mark in tree.read_small(f"/proc/{pid}/environ").split(b"\0")
