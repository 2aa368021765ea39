"""What a payload makes outside of its directory, as its launcher sees it: shared memory, files in the usual places.

It looks and writes down, one record a line. Removing and telling is the pilot's (`system.strays`, `pilot.receipt`).
Only the launcher can know: it is the ancestor of all that the payload starts and outlives it, and once a process is
gone the kernel no longer tells whose child it was.
"""

import posix
import select
import sys
import time

from picard_pilot.system.shim import recordfile, tree
from picard_pilot.system.shim.kernel import call
from picard_pilot.system.shim.protocol import SEEN_BYTES, SEEN_FILE, encode_record

TYPE_CHECKING = False  # `typing` itself would cost more than everything else here
if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from picard_pilot.system.shim.protocol import Value

PLACES = (b"/dev/shm", b"/tmp", b"/var/tmp", b"/dev/mqueue")
"""Where programs put what has no better place, and where nodes show POSIX message queues. Only their top is watched."""
LOOK_S = 2.0
"""Between two looks at the node's shared memory, 30 microseconds each; nothing wakes us when some is made."""
REST_FACTOR = 20
"""Who in a large tree has a new file open takes milliseconds to find out; then there is rest for so many times as long,
so that a payload that makes files without end costs 5 % of a core at most."""
LOOKS = 2
SECOND_LOOK_S = 0.02
"""The kernel tells of a file a moment before its maker has it open; not later, or it may be another's to open it."""
WAKES_PER_S = 50
"""More often the places are not looked at: others may make files there without end, and each wakes every launcher."""
FRESH_LIMIT = 1000
"""So many new files are remembered; a payload that makes more is no better known by the next."""

_IN_CREATE, _IN_MOVED_TO = 0x100, 0x80
_IN_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000

Segment = tuple[int, int, int]
"""Shared memory of System V: number, key and the process that made it."""


def segments() -> dict[Segment, int]:
    """The node's shared memory segments, with the users who made them: a payload may be another user's."""
    return {(row[1], row[0], row[4]): row[9] for row in _rows("shm")}


def unassignable(users: "Container[int]") -> "set[tuple[str, int, int]]":
    """These users' semaphores and message queues of System V: kind, number, key. The kernel notes no maker of these."""
    semaphores = {("semaphores", row[1], row[0]) for row in _rows("sem") if row[6] in users}
    return semaphores | {("queue", row[1], row[0]) for row in _rows("msg") if row[9] in users}


def _rows(kind: str) -> list[list[int]]:
    """The table of what the node has of this kind: key and number stand first."""
    lines = tree.read_small(f"/proc/sysvipc/{kind}").splitlines()[1:]
    return [[int(word) for word in line.split()] for line in lines]


