"""Several files of one job at once: a few tasks that take one after the other from a common list.

What is done with a file is the caller's; how many transfers really run, which are fewer for uploads, is the worker's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from picard_pilot.data.worker_protocol import READS_AT_ONCE

Item = TypeVar("Item")


async def for_each(
    items: Sequence[Item], handle: Callable[[Item], Awaitable[None]], go_on: Callable[[], bool]
) -> None:
    """Handle all items, as many at once as the worker reads, while `go_on` says so.

    What a handler raises ends the others and is raised here as it is.
    """
    queue = iter(items)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(READS_AT_ONCE, len(items))):
                group.create_task(_serve(queue, handle, go_on))
    except BaseExceptionGroup as raised:
        raise _first(raised) from None


async def _serve(
    queue: Iterator[Item], handle: Callable[[Item], Awaitable[None]], go_on: Callable[[], bool]
) -> None:
    for item in queue:
        if not go_on():
            return
        await handle(item)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
