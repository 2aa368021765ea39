"""Room for inputs: what scratch and the queue leave for copies, and which inputs are read directly for lack of it.

Pure: how much is free is told by the caller. Copy or direct for one file is `data.choice`.
"""

from collections.abc import Sequence
from typing import NamedTuple

RESERVE_BYTES = 64 << 20
"""Left free behind the inputs for the payload's first steps and the pilot's own records."""

RESERVE_PART = 20
"""A small disk keeps the twentieth part of what is free instead."""


class NoRoom(Exception):
    """The inputs do not fit: `fault` is the catalogue's name for the reason, `says` its sentence."""

    def __init__(self, fault: str, says: str) -> None:
        super().__init__(says)
        self.fault = fault
        self.says = says


class Wanted(NamedTuple):
    """What one input would take as a copy, and whether it may be read directly instead."""

    lfn: str
    size_bytes: int
    may_be_direct: bool


class Room:
    """What is left for copies. None where neither disk nor queue sets a bound."""

    def __init__(self, free_bytes: int | None, queue_limit_bytes: int | None, already_bytes: int = 0) -> None:
        """`free_bytes` is what scratch has, `queue_limit_bytes` what a job's copied inputs may be in all, of which
        `already_bytes` are there from before."""
        self._disk = None if free_bytes is None else max(0, free_bytes - reserve_of(free_bytes))
        self._queue = queue_limit_bytes
        queue_left = None if queue_limit_bytes is None else max(0, queue_limit_bytes - already_bytes)
        bounds = [bound for bound in (self._disk, queue_left) if bound is not None]
        self._queue_binds = queue_left is not None and queue_left == min(bounds)
        self.left_bytes: int | None = min(bounds) if bounds else None
        self._reserved: dict[str, int] = {}

    def holds(self, size_bytes: int) -> bool:
        """Whether there is room for so much."""
        return self.left_bytes is None or size_bytes <= self.left_bytes

    def plan(self, wanted: Sequence[Wanted]) -> tuple[str, ...]:
        """Reserve room for these copies; what does not fit and may be read directly is returned, by LFN.

        The largest are read directly first: that leaves most copies. Raises NoRoom where even that does not help.
        """
        if self.left_bytes is None:
            return ()
        total = sum(one.size_bytes for one in wanted)
        spared: list[str] = []
        for one in sorted(wanted, key=lambda one: one.size_bytes, reverse=True):
            if total <= self.left_bytes:
                break
            if one.may_be_direct:
                spared.append(one.lfn)
                total -= one.size_bytes
        if total > self.left_bytes:
            rest = [one for one in wanted if one.lfn not in spared]
            raise self._too_much(total, max(rest, key=lambda one: one.size_bytes), bool(spared))
        direct = frozenset(spared)
        for one in wanted:
            if one.lfn not in direct:
                self.take(one.lfn, one.size_bytes)
        return tuple(spared)

    def take(self, lfn: str, size_bytes: int | None) -> bool:
        """Reserve room for one copy; whether there was enough. One that was reserved before has its room."""
        if lfn in self._reserved or self.left_bytes is None or size_bytes is None:
            return True
        if size_bytes > self.left_bytes:
            return False
        self._reserved[lfn] = size_bytes
        self.left_bytes -= size_bytes
        return True

    def left_for(self, lfn: str) -> int | None:
        """What a copy of this file may take; None: no bound, or its room is reserved."""
        return None if lfn in self._reserved else self.left_bytes

    def give_back(self, lfn: str) -> None:
        """The file was not copied after all."""
        size_bytes = self._reserved.pop(lfn, None)
        if size_bytes is not None and self.left_bytes is not None:
            self.left_bytes += size_bytes

    def _too_much(self, total_bytes: int, largest: Wanted, some_direct: bool) -> NoRoom:
        rest = " that cannot be read directly" if some_direct else ""
        what = f"the inputs{rest} have {total_bytes} bytes (the largest, {largest.lfn}, has {largest.size_bytes})"
        if self._queue_binds:
            permitted = f"the queue permits copies of {self._queue} bytes per job (maxinputsize)"
            return NoRoom("SIZETOOLARGE", f"{what}; {permitted}")
        return NoRoom("NOLOCALSPACE", f"{what}; scratch has room for {self.left_bytes}")


def reserve_of(free_bytes: int) -> int:
    """How much of the free room is not for inputs."""
    return min(RESERVE_BYTES, free_bytes // RESERVE_PART)
