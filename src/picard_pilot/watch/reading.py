"""A measurement taken now and then in a thread of its own, which may hang and may not cost more than a share of a core.

What is measured is for others; a thread that hangs in the kernel is left alone and holds no further one.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from picard_pilot.system.daemon_threads import DaemonThreads

T = TypeVar("T")

CORE_SHARE = 0.001
"""0.1 % of a core: what a measurement may cost in the long run."""

URGENT_CREDIT_S = 0.5
"""CPU time that urgent readings may spend ahead: one of the largest tree measured, or hundreds of usual ones."""

URGENT_PAUSE_S = 5.0
"""Between urgent readings at least."""


class Reading(Generic[T]):
    """One kind of measurement of one job: when it is due, what it cost, its last result."""

    def __init__(self, threads: DaemonThreads, *, period_s: float, patience_s: float) -> None:
        """`period_s` is stretched where a reading is dear; `patience_s` is how long `take` waits for one."""
        self._threads = threads
        self._period_s = period_s
        self._patience_s = patience_s
        self._began: float | None = None
        self._next = float("-inf")
        self._last_at = float("-inf")
        self.cost_s = self.spent_s = 0.0
        """CPU time of the last reading, and of all."""
        self._pending: Future[tuple[T, float]] | None = None
        self.last: T | None = None
        """The newest result, however old."""

    @property
    def pause_s(self) -> float:
        """How far apart regular readings are now."""
        return max(self._period_s, self.cost_s / CORE_SHARE)

    def due(self, now: float, *, urgent: bool = False) -> bool:
        """Whether it may be taken now: regularly, or, if urgent, as soon as what was saved so far pays for it."""
        if self._began is None:
            return True
        if now >= self._next:
            return True
        saved_s = (now - self._began) * CORE_SHARE + URGENT_CREDIT_S - self.spent_s
        return urgent and now - self._last_at >= URGENT_PAUSE_S and saved_s >= self.cost_s

    async def take(self, now: float, function: Callable[[], T]) -> T | None:
        """Take it now. None if it does not end within the patience; its result is `last` some other time.

        While an earlier one has not ended, no new one is begun.
        """
        if self._pending is None:
            self._began = now if self._began is None else self._began
            self._last_at = now
            self._pending = self._threads.submit(lambda: _timed(function))
        ends = asyncio.wrap_future(self._pending)
        try:
            await asyncio.wait({ends}, timeout=self._patience_s)
        finally:
            # It must not call a loop that may be closed by then. What a thread has begun is not disturbed by this.
            ends.cancel()
        return self.last if self.collect(now) else None

    def collect(self, now: float) -> bool:
        """Take up the result of a reading that has ended meanwhile; whether there was one. Raises what it raised."""
        if self._pending is None or not self._pending.done():
            return False
        pending, self._pending = self._pending, None
        if pending.cancelled():  # before a thread took it up
            return False
        self.last, self.cost_s = pending.result()
        self.spent_s += self.cost_s
        self._next = now + self.pause_s
        return True


def _timed(function: Callable[[], T]) -> tuple[T, float]:
    begun = time.thread_time()
    result = function()
    return result, time.thread_time() - begun
