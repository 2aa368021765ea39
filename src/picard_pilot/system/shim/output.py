"""Watching how much a command has written. It looks at standard output and error (1 and 2) of the launcher itself.

Stopping a command that writes too much is for `launcher`.
"""

import posix

WATCH_MIN_S = 0.005
WATCH_MAX_S = 1.0
"""Between two looks: short where the output grows fast; where it does not, a look costs 0.3 ms, so 0.03 % of a core."""
EXCESS_FACTOR = 2
EXCESS_BYTES = 64 << 20
"""A command that was told to stop for its output and is beyond the limit by both of these is killed at once."""


class Output:
    """The sizes of both streams since the start, and when to look again.

    Files keep all that was written. They exceed the limit by what is written between two looks: a look comes
    after half the time that the rest of the room lasts at the present rate, so that is little for a steady
    writer; one that starts all of a sudden writes up to `WATCH_MAX_S` unseen.
    """

    def __init__(self, limit_bytes: "int | None") -> None:
        self.limit_bytes = limit_bytes
        self._start = [posix.fstat(fd).st_size for fd in (1, 2)]
        self._shared = posix.fstat(1)[1:3] == posix.fstat(2)[1:3]  # device and inode
        self._sizes = [0, 0]
        self._interval_s = WATCH_MIN_S
        self._last_bytes = 0

    def sizes(self) -> list[int]:
        """Bytes written to standard output and to standard error; a file that both share counts as output."""
        for at, fd in enumerate((1, 2)):
            try:
                self._sizes[at] = max(0, posix.fstat(fd).st_size - self._start[at])
            except OSError:
                pass  # a network file system has a bad moment; the last size is as good as any
        return [self._sizes[0], 0] if self._shared else list(self._sizes)

    def look(self) -> tuple[bool, bool, float]:
        """Whether the limit is exceeded, whether grossly, and after how many seconds to look again."""
        if self.limit_bytes is None:
            return False, False, WATCH_MAX_S
        size = max(self.sizes())
        grown, self._last_bytes = size - self._last_bytes, size
        lasts_s = (self.limit_bytes - size) / grown * self._interval_s if grown > 0 else WATCH_MAX_S
        self._interval_s = min(max(lasts_s / 2, WATCH_MIN_S), self._interval_s * 2, WATCH_MAX_S)
        over = size > self.limit_bytes
        gross = size > self.limit_bytes * EXCESS_FACTOR and size > self.limit_bytes + EXCESS_BYTES
        return over, gross, self._interval_s
