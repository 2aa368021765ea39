"""The time, as everything in the pilot that waits or stamps gets it passed. Deadlines are for their owners.

A clock that tests advance by hand is `testing.clock`.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Two times and a way to wait."""

    def monotonic(self) -> float:
        """Seconds since some moment; never set back, so this is what pauses and limits are measured with."""

    def now_utc(self) -> float:
        """Seconds since 1970, UTC. Somebody may set it back; it is for records and for people."""

    async def sleep(self, seconds: float, /) -> None:
        """Return after so many seconds; at once, but not without letting others run, if it is not positive."""


class RealClock:
    """The node's clock."""

    def monotonic(self) -> float:
        """See `Clock`."""
        return time.monotonic()

    def now_utc(self) -> float:
        """See `Clock`."""
        return time.time()

    async def sleep(self, seconds: float, /) -> None:
        """See `Clock`."""
        await asyncio.sleep(seconds)
