"""Processes of this node, from our own walk of /proc: who is who and what a tree uses.

Killing is elsewhere: `system.shim.tree`, `system.leftovers`. A pid never travels without its start time.
"""

import os
import signal
import time
from pathlib import Path

import msgspec

from picard_pilot.model.command import ProcessId
from picard_pilot.system.shim import tree

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class TreeUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What a launcher's tree uses: CPU of living and of reaped processes, memory of the living.

    `rss_bytes` counts a page shared by n processes n times; it is for a first look, not for a limit.
    """

    cpu_user_s: float
    cpu_system_s: float
    rss_bytes: int
    processes: int


def boot_id() -> str:
    """What tells this boot of the node from all others."""
    return tree.read_small("/proc/sys/kernel/random/boot_id").decode().strip()


def pid_namespace() -> int | None:
    """The number of this process' pid name space; None where the kernel does not tell."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return None


def identify(pid: int) -> ProcessId | None:
    """A living process with its start time; None if it is gone or a zombie."""
    fields = tree.stat_fields(pid)
    if not fields or fields[0] in (b"Z", b"X"):
        return None
    return ProcessId(pid=pid, start_ticks=int(fields[19]))


def myself() -> ProcessId:
    """The calling process."""
    return ProcessId(pid=os.getpid(), start_ticks=tree.start_ticks(os.getpid()))


def is_running(process: ProcessId) -> bool:
    """Whether this very process lives; a zombie does not."""
    return identify(process.pid) == process


def open_pidfd(process: ProcessId) -> int | None:
    """A descriptor that stands for this very process, which may be a zombie; None if it is gone. Close it."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        return None
    if tree.start_ticks(process.pid) != process.start_ticks:
        os.close(fd)
        return None
    return fd


def send_signal(process: ProcessId, number: int) -> bool:
    """Signal this very process, never one that has its pid now. False if it is gone. Raises PermissionError."""
    fd = open_pidfd(process)
    if fd is None:
        return False
    try:
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler of its own for a signal; False for one that is gone or ignores it."""
    return _is_in(pid, number, b"SigCgt:")


def survives(pid: int, number: int) -> bool:
    """Whether a signal does not simply end a process: it has a handler, ignores it, or has it blocked."""
    return _is_in(pid, number, b"SigCgt:", b"SigIgn:", b"SigBlk:")


def _is_in(pid: int, number: int, *sets: bytes) -> bool:
    for line in tree.read_small(f"/proc/{pid}/status").splitlines():
        if line.startswith(sets) and int(line.split()[1], 16) >> (number - 1) & 1:
            return True
    return False


def parent(pid: int) -> int:
    """The parent of a process; 0 if there is none or the process is gone."""
    fields = tree.stat_fields(pid)
    return int(fields[1]) if fields else 0


def descendants(pid: int) -> list[ProcessId]:
    """All living processes that descend from `pid`, parents first."""
    found = (identify(child) for child, _ in tree.descendants(pid))
    return [process for process in found if process is not None]


def launcher_usage(launcher: ProcessId) -> TreeUsage | None:
    """What a launcher's command uses so far, the launcher itself not counted; None if the launcher is gone."""
    own = tree.stat_fields(launcher.pid)
    if not own or int(own[19]) != launcher.start_ticks:
        return None
    # Fields 14 to 17 of proc(5): user and system time of the process, then of its reaped children.
    user, system, rss, count = int(own[13]), int(own[14]), 0, 0
    for pid, _ in tree.descendants(launcher.pid):
        fields = tree.stat_fields(pid)
        if fields:
            user += int(fields[11]) + int(fields[13])
            system += int(fields[12]) + int(fields[14])
            rss += int(fields[21])
            count += 1
    return TreeUsage(
        cpu_user_s=user / _TICKS_PER_S,
        cpu_system_s=system / _TICKS_PER_S,
        rss_bytes=rss * _PAGE_BYTES,
        processes=count,
    )


def all_pids() -> list[int]:
    """Every process that /proc shows."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def ancestors(pid: int) -> set[int]:
    """The process itself, its parent, and so on up to the first."""
    found = set()
    while pid > 0 and pid not in found:
        found.add(pid)
        pid = parent(pid)
    return found


def started_at(process: ProcessId) -> float:
    """When a process was started, in seconds since 1970; as exact as the node's clock was not set since its boot."""
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        if line.startswith("btime "):
            return float(line.split()[1]) + process.start_ticks / _TICKS_PER_S
    raise OSError("/proc/stat tells no btime")


LONGEST_START_S = 600.0
"""No pilot takes longer to start; a larger age comes from a clock that is not to be believed."""


def age_s(start_ticks: int) -> float:
    """How long ago the process with this start time (clock ticks since boot) began; 0 where that cannot be told."""
    passed_s = time.clock_gettime(time.CLOCK_BOOTTIME) - start_ticks / _TICKS_PER_S
    return passed_s if 0 <= passed_s <= LONGEST_START_S else 0.0
