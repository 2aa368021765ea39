"""Looking whether what a pilot made is still there, and removing it where it is surely the pilot's.

What was made is told by its ledger (`system.ledger`) and by a payload's launcher (`system.shim.seen`). Never touched is
what somebody else uses, and never ended a process that is known by its number alone.
"""

import asyncio
import os
from functools import cached_property
from pathlib import Path

import msgspec

from picard_pilot.model.command import ProcessId
from picard_pilot.model.ledger import (
    ControlGroup,
    File,
    MessageQueue,
    Mount,
    ProcessTree,
    Segment,
    Semaphores,
    Traces,
)
from picard_pilot.system import cgroup, leftovers, proc
from picard_pilot.system.files import open_regular
from picard_pilot.system.shim import tree
from picard_pilot.system.shim.kernel import call
from picard_pilot.system.shim.protocol import KILL_PATIENCE_S, SEEN_BYTES, SEEN_FILE, verified_record
from picard_pilot.system.shim.seen import PLACES, unassignable

IPC_RMID = 0
MNT_DETACH = 2
"""The mount is gone from the tree at once, however long somebody is still in it."""
UNMOUNT_LIMIT_S = 20.0
GROUP_LOOK_S = 0.01
_EVERYBODY = range(1 << 32)
"""All users: a payload may be another user's."""


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A record of `system.shim.seen`."""

    kind: str
    sure: int
    pid: int
    id: int = 0
    key: int = 0
    path: str = ""
    device: int = 0
    inode: int = 0


_decode = msgspec.json.Decoder(_Seen).decode


def seen_of(launch_directory: Path, job_id: int) -> list[Traces]:
    """What a payload's launcher saw it make outside of its directory; nothing where no record can be read."""
    try:
        fd = open_regular(launch_directory / SEEN_FILE, os.O_RDONLY)
    except OSError:
        return []
    with os.fdopen(fd, "rb") as file:
        lines = file.read(SEEN_BYTES).splitlines()
    found: list[Traces] = []
    for line in lines:
        whole = verified_record(line)
        if whole is None:
            continue  # torn, or the payload's own words
        try:
            seen = _decode(whole)
            bytes.fromhex(seen.path)
        except (ValueError, RecursionError):
            continue
        sure = seen.sure == 1
        if seen.kind == "segment":
            found.append(Segment(number=seen.id, key=seen.key, maker=seen.pid, sure=sure, job_id=job_id))
        elif seen.kind == "semaphores":
            found.append(Semaphores(number=seen.id, key=seen.key, job_id=job_id))
        elif seen.kind == "queue":
            found.append(MessageQueue(number=seen.id, key=seen.key, job_id=job_id))
        elif _is_in_a_place(seen.path):
            keys = {"device": seen.device, "inode": seen.inode}
            found.append(File(path=seen.path, **keys, maker=seen.pid or None, sure=sure, job_id=job_id))
    return found


def _is_in_a_place(path: str) -> bool:
    """Whether it is at the top of one of the places that launchers watch: a payload can write records as well."""
    return os.path.dirname(bytes.fromhex(path)) in PLACES  # noqa: PTH120 - it need not be text


# ---- processes ---------------------------------------------------------------------------------------------


Marked = dict[bytes, list[ProcessId]]
"""The node's processes by the marks in their environment."""


def marked() -> Marked:
    """All processes with a mark of any pilot, as far as this user may see."""
    found: Marked = {}
    for pid in proc.all_pids():
        variables = tree.read_small(f"/proc/{pid}/environ").split(b"\0")
        marks = [each for each in variables if each.startswith(b"PICARD_")]
        if marks and (process := proc.identify(pid)) is not None:
            for mark in marks:
                found.setdefault(mark, []).append(process)
    return found


def living(what: ProcessTree, by_mark: Marked | None = None) -> list[ProcessId]:
    """What lives of a process tree: its root, its launcher, all with one of its marks, and all that descend from these.

    `by_mark` spares a look at all processes where there are many trees. Never found are the calling process, its
    ancestors, and what it started itself, unless that is the tree.
    """
    by_mark = marked() if by_mark is None else by_mark
    roots = [each for each in (what.launcher, what.root) if each is not None]
    found = {each.pid: each for each in roots if proc.is_running(each)}
    for mark in what.marks:
        found.update((each.pid, each) for each in by_mark.get(mark.encode(), ()) if proc.is_running(each))
    for pid in list(found):
        found.update((each.pid, each) for each in proc.descendants(pid))
    if not found:
        return []
    above = proc.ancestors(os.getpid())
    below = {each.pid for each in proc.descendants(os.getpid())}
    started = {each.pid for each in roots} - above
    return [
        each
        for pid, each in found.items()
        if pid not in above and (pid not in below or proc.ancestors(pid) & started)
    ]


def children() -> list[ProcessTree]:
    """What the calling process started and what lives, each with its name."""
    found = (proc.identify(pid) for pid in tree.children(os.getpid()))
    return [
        ProcessTree(what=f"{name_of(process)}, started by the pilot itself", root=process)
        for process in found
        if process is not None
    ]


def name_of(process: ProcessId) -> str:
    """The name of its program, for people."""
    name = tree.read_small(f"/proc/{process.pid}/comm").strip()
    return name.decode("utf-8", "backslashreplace") or "a program"


async def end(what: ProcessTree) -> tuple[int, int]:
    """Kill what lives of a tree until nothing does; how many were killed, and how many withstand."""
    return await leftovers.kill_leftovers(lambda: living(what))


# ---- everything else ---------------------------------------------------------------------------------------


