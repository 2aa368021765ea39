"""A clock that stands still until a test advances it, so that hours pass in milliseconds and always alike.

It moves no real time: what waits for a child, a socket or `asyncio.sleep` waits as ever.
"""

import asyncio
import heapq
import itertools

SETTLE_ROUNDS = 50
"""Turns of the event loop given to woken tasks: more than any chain of awaits without real waiting takes."""


class VirtualClock:
    """A `system.clock.Clock` whose time is set by `advance`. Sleepers wake in the order of their times.

    Those with the same time wake in the order in which they fell asleep.
    """

    def __init__(self, *, start_utc: float = 1_800_000_000.0) -> None:
        self._now = 0.0
        self._start_utc = start_utc
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        """Seconds that the clock was advanced so far."""
        return self._now

    def now_utc(self) -> float:
        """The start plus the same seconds, plus whatever `set_wall` changed."""
        return self._start_utc + self._now

    def set_wall(self, now_utc: float) -> None:
        """Set the wall clock, forward or back, as an administrator would; the monotonic one does not notice."""
        self._start_utc = now_utc - self._now

    async def sleep(self, seconds: float, /) -> None:
        """Wait until the clock was advanced by so much; at once if it is not positive."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wakes: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), wakes))
        await wakes

    @property
    def sleepers(self) -> int:
        """How many wait; those whose tasks were cancelled do not count."""
        return sum(not wakes.done() for _, _, wakes in self._sleepers)

    def next_wake(self) -> float | None:
        """The monotonic time at which the next sleeper wakes; None if nobody sleeps."""
        self._drop_cancelled()
        return self._sleepers[0][0] if self._sleepers else None

    async def advance(self, seconds: float) -> None:
        """Let so much time pass. Each sleeper due on the way wakes at its own time and runs on before the next.

        That includes those that fall asleep on the way and are due before the end.
        """
        end = self._now + seconds
        await self.settle()
        while (wake := self.next_wake()) is not None and wake <= end:
            self._now = wake
            heapq.heappop(self._sleepers)[2].set_result(None)
            await self.settle()
        self._now = end

    async def settle(self) -> None:
        """Let all tasks run as far as they come without time passing."""
        for _ in range(SETTLE_ROUNDS):
            await asyncio.sleep(0)

    def _drop_cancelled(self) -> None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
