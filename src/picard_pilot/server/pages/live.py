"""The stream that keeps a page up to date: its changing part, drawn anew whenever something changed.

Each message is the whole part, made from the store and not from counted events, so that a reader who missed
some, reconnects or meets a restarted server sees the truth with the next one. What a view shows is in `shown`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable

from sse_starlette import EventSourceResponse, ServerSentEvent

from picard_pilot.server.feed import ChangeFeed
from picard_pilot.server.pages import render
from picard_pilot.server.pages.shown import View
from picard_pilot.server.pages.source import JobSource

#: An idle stream says this often that it is alive; `static/live.js` gives it up after three in silence.
BEAT_S = 4.0

#: At most four drawings a second reach a page, however fast jobs change.
COALESCE_S = 0.25

#: A reader that takes longer to accept a message has gone; it never holds the server.
SEND_TIMEOUT_S = 20.0


async def messages(
    view: View, source: JobSource, feed: ChangeFeed, page: Callable[[], render.Page]
) -> AsyncIterator[ServerSentEvent]:
    """First the part as it is, then again after changes and, while bars grow, with each tick; beats between."""
    news = asyncio.Event()
    listening = asyncio.create_task(_listen(view, feed, news))
    try:
        while not listening.done():
            news.clear()
            shown = await view.read(source)
            if shown is None:
                return
            event_id = str(feed.last_event_id)
            yield ServerSentEvent(data=shown.html(page(), whole=False), id=event_id)
            left_s = math.inf if shown.tick_s is None else shown.tick_s
            while not await _happened(news, min(BEAT_S, left_s)):
                left_s -= BEAT_S
                if left_s <= 0:
                    break
                yield ServerSentEvent(event="beat", data="")
            await asyncio.sleep(COALESCE_S)
    finally:
        listening.cancel()


async def _listen(view: View, feed: ChangeFeed, news: asyncio.Event) -> None:
    """Raise the flag at each change that concerns the view; end, with the flag up, when the server stops."""
    async for change in feed.subscribe():
        if view.concerns(change.job_id):
            news.set()
    news.set()


async def _happened(news: asyncio.Event, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await news.wait()
    except TimeoutError:
        return False
    return True


def stream(
    view: View, source: JobSource, feed: ChangeFeed, page: Callable[[], render.Page], headers: dict[str, str]
) -> EventSourceResponse:
    """The messages as a response that proxies do not hold back."""
    return EventSourceResponse(
        messages(view, source, feed, page),
        ping=15,
        send_timeout=SEND_TIMEOUT_S,
        headers={**headers, "X-Accel-Buffering": "no"},
    )