class Users:
    """Who has what open, of this user's processes, as one look at them all showed."""

    @cached_property
    def _held(self) -> dict[bytes, int]:
        uid = os.geteuid()
        held: dict[bytes, int] = {}
        for pid in proc.all_pids():
            directory = Path(f"/proc/{pid}")
            try:
                if directory.stat().st_uid != uid:
                    continue
                links = [directory / "cwd", *(directory / "fd").iterdir()]
            except OSError:
                continue
            for link in links:
                try:
                    held.setdefault(os.fsencode(os.readlink(link)), pid)  # noqa: PTH115 - it is no path of ours
                except OSError:
                    continue
            for line in tree.read_small(f"/proc/{pid}/maps").splitlines():
                if b" /dev/shm/" in line:
                    held.setdefault(b"/" + line.partition(b" /")[2], pid)
        return held

    def of(self, path: bytes) -> int | None:
        """A process that has this path, or something below it, open; None where nobody has."""
        if (pid := self._held.get(path)) is not None:
            return pid
        return next((pid for held, pid in self._held.items() if held.startswith(path + b"/")), None)


def is_there(thing: Traces | ControlGroup | Mount) -> bool:
    """Whether this very thing is still there."""
    match thing:
        case Segment():
            return (thing.number, thing.key, thing.maker) in _segments()
        case File():
            return _is_file_there(thing)
        case Semaphores():
            return ("semaphores", thing.number, thing.key) in unassignable(_EVERYBODY)
        case MessageQueue():
            return ("queue", thing.number, thing.key) in unassignable(_EVERYBODY)
        case ControlGroup():
            return Path(thing.path).exists()
        case Mount():
            return thing.path in mounts_below(thing.path)


def remove(thing: Segment | File, users: Users) -> str | None:
    """Remove something that is surely ours; None when it is gone, else why it is not, as the end of a sentence."""
    try:
        match thing:
            case Segment():
                attached, user = _segments().get((thing.number, thing.key, thing.maker), (0, os.geteuid()))
                if user != os.geteuid():
                    return "it is another user's"
                if attached:
                    return f"{attached} processes of others are attached to it"
                call("shmctl", thing.number, IPC_RMID, 0)
            case File():
                path = bytes.fromhex(thing.path)
                if (pid := users.of(path)) is not None:
                    return f"process {pid}, which is not the payload's, has it open"
                if _is_file_there(thing):
                    if os.lstat(path).st_uid != os.geteuid():
                        return "it is another user's"
                    Path(os.fsdecode(path)).unlink(missing_ok=True)
    except OSError as error:
        return f"it cannot be removed: {error.strerror}"
    return "it cannot be removed" if is_there(thing) else None


async def end_group(group: ControlGroup) -> str | None:
    """Kill what is in a payload's own control group and remove it; None when it is gone, else why it is not."""
    path = Path(group.path)
    cgroup.kill(path)
    try:
        async with asyncio.timeout(KILL_PATIENCE_S):
            while not cgroup.is_empty(path):  # noqa: ASYNC110 - the loop knows no event for it
                await asyncio.sleep(GROUP_LOOK_S)
        return None if cgroup.remove(path) else "it cannot be removed"
    except TimeoutError:
        return "there are processes in it that cannot be killed"
    except OSError as error:
        return f"it cannot be removed: {error.strerror}"


def mounts_below(directory: str) -> list[str]:
    """What is mounted at this directory or below it in our own view of the node, the last one first."""
    found = []
    for line in tree.read_small("/proc/self/mountinfo").splitlines():
        point = os.fsdecode(_unescaped(line.split(b" ")[4]))
        if point == directory or point.startswith(directory.rstrip("/") + "/"):
            found.append(point)
    return found[::-1]


async def unmount(path: str) -> str | None:
    """Take a mount in a job's directory away; None when it is gone, else why it is not."""
    if call("umount2", os.fsencode(path), MNT_DETACH) != 0:
        from picard_pilot.system.run import run

        # What a user mounts (FUSE) only its own program, which has the privilege, takes away again.
        for program in ("fusermount3", "fusermount"):
            await run(
                (program, "-u", "-z", path),
                cwd=Path("/"),
                env={"PATH": os.environ.get("PATH", os.defpath)},
                time_limit_s=UNMOUNT_LIMIT_S,
            )
            if path not in mounts_below(path):
                return None
        return "this user may not unmount it"
    return None if path not in mounts_below(path) else "it is still mounted"


def _unescaped(path: bytes) -> bytes:
    """Blanks and the like are written as three octal digits."""
    for octal in (b"040", b"011", b"012", b"134"):
        path = path.replace(b"\\" + octal, bytes([int(octal, 8)]))
    return path


def _segments() -> dict[tuple[int, int, int], tuple[int, int]]:
    """Number, key and maker of the node's segments, with how many processes are attached and the maker's user."""
    lines = tree.read_small("/proc/sysvipc/shm").splitlines()[1:]
    rows = [[int(word) for word in line.split()] for line in lines]
    return {(row[1], row[0], row[4]): (row[6], row[9]) for row in rows}


def _is_file_there(file: File) -> bool:
    try:
        status = os.lstat(bytes.fromhex(file.path))
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (file.device, file.inode)


def may_be_ours(thing: Traces, users: Users) -> bool:
    """Whether something doubtful is there, and nobody uses it who lives: else it is surely somebody else's."""
    if not is_there(thing):
        return False
    if isinstance(thing, File):
        return users.of(bytes.fromhex(thing.path)) is None
    if not isinstance(thing, Segment):
        return True
    attached, _ = _segments().get((thing.number, thing.key, thing.maker), (0, 0))
    return not attached and proc.identify(thing.maker) is None
