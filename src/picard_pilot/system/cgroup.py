"""Control groups of version 2 for payloads: where one may be made, making it, its limits, killing and removing it.

Reading what a group uses is `watch.cgroups`. Everything here is opportunistic: a batch system hands its groups to the
job's user or does not, and where it does, not the group in which the job's processes are but one above it.
"""

import errno
import os
from pathlib import Path
from typing import NamedTuple

from picard_pilot.system import proc

CONTROLLERS = ("memory", "pids", "cpu")
"""What a payload's group is to count and limit, as far as the batch system passes it on."""
PILOT_GROUP = "picard-pilot"
"""The name of the group into which the pilot goes where it would be in the way: a group that passes controllers on has
no processes of its own."""


class Place(NamedTuple):
    """A group in which groups may be made: HTCondor's slice, for instance."""

    path: Path
    own: Path
    """The pilot's own group, which is this one or lies in it."""


class NoPlace(NamedTuple):
    """No group may be made, and why."""

    says: str


class Group(NamedTuple):
    """A payload's group, and which controllers it has."""

    path: Path
    controllers: tuple[str, ...]

    @property
    def kills(self) -> bool:
        """Whether the kernel kills all in it at once (Linux 5.14)."""
        return (self.path / "cgroup.kill").exists()


def find_place(
    groups: Path = Path("/proc/self/cgroup"), mounts: Path = Path("/proc/self/mountinfo")
) -> Place | NoPlace:
    """Upwards from the pilot's own group, the first in which it may make groups and move processes."""
    try:
        own = _own_group(groups.read_text(), mounts.read_text())
    except OSError as error:
        return NoPlace(f"this kernel shows no control groups ({error.strerror})")
    if own is None:
        return NoPlace("no control groups of version 2 are mounted here")
    each = own
    while (each / "cgroup.procs").exists():
        if _may_make(each):
            return Place(each, own)
        each = each.parent
    return NoPlace(f"none of the control groups from {own} upwards may be written")


def make(place: Place, name: str) -> Group:
    """Make the group `name`, or find that it is there, with as many controllers as can be had. Raises OSError."""
    path = place.path / name
    path.mkdir(exist_ok=True)
    offered = _words(place.path / "cgroup.controllers")
    wanted = [each for each in CONTROLLERS if each in offered]
    # The order counts: with a process in the group the kernel passes some controllers on all the same, and makes of it
    # a kind of group in which no other can be used.
    if _is_top(place.path) or not _pids(place.path) or _make_way(place):
        for each in wanted:
            _write(place.path / "cgroup.subtree_control", f"+{each}")
    return Group(path, tuple(each for each in wanted if each in _words(path / "cgroup.controllers")))


def limit(group: Group, *, memory_bytes: int | None = None, processes: int | None = None) -> tuple[str, ...]:
    """Set limits; the names of those that are set. A payload beyond its memory is killed as a whole."""
    done = []
    if memory_bytes is not None and _write(group.path / "memory.max", str(memory_bytes)):
        _write(group.path / "memory.oom.group", "1")
        # A limit that only pushes the payload into swap would be none.
        _write(group.path / "memory.swap.max", "0")
        done.append("memory")
    if processes is not None and _write(group.path / "pids.max", str(processes)):
        done.append("processes")
    return tuple(done)


def kill(group: Path) -> bool:
    """Kill all that is in the group and below, whoever's it is; False where the kernel cannot, or the group is gone."""
    return _write(group / "cgroup.kill", "1")


def is_empty(group: Path) -> bool:
    """Whether no process is in the group or below it; a group that is gone is empty."""
    try:
        return "populated 0" in (group / "cgroup.events").read_text().splitlines()
    except OSError:
        return True


def remove(group: Path) -> bool:
    """Remove the group with those that the payload made in it; False while a process is in it."""
    try:
        below = sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True)
        for each in (*below, group):
            each.rmdir()
    except FileNotFoundError:
        return not group.exists()
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.EACCES, errno.EPERM):
            return False
        raise
    return True


def _own_group(groups: str, mounts: str) -> Path | None:
    """The folder of the calling process' group of version 2."""
    path = next((line[3:] for line in groups.splitlines() if line.startswith("0::")), None)
    if path is None:
        return None
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        words = before.split()
        if after.split()[:1] == ["cgroup2"] and len(words) > 4:
            inside = os.path.relpath(path, words[3])
            # Outside of what is mounted, as in a container that shares its node's groups.
            return None if inside.startswith("..") else Path(words[4].replace("\\040", " "), inside)
    return None


def _may_make(path: Path) -> bool:
    """Whether a group can be made in this one and processes moved there; asked by doing it, for root is told yes."""
    if not os.access(path, os.W_OK) or not os.access(path / "cgroup.procs", os.W_OK):
        return False
    probe = path / f"picard-probe-{os.getpid()}"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError:
        return False
    return True


def _is_top(path: Path) -> bool:
    """The group above all others may have processes and pass controllers on."""
    return not (path / "cgroup.type").exists()


def _make_way(place: Place) -> bool:
    """Move the pilot's processes out of the place, if there are no others; whether it is free now."""
    found = _pids(place.path)
    ours = {os.getpid(), *(process.pid for process in proc.descendants(os.getpid()))}
    if not found or not set(found) <= ours:
        return False
    group = place.path / PILOT_GROUP
    try:
        group.mkdir(exist_ok=True)
    except OSError:
        return False
    while left := _pids(place.path):
        if not all(_write(group / "cgroup.procs", str(pid)) for pid in left):
            return False
    return True


def _pids(path: Path) -> list[int]:
    return [int(word) for word in _words(path / "cgroup.procs") if word.isdigit()]


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _write(path: Path, text: str) -> bool:
    """Write to one of the kernel's files; False where it is not there, not ours, or does not take it."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, text.encode())
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
