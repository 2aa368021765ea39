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

MOST_PROCESSES = 20_000
"""A look ends there: processes that fork faster than they are read must not hold it for ever."""

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

# Numbers of the fields of /proc/PID/stat, counted from the state as `tree.stat_fields` does.
_STATE, _USER, _SYSTEM, _CHILD_USER, _CHILD_SYSTEM, _THREADS, _START, _VSIZE, _RSS = (
    *(0, 11, 12, 13, 14),
    *(17, 19, 20, 21),
)

_OVER = (b"Z", b"X")


class Seen(NamedTuple):
    """A tree at one moment, and which processes it had, without zombies."""

    sample: TreeSample
    pids: tuple[int, ...]


def look(launcher: ProcessId, *, with_io: bool = True) -> Seen | None:
    """What the launcher's command uses; None when the launcher is gone.

    The launcher itself counts only with what it reaped, and with its own I/O, which is some 300 kB for its start.
    Parents are read before their children, so that who ends meanwhile is missed for once, and never counted twice.
    `with_io` costs a third of it all.
    """
    own = _stat(launcher.pid)
    if not own or int(own[_START]) != launcher.start_ticks:
        return None
    user, system = int(own[_CHILD_USER]), int(own[_CHILD_SYSTEM])
    rss = vmem = threads = 0
    io = _IoSum(launcher.pid) if with_io else None
    pids = []
    waiting = _children(launcher.pid, int(own[_THREADS]))
    for pid in waiting:
        if len(waiting) > MOST_PROCESSES:
            break
        fields = _stat(pid)
        if not fields:
            continue
        user += int(fields[_USER]) + int(fields[_CHILD_USER])
        system += int(fields[_SYSTEM]) + int(fields[_CHILD_SYSTEM])
        if fields[_STATE] in _OVER:
            continue
        if io is not None:
            io.add(pid)
        own_threads = int(fields[_THREADS])
        waiting.extend(_children(pid, own_threads))
        rss += int(fields[_RSS])
        vmem += int(fields[_VSIZE])
        threads += own_threads
        pids.append(pid)
    return Seen(
        TreeSample(
            processes=len(pids),
            threads=threads,
            cpu_user_s=user / _TICKS_PER_S,
            cpu_system_s=system / _TICKS_PER_S,
            rss_bytes=rss * _PAGE_BYTES,
            vmem_bytes=vmem,
            io=None if io is None else io.counts(),
            io_unread=0 if io is None else io.unread,
        ),
        tuple(pids),
    )


def never_less(sample: TreeSample, before: TreeSample | None) -> TreeSample:
    """The sample with no total below an earlier one: what ended during a look is missed by that look alone."""
    if before is None:
        return sample
    return msgspec.structs.replace(
        sample,
        cpu_user_s=max(sample.cpu_user_s, before.cpu_user_s),
        cpu_system_s=max(sample.cpu_system_s, before.cpu_system_s),
        io=_more(sample.io, before.io),
        io_unread=before.io_unread if sample.io is None else sample.io_unread,
    )


def _more(now: IoCounts | None, before: IoCounts | None) -> IoCounts | None:
    if now is None or before is None:
        return now or before
    return IoCounts(
        rchar=max(now.rchar, before.rchar),
        wchar=max(now.wchar, before.wchar),
        read_bytes=max(now.read_bytes, before.read_bytes),
        write_bytes=max(now.write_bytes, before.write_bytes),
    )


class _IoSum:
    """The sum of what processes read and wrote."""

    def __init__(self, launcher: int) -> None:
        self._sum = _io(launcher) or [0, 0, 0, 0]
        self.unread = 0

    def add(self, pid: int) -> None:
        """One living process more; one that has ended meanwhile does not count as unreadable."""
        counts = _io(pid)
        if counts is not None:
            self._sum = [total + count for total, count in zip(self._sum, counts, strict=True)]
        elif (fields := _stat(pid)) and fields[_STATE] not in _OVER:
            self.unread += 1

    def counts(self) -> IoCounts:
        """All that could be read."""
        rchar, wchar, read_bytes, write_bytes = self._sum
        return IoCounts(rchar=rchar, wchar=wchar, read_bytes=read_bytes, write_bytes=write_bytes)


def _children(pid: int, threads: int) -> list[int]:
    """The children of a process; of one thread it is known where they are listed."""
    if threads == 1 and tree.KERNEL_LISTS_CHILDREN:
        return [int(child) for child in tree.read_small(f"/proc/{pid}/task/{pid}/children").split()]
    return tree.children(pid)


def _io(pid: int) -> list[int] | None:
    """rchar, wchar, read_bytes, write_bytes; None where we may not know."""
    words = _record(f"/proc/{pid}/io").split()
    # Seven lines of a name and a number; the two counts of calls stand between.
    if len(words) < 12:
        return None
    return [int(words[1]), int(words[3]), int(words[9]), int(words[11])]


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat from the state to the RSS, and the rest as one; nothing if the process is gone."""
    fields = _record(f"/proc/{pid}/stat").rpartition(b") ")[2].split(b" ", _RSS + 1)
    return fields if len(fields) > _RSS else []


def _record(path: str) -> bytes:
    """A file of /proc that is one record, and so comes with one read; nothing when the process is gone or not ours."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 4096)
    except OSError:
        return b""
    finally:
        os.close(fd)