class Seen:
    """What was seen of one payload. `ready` is to be called when `fd` is readable, `look` when it is `next_at`."""

    def __init__(self, directory: str, poller: "select.poll", other: "int | None" = None) -> None:
        """`poller` gets the descriptor that tells of new files; `other` is the user as whom the payload runs, if it is
        not ours. Raises OSError when nothing can be written down."""
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC | posix.O_NOFOLLOW
        self.path = f"{directory}/{SEEN_FILE}"
        self.file = posix.open(self.path, flags, 0o600)
        self.notes = b""
        self.me, self.uid = posix.getpid(), posix.geteuid()
        self.users = {self.uid} if other is None else {self.uid, other}
        self.known = set(segments())
        self.before = unassignable(self.users)
        self.doubtful: list[Segment] = []
        self.ended: set[int] = set()
        """The processes that were reaped since the last look."""
        self.fresh: dict[bytes, tuple[int, int]] = {}
        """New files with device and inode, as long as nobody of ours was seen with them."""
        self.new: dict[bytes, int] = {}
        """Those of them whose maker is being looked for, with how many looks are left."""
        self.rests_until = 0.0
        self.next_at = time.monotonic() + LOOK_S
        self.poller = poller
        self.wakes, self.wakes_since, self.listens = 0, 0.0, False
        self.fd, self.places = _watch()
        self._listen()

    def _listen(self) -> None:
        if self.fd >= 0 and not self.listens:
            self.poller.register(self.fd, select.POLLIN)
            self.listens = True

    def ready(self) -> None:
        """Files have appeared."""
        now = time.monotonic()
        if now > self.wakes_since + 1:
            self.wakes, self.wakes_since = 0, now
        self.wakes += 1
        if self.wakes > WAKES_PER_S:
            self.poller.unregister(self.fd)
            self.listens = False
            self.next_at = min(self.next_at, self.wakes_since + 1)
        self._read_events()
        self._find_makers()

    def _read_events(self) -> None:
        try:
            data = posix.read(self.fd, 65536)
        except BlockingIOError:
            return
        while data:
            # struct inotify_event: watch, mask, cookie, length of the name, name.
            watch, length = (int.from_bytes(data[at : at + 4], sys.byteorder) for at in (0, 12))
            if watch in self.places:
                self._appeared(self.places[watch] + b"/" + data[16 : 16 + length].rstrip(b"\0"))
            data = data[16 + length :]

    def look(self) -> None:
        """Look at the shared memory: whose is what is new?"""
        for segment, user in segments().items():
            if segment in self.known:
                continue
            self.known.add(segment)
            ours = True if segment[2] in self.ended else self._is_ours(segment[2])
            if ours:
                self._note_segment(segment, sure=1)
            elif ours is None and user in self.users:
                self.doubtful.append(segment)
        self.ended.clear()
        self.next_at = time.monotonic() + LOOK_S
        if not self.listens and self.fd >= 0:
            self._read_events()
            self._listen()
        self._find_makers()

    def finish(self) -> None:
        """All have ended: what is there and may be the payload's is written down too, as such.

        The file is written anew, since the payload could write there.
        """
        self.look()
        there = segments()
        for segment in self.doubtful:
            if segment in there:
                self._note_segment(segment, sure=0)
        for kind, number, name in unassignable(self.users) - self.before:
            self._note({"kind": kind, "sure": 0, "id": number, "key": name, "pid": 0})
        for path, key in self.fresh.items():
            if _key(path, self.users) == key:
                self._note_file(path, key, 0, sure=0)
        try:
            recordfile.remove(self.path)
            fd = posix.open(self.path, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o600)
            posix.write(fd, self.notes)
        except OSError:
            pass  # its directory is gone or the disk is full: what was written before counts

    def _is_ours(self, pid: int) -> bool | None:
        """Whether a process descends from us; None if it is gone and nobody can tell."""
        if pid == 0 or not tree.stat_fields(pid):
            return None
        while pid > 1 and pid != self.me:
            fields = tree.stat_fields(pid)
            pid = int(fields[1]) if fields else 0
        return pid == self.me

    def _appeared(self, path: bytes) -> None:
        key = _key(path, self.users)
        if key is not None and len(self.fresh) < FRESH_LIMIT:
            self.fresh[path] = key
            self.new[path] = LOOKS

    def _find_makers(self) -> None:
        """A file that only processes of ours have open right after it appeared was made by them."""
        began = time.monotonic()
        if not self.new:
            return
        if began < self.rests_until:
            self.next_at = min(self.next_at, self.rests_until)
            return
        ours = [pid for pid, _ in tree.descendants(self.me)]
        found = _holders(ours, self.new.keys())
        if found:
            others = set(_own_pids(self.uid)) - {self.me, *ours}
            for path in found.keys() - _holders(others, found.keys()).keys():
                self._note_file(path, self.fresh.pop(path), found[path], sure=1)
        self.new = {path: left - 1 for path, left in self.new.items() if left > 1 and path not in found}
        ended = time.monotonic()
        self.rests_until = ended + max(SECOND_LOOK_S, REST_FACTOR * (ended - began))
        if self.new:
            self.next_at = min(self.next_at, self.rests_until)

    def _note_segment(self, segment: Segment, sure: int) -> None:
        self._note({"kind": "segment", "sure": sure, "id": segment[0], "key": segment[1], "pid": segment[2]})

    def _note_file(self, path: bytes, key: tuple[int, int], pid: int, sure: int) -> None:
        fields: dict[str, Value] = {"kind": "file", "sure": sure, "path": path.hex(), "pid": pid}
        self._note({**fields, "device": key[0], "inode": key[1]})

    def _note(self, fields: "dict[str, Value]") -> None:
        line = encode_record({"event": "seen", **fields})
        if len(self.notes) + len(line) > SEEN_BYTES:
            return
        self.notes += line
        try:
            posix.write(self.file, line)
        except OSError:
            pass  # a full disk: it stays unknown


def _watch() -> tuple[int, dict[int, bytes]]:
    """The descriptor that tells of new files, -1 where the kernel gives none, and which place each watch is of."""
    fd = call("inotify_init1", _IN_NONBLOCK_CLOEXEC)
    if fd < 0:
        return -1, {}
    watches = {call("inotify_add_watch", fd, place, _IN_CREATE | _IN_MOVED_TO): place for place in PLACES}
    watches.pop(-1, None)
    return fd, watches


def _key(path: bytes, users: "Container[int]") -> tuple[int, int] | None:
    """Device and inode of what is there, if it is one of these users'."""
    try:
        status = posix.lstat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status.st_uid in users else None


def _own_pids(uid: int) -> list[int]:
    found = []
    for name in posix.listdir("/proc"):
        try:
            if name.isdigit() and posix.stat(f"/proc/{name}").st_uid == uid:
                found.append(int(name))
        except OSError:
            continue
    return found


def _descriptors(pid: int) -> list[str]:
    try:
        return posix.listdir(f"/proc/{pid}/fd")
    except OSError:
        return []  # gone, or another user's


def _holders(pids: "Iterable[int]", paths: "Iterable[bytes]") -> dict[bytes, int]:
    """Which of the paths one of these processes has open or mapped, with the process."""
    mapped = any(path.startswith(PLACES[0]) for path in paths)
    found: dict[bytes, int] = {}
    for pid in pids:
        held = set()
        for fd in _descriptors(pid):
            try:
                held.add(posix.readlink(f"/proc/{pid}/fd/{fd}".encode()))
            except OSError:
                pass  # closed meanwhile
        if mapped:
            lines = tree.read_small(f"/proc/{pid}/maps").splitlines()
            held.update(b"/" + line.partition(b" /")[2] for line in lines if PLACES[0] in line)
        for path in held.intersection(paths):
            found.setdefault(path, pid)
    return found
