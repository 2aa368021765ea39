"""One walk over all processes of a payload: CPU time, memory, I/O, how many.

PSS, which is dear, is `pss`; the times of ended processes are exact since the launcher reaps all orphans
(`system.shim.launcher`), so that their times are in its own.
"""

import os
from typing import NamedTuple

import msgspec

from picard_pilot.model.command import ProcessId
from picard_pilot.model.usage import IoCounts, TreeSample
from picard_pilot.system.shim import tree

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

# Numbers of the fields of /proc/PID/stat, counted from the state as `tree.stat_fields` does.
_STATE, _USER, _SYSTEM, _CHILD_USER, _CHILD_SYSTEM, _THREADS, _START, _VSIZE, _RSS = (
    *(0, 11, 12, 13, 14),
    *(17, 19, 20, 21),
)


class Seen(NamedTuple):
    """A tree at one moment, and which processes it had, without zombies."""

    sample: TreeSample
    pids: tuple[int, ...]


def look(launcher: ProcessId) -> Seen | None:
    """What the launcher's command uses; None when the launcher is gone.

    The launcher itself counts only with what it reaped, and with its own I/O, which is some 300 kB for its start.
    Parents are read before their children, so that who ends meanwhile is missed for once, and never counted twice.
    """
    own = tree.stat_fields(launcher.pid)
    if not own or int(own[_START]) != launcher.start_ticks:
        return None
    user, system = int(own[_CHILD_USER]), int(own[_CHILD_SYSTEM])
    rss = vmem = threads = unread = 0
    io = _io(launcher.pid) or [0, 0, 0, 0]
    pids = []
    waiting = _children(launcher.pid, int(own[_THREADS]))
    for pid in waiting:
        fields = tree.stat_fields(pid)
        if not fields:
            continue
        user += int(fields[_USER]) + int(fields[_CHILD_USER])
        system += int(fields[_SYSTEM]) + int(fields[_CHILD_SYSTEM])
        if fields[_STATE] in (b"Z", b"X"):
            continue
        counts = _io(pid)
        waiting.extend(_children(pid, int(fields[_THREADS])))
        rss += int(fields[_RSS])
        vmem += int(fields[_VSIZE])
        threads += int(fields[_THREADS])
        pids.append(pid)
        if counts is not None:
            io = [total + count for total, count in zip(io, counts, strict=True)]
        elif tree.start_ticks(pid) == int(fields[_START]) and not _is_over(pid):
            unread += 1
    return Seen(
        TreeSample(
            processes=len(pids),
            threads=threads,
            cpu_user_s=user / _TICKS_PER_S,
            cpu_system_s=system / _TICKS_PER_S,
            rss_bytes=rss * _PAGE_BYTES,
            vmem_bytes=vmem,
            io=IoCounts(rchar=io[0], wchar=io[1], read_bytes=io[2], write_bytes=io[3]),
            io_unread=unread,
        ),
        tuple(pids),
    )


def never_less(sample: TreeSample, before: TreeSample | None) -> TreeSample:
    """The sample with no total below an earlier one: what ended during a look is missed by that look alone."""
    if before is None:
        return sample
    io, old = sample.io, before.io
    return msgspec.structs.replace(
        sample,
        cpu_user_s=max(sample.cpu_user_s, before.cpu_user_s),
        cpu_system_s=max(sample.cpu_system_s, before.cpu_system_s),
        io=IoCounts(
            rchar=max(io.rchar, old.rchar),
            wchar=max(io.wchar, old.wchar),
            read_bytes=max(io.read_bytes, old.read_bytes),
            write_bytes=max(io.write_bytes, old.write_bytes),
        ),
    )


def _children(pid: int, threads: int) -> list[int]:
    """The children of a process; of one thread it is known where they are listed."""
    if threads == 1 and tree.KERNEL_LISTS_CHILDREN:
        return [int(child) for child in tree.read_small(f"/proc/{pid}/task/{pid}/children").split()]
    return tree.children(pid)


def _io(pid: int) -> list[int] | None:
    """rchar, wchar, read_bytes, write_bytes; None where we may not know."""
    words = tree.read_small(f"/proc/{pid}/io").split()
    # Seven lines of a name and a number; the two counts of calls stand between.
    if len(words) < 12:
        return None
    return [int(words[1]), int(words[3]), int(words[9]), int(words[11])]


def _is_over(pid: int) -> bool:
    fields = tree.stat_fields(pid)
    return not fields or fields[_STATE] in (b"Z", b"X")
