"""The feed of changes: whoever shows jobs waits here for the next one. What a change meant is in the store.

Every change has the number of its row in the status log, so a reader that comes back names the last one it saw.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

import msgspec

KEPT_CHANGES = 2000
"""Changes kept for readers that fall behind or come back; beyond that they are told to look at everything anew."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A job changed. `job_id` None: too much was missed, read everything anew."""

    event_id: int
    job_id: int | None


class ChangeFeed:
    """One per store, used on the event loop only. A slow reader costs nothing: it only falls behind."""

    def __init__(self, last_event_id: int) -> None:
        self._kept: deque[Change] = deque(maxlen=KEPT_CHANGES)
        self._before_kept = last_event_id
        self._last_event_id = last_event_id
        self._news = asyncio.Event()
        self._closed = False

    @property
    def last_event_id(self) -> int:
        """The number of the newest change."""
        return self._last_event_id

    def publish(self, changes: Sequence[Change]) -> None:
        """Tell of changes that are committed, in the order of their numbers."""
        for change in changes:
            if len(self._kept) == KEPT_CHANGES:
                self._before_kept = self._kept[0].event_id
            self._kept.append(change)
            self._last_event_id = change.event_id
        self._wake()

    def close(self) -> None:
        """End every subscription: the server stops."""
        self._closed = True
        self._wake()

    async def subscribe(self, after: int | None = None) -> AsyncIterator[Change]:
        """Changes after number `after` (None: from now on), until the server stops.

        Yields a change without a job id, once, where changes after `after` are no longer kept.
        """
        cursor = self._last_event_id if after is None else after
        while not self._closed:
            news = self._news
            if cursor < self._before_kept or cursor > self._last_event_id:
                cursor = self._last_event_id
                yield Change(event_id=cursor, job_id=None)
                continue
            for change in [kept for kept in self._kept if kept.event_id > cursor]:
                cursor = change.event_id
                yield change
            if cursor == self._last_event_id and not self._closed:
                await news.wait()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
