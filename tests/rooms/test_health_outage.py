"""A hundred pilots of one node and a storage that is down for an hour, on a virtual clock and one real file."""

import asyncio
import random
from pathlib import Path

from picard_pilot.data.health import FAILURES_TO_OPEN, LOOK_AGAIN, OPEN
from picard_pilot.data.health_file import SharedHealth
from picard_pilot.data.walk import Pace, walk
from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.site import Endpoint
from picard_pilot.model.transfer import FailureClass, How, Remedy, Source, TransferFailure, Transferred
from picard_pilot.testing.clock import VirtualClock

PILOTS = 100
AT_ONCE = 2
"""Transfers of one pilot at a time."""

OUTAGE_BEGINS_S = 30.0
OUTAGE_S = 3600.0
ANSWER_S = 1.0
NO_ANSWER_S = 10.0
"""How long it takes until a request is known to have failed: long enough that all slots wait for one at first."""

FILE_EVERY_S = 10.0
"""How long a pilot works with a file before it wants the next one."""


def probes_at_most(outage_s: float) -> int:
    """How many shortest pauses of the breaker fit into an outage: the P of docs/storage.md."""
    count, at = 0, 0.0
    while True:
        at += min(OPEN.longest_s, OPEN.first_s * OPEN.factor**count) * (1 - OPEN.jitter)
        if at > outage_s:
            return count
        count += 1


class Storage:
    """It answers, is down for an hour, and writes down when it was asked."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.asked: list[float] = []
        self.active = 0
        self.most_active_late = 0
        self.first_success_after: float | None = None

    @property
    def down(self) -> bool:
        """Whether it is down now."""
        return OUTAGE_BEGINS_S <= self.clock.monotonic() < OUTAGE_BEGINS_S + OUTAGE_S

    async def fetch(self, source: Source) -> Transferred | TransferFailure:
        """One request."""
        began = self.clock.monotonic()
        self.asked.append(began)
        self.active += 1
        if began > OUTAGE_BEGINS_S + 2 * NO_ANSWER_S and self.first_success_after is None:
            self.most_active_late = max(self.most_active_late, self.active)
        down = self.down
        await self.clock.sleep(NO_ANSWER_S if down else ANSWER_S)
        self.active -= 1
        if down:
            return TransferFailure(kind=FailureClass.CONTACT, says="nobody listens", remedy=Remedy.BENCH)
        if began >= OUTAGE_BEGINS_S + OUTAGE_S and self.first_success_after is None:
            self.first_success_after = self.clock.monotonic()
        return Transferred(
            surl=source.surl,
            size_bytes=1,
            checksum=Checksum(ChecksumKind.ADLER32, "00000001"),
            seconds=ANSWER_S,
            how=How.COPY,
            mover="test",
        )


async def slot(storage: Storage, pace: Pace) -> None:
    """One of a pilot's slots: file after file, for ever."""
    number = 0
    await pace.clock.sleep(pace.dice.random() * FILE_EVERY_S)
    while True:
        number += 1
        source = Source(surl=f"root://a//{number}", endpoint=Endpoint(name="A"), reason="the only one")
        await walk([source], storage.fetch, pace)
        await pace.clock.sleep(FILE_EVERY_S)


def test_a_hundred_pilots_and_a_storage_that_is_down_for_an_hour(tmp_path: Path) -> None:
    """No more requests than the formula says, one probe at a time, back within two probes, and not all at once."""
    clock = VirtualClock()
    storage = Storage(clock)

    async def run() -> None:
        tasks = []
        for seed in range(PILOTS):
            dice = random.Random(seed)
            pace = Pace(clock=clock, dice=dice, health=SharedHealth(tmp_path / "node", clock, dice))
            tasks += [asyncio.create_task(slot(storage, pace)) for _ in range(AT_ONCE)]
        await clock.advance(OUTAGE_BEGINS_S + OUTAGE_S)
        while storage.first_success_after is None and clock.monotonic() < 10_000:
            await clock.advance(10)
        await clock.advance(30)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())
    ends = OUTAGE_BEGINS_S + OUTAGE_S
    during = [at for at in storage.asked if OUTAGE_BEGINS_S <= at < ends]
    at_most = FAILURES_TO_OPEN + PILOTS * AT_ONCE - 1 + probes_at_most(OUTAGE_S)
    assert len(during) > PILOTS  # it was a hard case
    assert len(during) <= at_most
    assert storage.most_active_late == 1

    opened = storage.first_success_after
    assert opened is not None
    assert opened - ends <= OPEN.longest_s + OPEN.first_s * LOOK_AGAIN + NO_ANSWER_S + ANSWER_S
    before_opening = [at for at in storage.asked if ends <= at < opened]
    assert len(before_opening) <= 2
    back = [at for at in storage.asked if opened <= at <= opened + 20]
    busiest = max(sum(at <= other < at + 1 for other in back) for at in back)
    assert len(back) >= PILOTS * AT_ONCE * 0.9
    assert busiest < len(back) / 3
