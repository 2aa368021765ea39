"""Which file system a directory lies on, from the kernel's list of mounts. What follows from it is for others."""

import os
import re
from pathlib import Path
from typing import NamedTuple

MOUNTS = Path("/proc/self/mountinfo")

NETWORK_KINDS = frozenset(
    {
        *("nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "fuse.glusterfs", "panfs", "afs"),
        *("cifs", "smb3", "9p", "orangefs", "pvfs2", "wekafs", "quobyte", "fuse.quobyte", "fuse.ceph"),
        *("fuse.ceph-fuse", "fuse.sshfs", "ocfs2", "gfs2"),
    }
)
"""File systems that other nodes see as well, by the kernel's names."""


class Mount(NamedTuple):
    """A mounted file system: where it is seen, which folder of it, of which kind, and from where."""

    point: str
    root: str
    """The folder of the file system that is seen there; not `/` for one that is bound there from elsewhere."""
    kind: str
    source: str
    device: str
    """The file system's number: two mounts with the same one show the same files."""

    @property
    def shared(self) -> bool:
        """Whether other nodes can see it."""
        return self.kind in NETWORK_KINDS


def mount_of(path: Path, mounts: Path = MOUNTS) -> Mount | None:
    """The mount that `path` lies on; None where the list cannot be read or understood."""
    wanted = os.path.realpath(path)
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    found: Mount | None = None
    for line in lines:
        mount = _mount(line)
        # The last one of the longest names counts: it covers those before it.
        if mount and _holds(mount.point, wanted) and (not found or len(mount.point) >= len(found.point)):
            found = mount
    return found


def origin_of(path: str, mount: Mount) -> str:
    """Where a real path below this mount lies in its file system, wherever that is mounted."""
    return os.path.normpath(f"{mount.root}/{path.removeprefix(mount.point.rstrip('/'))}")


def _mount(line: str) -> Mount | None:
    """A line: id, parent, device, root, point, options, optional fields up to a dash, kind, source, more options."""
    front, _, back = line.partition(" - ")
    first, second = front.split(), back.split()
    if len(first) < 5 or len(second) < 2:
        return None
    return Mount(
        point=_plain(first[4]),
        root=_plain(first[3]),
        kind=second[0],
        source=_plain(second[1]),
        device=first[2],
    )


def _plain(text: str) -> str:
    """Blanks and the like are written as \\040."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
