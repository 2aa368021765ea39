"""A reading that costs something: how often it is taken, when it is urgent, and when it ends late."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from process_kit import DEADLINE_S, go, until_async
from watch_kit import spend

from picard_pilot.system.daemon_threads import DaemonThreads
from picard_pilot.watch.reading import CORE_SHARE, URGENT_CREDIT_S, URGENT_PAUSE_S, Reading


@asynccontextmanager
async def reading(period_s: float) -> AsyncIterator[Reading[float]]:
    """A reading with a pool of its own."""
    threads = DaemonThreads("watch-test", 1)
    try:
        yield Reading(threads, period_s=period_s, patience_s=DEADLINE_S)
    finally:
        threads.close()


def test_a_dear_reading_is_taken_less_often(tmp_path: Path) -> None:
    """So that it costs no more than its share of a core; a cheap one keeps its period."""

    async def story() -> None:
        async with reading(5.0) as cheap:
            await cheap.take(0.0, lambda: 1.0)
            assert cheap.pause_s == 5.0
            assert not cheap.due(4.9)
            assert cheap.due(5.0)
        async with reading(5.0) as dear:
            assert dear.due(0.0)
            assert await dear.take(0.0, lambda: spend(0.02)) is not None
            assert dear.pause_s >= 0.02 / CORE_SHARE
            assert not dear.due(19.9)
            assert dear.due(dear.pause_s)

    go(story())


def test_urgent_readings_come_sooner_and_cannot_cost_more_in_the_long_run() -> None:
    """A day of urgency costs the share of a day, the credit and one reading."""

    async def story() -> None:
        async with reading(60.0) as dear:
            now, cost = 0.0, 0.05
            await dear.take(now, lambda: spend(cost))
            assert not dear.due(1.0, urgent=True)
            assert dear.due(URGENT_PAUSE_S, urgent=True)
            assert not dear.due(URGENT_PAUSE_S)
            while now < 400:
                now += URGENT_PAUSE_S
                if dear.due(now, urgent=True):
                    await dear.take(now, lambda: spend(cost))
            assert dear.spent_s > 2 * cost
            assert dear.spent_s <= now * CORE_SHARE + URGENT_CREDIT_S + 2 * cost

    go(story())


def test_a_reading_that_ends_late_is_taken_up_by_the_next() -> None:
    """And no second one is begun beside it."""

    async def story() -> None:
        released, count = threading.Event(), []
        threads = DaemonThreads("watch-test", 2)
        slow: Reading[int] = Reading(threads, period_s=5.0, patience_s=0.0)

        def read() -> int:
            count.append(1)
            released.wait(DEADLINE_S)
            return 42

        while not count:  # one that no thread has taken up yet is given up with the patience
            assert await slow.take(0.0, read) is None
        assert await slow.take(100.0, read) is None
        assert not slow.collect(200.0)
        released.set()
        await until_async(lambda: slow.collect(300.0), "the reading to end")
        assert slow.last == 42
        assert len(count) == 1
        threads.close()

    go(story())
