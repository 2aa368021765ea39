"""Processes as /proc shows them, and signals to all descendants of the calling process.

The loop that kills them all is `launcher`'s; what the pilot itself wants to know of processes is in `system.proc`.
"""

import _signal
import posix

Tree = list[tuple[int, int]]
"""Processes, each with the parent it was found under, parents first."""


def read_small(path: str) -> bytes:
    """A file of /proc, or nothing when the process is gone or not ours to see."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return b""
    try:
        data = b""
        while chunk := posix.read(fd, 65536):
            data += chunk
        return data
    except OSError:
        return b""
    finally:
        posix.close(fd)


def stat_fields(pid: int) -> list[bytes]:
    """/proc/PID/stat from the state on: state, parent, ..., the start time is number 19. Nothing if it is gone."""
    return read_small(f"/proc/{pid}/stat").rpartition(b") ")[2].split()


def start_ticks(pid: int) -> int:
    """When the process started, in clock ticks since boot; 0 if it is gone."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields else 0


KERNEL_LISTS_CHILDREN = posix.access("/proc/thread-self/children", posix.R_OK)
"""CONFIG_PROC_CHILDREN, which every distribution sets but not every sandbox imitates."""


def children(pid: int) -> list[int]:
    """The children of all threads of a process. May miss some while others end; ask again."""
    if not KERNEL_LISTS_CHILDREN:
        return _children_by_parent(pid)
    try:
        tasks = posix.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [int(child) for task in tasks for child in read_small(f"/proc/{pid}/task/{task}/children").split()]


def _children_by_parent(pid: int) -> list[int]:
    """The same by asking every process for its parent: 1 ms for a hundred of them, instead of 0.01."""
    parent = str(pid).encode()
    every = [int(name) for name in posix.listdir("/proc") if name.isdigit()]
    return [child for child in every if stat_fields(child)[1:2] == [parent]]


def descendants(root: int) -> Tree:
    """All that descend from `root`, as far as one look shows."""
    found = [(child, root) for child in children(root)]
    for pid, _ in found:
        found.extend((child, pid) for child in children(pid))
    return found


def numbers(pid: int) -> list[bytes]:
    """A process' number in each process space that it is in, the innermost last, as far as we can see; none if gone."""
    for line in read_small(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"NSpid:"):
            return line.split()[1:]
    return []


def signal_descendants(number: int, *, inner_only: bool = False) -> set[int]:
    """Send a signal to all descendants of the calling process; returns the pids seen.

    With `inner_only` only those in a process space within our own get it: not the program that made that space, which
    would take the payload with it at once, nor the space's first process as long as it has others: that is the same
    program's, and may pass the signal on, so that the payload would get it twice. A stopped process would not notice
    SIGTERM, so it gets SIGCONT after it.
    """
    me = posix.getpid()
    tree = descendants(me)
    if inner_only:
        ours, parents = len(numbers(me)), {parent for _, parent in tree}
        inner = [(pid, parent, numbers(pid)) for pid, parent in tree]
        tree = [
            (pid, parent)
            for pid, parent, each in inner
            if len(each) > ours and not (each[-1] == b"1" and pid in parents)
        ]
    for pid, parent in tree:
        _send(pid, parent, me, number)
    return {pid for pid, _ in tree}


def signal_session(session: int, leader_ticks: int, number: int) -> set[int]:
    """Send a signal to all of a session that a child of ours began, wherever its parents went; returns the pids seen.

    For where orphans do not come to us. No process gets the session's number while one of it lives, and whoever has
    that number later started later.
    """
    leader = start_ticks(session)
    if leader not in (0, leader_ticks):
        return set()
    seen = set()
    for pid in [int(name) for name in posix.listdir("/proc") if name.isdigit()]:
        stat = stat_fields(pid)
        if not stat or stat[0] == b"Z" or int(stat[3]) != session or int(stat[19]) < leader_ticks:
            continue
        seen.add(pid)
        try:
            posix.kill(pid, number)
        except OSError:
            pass  # gone, or another user's
    return seen


def _send(pid: int, parent: int, me: int, number: int) -> None:
    """Signal a process that is surely ours: nobody else can reap our own child, so its pid cannot be reused.

    For deeper ones a descriptor holds the process while its parent is compared.
    """
    fd = -1
    try:
        if parent != me:
            fd = posix.pidfd_open(pid)
        stat = stat_fields(pid)
        if not stat or int(stat[1]) not in (parent, me):
            return
        stopped = stat[0] in (b"T", b"t")
        for each in (number, _signal.SIGCONT) if stopped and number == _signal.SIGTERM else (number,):
            if fd >= 0:
                _signal.pidfd_send_signal(fd, each)
            else:
                posix.kill(pid, each)
    except OSError:
        pass  # gone, or another user's: the next round of the killing loop sees which
    finally:
        if fd >= 0:
            posix.close(fd)
