"""Waiting for whichever comes first, with nothing left behind.

What is waited for is up to the caller.
"""

import asyncio
from collections.abc import Awaitable


async def first_of(*awaitables: Awaitable[object]) -> None:
    """Return when one of them is done; the others are cancelled. What the first one raises is raised here."""
    waits = [asyncio.ensure_future(one) for one in awaitables]
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
    finally:
        for one in waits:
            one.cancel()
