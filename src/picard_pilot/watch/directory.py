"""How large a work directory is and whether files in it change, without following links or entering mounts.

When to look, and that a look which hangs holds nobody, is `sampler`.
"""

import os
import stat
from collections.abc import Collection
from pathlib import Path

from picard_pilot.model.usage import DirectorySample

MOST_ENTRIES = 200_000
"""At 3 µs an entry a look costs 0.6 s of CPU; beyond it, the numbers are lower bounds."""

_BLOCK_BYTES = 512
"""The unit of st_blocks, whatever the file system's own is."""


def measure(
    top: Path, at: float, *, not_progress: Collection[str] = (), most_entries: int = MOST_ENTRIES
) -> DirectorySample | None:
    """The directory's size and stamp; None when it cannot be read at all.

    `not_progress` are names in `top` that the pilot itself writes: they take room, but are no sign of the payload's
    life. What the payload locked away is not counted, which makes the numbers lower bounds.
    """
    try:
        status = os.lstat(top)
    except OSError:
        return None
    if not stat.S_ISDIR(status.st_mode):
        return None
    look = _Look(status.st_dev, most_entries)
    look.count(status, stamped=False)
    # Depth by depth: what a payload nests without end is cut off by the number of entries, not by a recursion.
    waiting = [(str(top), True)]
    for path, stamped in waiting:
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    own = path == waiting[0][0] and entry.name in not_progress
                    if not look.room:
                        break
                    if look.visit(entry, stamped and not own):
                        waiting.append((entry.path, stamped and not own))
        except FileNotFoundError:
            continue  # removed meanwhile
        except OSError:
            look.whole = False
    return look.sample(at)


class _Look:
    """The sums of one look."""

    def __init__(self, device: int, most_entries: int) -> None:
        self._device = device
        self.room = most_entries
        self.whole = True
        self._bytes = self._files = self._stamp = 0
        self._linked: set[tuple[int, int]] = set()

    def visit(self, entry: "os.DirEntry[str]", stamped: bool) -> bool:
        """Count an entry; whether to go into it."""
        self.room -= 1
        if not self.room:
            self.whole = False
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError:
            self.whole = False
            return False
        # Mounted there by a container for instance: none of the job's own bytes. (Files may have other numbers than
        # their directory, on an overlay file system.)
        if stat.S_ISDIR(status.st_mode) and status.st_dev != self._device:
            return False
        self.count(status, stamped)
        return stat.S_ISDIR(status.st_mode)

    def count(self, status: os.stat_result, stamped: bool) -> None:
        """Add an entry's bytes, once for a file with several names."""
        is_directory = stat.S_ISDIR(status.st_mode)
        if status.st_nlink > 1 and not is_directory:
            if (status.st_dev, status.st_ino) in self._linked:
                return
            self._linked.add((status.st_dev, status.st_ino))
        self._bytes += status.st_blocks * _BLOCK_BYTES
        self._files += not is_directory
        # Directories change by the pilot's own files, too.
        if stamped and not is_directory:
            own = hash((status.st_ino, status.st_size, status.st_mtime_ns))
            self._stamp = (self._stamp + own) & 0xFFFF_FFFF_FFFF_FFFF

    def sample(self, at: float) -> DirectorySample:
        """What was counted."""
        return DirectorySample(
            at=at, size_bytes=self._bytes, files=self._files, stamp=self._stamp, whole=self.whole
        )
