"""What a control group says of memory, CPU time and processes ended by the kernel; version 2, and 1 for memory.

Only reading. Making groups and moving processes into them belongs to who confines the payload.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from picard_pilot.model.usage import CgroupSample
from picard_pilot.system.shim.tree import read_small

UNLIMITED_BYTES = 1 << 62
"""Version 1 has a number near 2**63 for no limit."""


def read(directory: Path) -> CgroupSample | None:
    """The account of the group at `directory`; None when it is gone or no group. Its limit is the smallest upwards."""
    if _has(directory, "memory.usage_in_bytes"):
        return _version_1(directory)
    if _has(directory, "cgroup.procs"):
        return _version_2(directory)
    return None


def counts_memory(directory: Path) -> bool:
    """Whether a group of version 2 counts memory: a batch system may not pass that on."""
    return _has(directory, "memory.current")


def memory_group_of(pid: int, *, proc: Path = Path("/proc")) -> Path | None:
    """The group in which the process' memory is accounted; None where there is none or it cannot be seen from here."""
    groups = dict(_groups(_text(proc / str(pid) / "cgroup")))
    for line in _text(proc / "self" / "mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        words, kind = before.split(), after.split()
        if len(words) < 5 or len(kind) < 3:
            continue
        # Version 1 has one mount per controller, version 2 one for all.
        name = "" if kind[0] == "cgroup2" else "memory" if "memory" in kind[2].split(",") else None
        if name is None or kind[0] not in ("cgroup", "cgroup2") or name not in groups:
            continue
        root, mount = words[3], _unescaped(words[4])
        found = _below(mount, root, groups[name])
        if found is not None and (name == "memory" or _has(found, "memory.events")):
            return found
    return None


def _groups(text: str) -> Iterator[tuple[str, str]]:
    """Per controller the path of a process' group; version 2 has an empty name."""
    for line in text.splitlines():
        _, names, path = [*line.split(":", 2), "", ""][:3]
        for name in names.split(","):
            yield name, path


def _below(mount: str, root: str, path: str) -> Path | None:
    """Where a group's path is found in a mount whose top is the group `root`."""
    inside = os.path.relpath(path, root)
    if inside == ".":
        return Path(mount)
    return None if inside.startswith("..") else Path(mount, inside)


def _unescaped(text: str) -> str:
    """A path of mountinfo, in which blanks are written as octal numbers."""
    return text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def _version_2(directory: Path) -> CgroupSample:
    stat = _table(directory / "memory.stat")
    swap = _number(directory / "memory.swap.current")
    memory = _sum(stat.get("anon"), stat.get("shmem"))
    cpu_us = _table(directory / "cpu.stat").get("usage_usec")
    return CgroupSample(
        memory_bytes=None if memory is None else memory + (swap or 0),
        peak_bytes=_number(directory / "memory.peak"),
        limit_bytes=_smallest(directory, "memory.max"),
        oom_kills=_table(directory / "memory.events").get("oom_kill"),
        cpu_s=None if cpu_us is None else cpu_us / 1e6,
        processes=_number(directory / "pids.current"),
    )


def _version_1(directory: Path) -> CgroupSample:
    stat = _table(directory / "memory.stat")
    memory = _sum(stat.get("total_rss"), stat.get("total_shmem", 0))
    return CgroupSample(
        memory_bytes=None if memory is None else memory + stat.get("total_swap", 0),
        peak_bytes=_number(directory / "memory.max_usage_in_bytes"),
        limit_bytes=_smallest(directory, "memory.limit_in_bytes"),
        oom_kills=_table(directory / "memory.oom_control").get("oom_kill"),
    )


def _smallest(directory: Path, name: str) -> int | None:
    """The smallest limit of the group and those above it, as far as they can be seen."""
    found: int | None = None
    while _has(directory, "cgroup.procs"):
        value = _number(directory / name)
        if value is not None and value < UNLIMITED_BYTES:
            found = value if found is None else min(found, value)
        directory = directory.parent
    return found


def _has(directory: Path, name: str) -> bool:
    """Whether there is such a file; never raises, unlike `Path.exists` for a folder that is not ours to see."""
    return os.path.exists(directory / name)  # noqa: PTH110


def _sum(*parts: int | None) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _table(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    words = (line.split() for line in _text(path).splitlines())
    return {each[0]: int(each[1]) for each in words if len(each) == 2 and each[1].isdigit()}


def _number(path: Path) -> int | None:
    """A file of one number; None where it is missing or says `max`."""
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    return read_small(str(path)).decode("ascii", "replace")
