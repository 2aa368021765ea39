"""The watcher on a virtual clock: when it looks, what it reports, and what it knows of the kernel's kills."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from process_kit import go, until_async
from watch_kit import bundle_in, running

from picard_pilot.model.limits import Breach, From, Limit, Measure
from picard_pilot.model.states import Phase
from picard_pilot.model.usage import (
    CgroupSample,
    DirectorySample,
    IoCounts,
    PssSample,
    Sample,
    TreeSample,
    UsageNow,
)
from picard_pilot.system.clock import RealClock
from picard_pilot.testing.clock import VirtualClock
from picard_pilot.watch.job_files import SERIES_FILE, SUMMARY_FILE
from picard_pilot.watch.sampler import Sampler, Subject
from picard_pilot.watch.series import Series
from picard_pilot.watch.summary import Summary
from picard_pilot.watch.watcher import Watcher

TREE = TreeSample(
    processes=1,
    threads=1,
    cpu_user_s=1.0,
    cpu_system_s=0.0,
    rss_bytes=0,
    vmem_bytes=0,
    io=IoCounts(rchar=0, wchar=0, read_bytes=0, write_bytes=0),
)


def limit(measure: Measure, value: float) -> Limit:
    """A limit of the test."""
    return Limit(measure=measure, value=value, origin=From.DEFAULT, detail="of the test")


class Script:
    """Looks as a test wants them."""

    def __init__(self, clock: VirtualClock, seen: Callable[[float], Sample], pause_s: float = 5.0) -> None:
        self.clock, self.seen, self.pause_s = clock, seen, pause_s
        self.times: list[float] = []

    async def look(self) -> Sample:
        """What there is now."""
        self.times.append(self.clock.monotonic())
        return self.seen(self.times[-1])


@asynccontextmanager
async def watched(watcher: Watcher) -> AsyncIterator[list[Breach]]:
    """The breaches so far of a watcher that runs meanwhile."""
    found: list[Breach] = []

    async def run() -> None:
        async with aclosing(watcher.breaches()) as breaches:
            async for breach in breaches:
                found.append(breach)

    task = asyncio.create_task(run())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_each_broken_limit_is_reported_once_and_the_watch_goes_on() -> None:
    """While one breach is dealt with another may happen; the first one need not be said again."""

    async def story() -> None:
        clock = VirtualClock()
        script = Script(
            clock, lambda at: Sample(at=at, phase=Phase.RUNNING, wall_s=at, stdout_bytes=int(at // 100))
        )
        limits = (limit(Measure.WALL_TIME, 60), limit(Measure.OUTPUT_TEXT, 1))
        watcher = Watcher(script, limits, clock, cores=1, summary=Summary(), series=Series())
        async with watched(watcher) as found:
            await clock.advance(60)
            assert found == []
            await clock.advance(5)
            assert [each.limit.measure for each in found] == [Measure.WALL_TIME]
            assert (found[0].value, found[0].at) == (65, 65)
            await clock.advance(1000)
            assert [each.limit.measure for each in found] == [Measure.WALL_TIME, Measure.OUTPUT_TEXT]
        assert script.times[:4] == [0, 5, 10, 15]
        assert watcher.history.last is not None
        assert watcher.history.last.at == 1065

    go(story())


def test_two_limits_broken_at_once_are_both_reported() -> None:
    """In the order in which they stand."""

    async def story() -> None:
        clock = VirtualClock()
        script = Script(clock, lambda at: Sample(at=at, phase=Phase.RUNNING, wall_s=9.0, stdout_bytes=9))
        limits = (limit(Measure.OUTPUT_TEXT, 1), limit(Measure.WALL_TIME, 1))
        async with watched(
            Watcher(script, limits, clock, cores=1, summary=Summary(), series=Series())
        ) as found:
            await clock.advance(0)
            assert [each.limit for each in found] == list(limits)

    go(story())


def test_looks_that_cost_more_come_less_often() -> None:
    """Whoever looks says how long to wait."""

    async def story() -> None:
        clock = VirtualClock()
        script = Script(clock, lambda at: Sample(at=at, phase=Phase.RUNNING), pause_s=20.0)
        async with watched(Watcher(script, (), clock, cores=1, summary=Summary(), series=Series())):
            await clock.advance(30)
            script.pause_s = 5.0
            await clock.advance(15)
        assert script.times == [0, 20, 40, 45]

    go(story())


def test_a_payload_that_does_nothing_is_reported_and_one_that_gives_its_word_is_not() -> None:
    """Eight hours in milliseconds."""

    async def story(declares: bool) -> list[Breach]:
        clock = VirtualClock()
        script = Script(
            clock,
            lambda at: Sample(
                at=at, phase=Phase.RUNNING, tree=TREE, declared=int(at // 3600) if declares else None
            ),
            pause_s=60.0,
        )
        limits = (limit(Measure.QUIET_TIME, 7200),)
        async with watched(
            Watcher(script, limits, clock, cores=8, summary=Summary(), series=Series())
        ) as found:
            await clock.advance(8 * 3600)
        return found

    assert [each.error for each in go(story(False))] == ["LOOPINGJOB"]
    assert go(story(True)) == []


def test_the_kernel_s_kills_are_those_since_the_first_look() -> None:
    """The slot's group may have seen some before; without a group nothing is known."""
    counts = [2, 2, 3]

    def add(watcher: Watcher, *kills: int | None) -> int | None:
        for at, count in enumerate(kills):
            group = None if count is None else CgroupSample(oom_kills=count)
            watcher.add(Sample(at=float(at), phase=Phase.RUNNING, cgroup=group))
        return watcher.kernel_kills

    def watcher() -> Watcher:
        clock = VirtualClock()
        script = Script(clock, lambda at: Sample(at=at, phase=Phase.RUNNING))
        return Watcher(script, (), clock, cores=1, summary=Summary(), series=Series())

    assert add(watcher(), *counts) == 1
    assert add(watcher(), 2, 2) == 0
    assert add(watcher(), None, None) is None
    assert add(watcher(), None, 2, 4) == 2
    assert add(watcher(), 2, 3, None) == 1


def test_a_kill_between_the_last_look_and_the_end_is_seen_in_the_group_s_last_account() -> None:
    """A payload that is killed for its memory is gone within milliseconds; its group was empty before it began."""
    clock = VirtualClock()
    script = Script(clock, lambda at: Sample(at=at, phase=Phase.RUNNING))
    watcher = Watcher(
        script, (), clock, cores=1, summary=Summary(), series=Series(), group_before=CgroupSample(oom_kills=0)
    )
    watcher.add(Sample(at=0.0, phase=Phase.RUNNING, cgroup=CgroupSample(oom_kills=0)))
    assert watcher.kernel_evidence == ()
    watcher.take_group(CgroupSample(oom_kills=1, limit_bytes=60_000_000, peak_bytes=59_000_000))
    watcher.take_group(None)
    assert watcher.kernel_kills == 1
    assert watcher.kernel_evidence == (
        "the control group's oom_kill rose from 0 to 1",
        "its limit is 60.0 MB",
        "its peak was 59.0 MB",
    )


def test_a_real_payload_that_starts_too_many_processes_is_reported(tmp_path: Path) -> None:
    """Everything real: launcher, sampler, clock."""

    async def story() -> None:
        folder = tmp_path / "job"
        bundle = bundle_in(folder)
        limits = (limit(Measure.PROCESSES, 10),)
        async with running(folder, "for n in 1 2 3 4 5 6 7 8 9 10 11; do sleep 1000 & done; wait") as handle:
            subject = Subject(phase=Phase.RUNNING, launcher=handle.launcher)
            sampler = Sampler(bundle, (), lambda: subject, limits, RealClock(), period_s=0.01)
            try:
                watcher = Watcher(sampler, limits, RealClock(), cores=1, summary=Summary(), series=Series())
                async with watched(watcher) as found:
                    await until_async(lambda: found, "the breach")
                assert found[0].value == 12
                watcher.write(bundle)
                assert b'"rss"' in (folder / SUMMARY_FILE).read_bytes()
                assert (folder / SERIES_FILE).read_text().count("\n") == 2
            finally:
                sampler.close()

    go(story())


def test_what_is_read_rarely_is_told_once() -> None:
    """A curve shows no old reading as a new one; the last look stays when the payload has ended."""
    watcher = Watcher(
        Script(VirtualClock(), lambda at: Sample(at=at, phase=Phase.RUNNING)),
        (),
        VirtualClock(),
        cores=1,
        summary=Summary(),
        series=Series(),
    )
    assert watcher.take_now() is None
    read = PssSample(at=1.0, pss_bytes=4096, swap_bytes=1024, processes=1)
    there = DirectorySample(at=1.0, size_bytes=77, files=1, stamp=0)
    told = {"cpu_s": 1.0, "rss_kb": 0, "processes": 1, "free_bytes": 5, "output_bytes": 9}
    told |= {"quiet_s": 0.0, "spinning_s": 0.0}
    for at in (2.0, 3.0, 4.0):
        watcher.add(
            Sample(
                at=at,
                phase=Phase.RUNNING,
                wall_s=at,
                tree=TREE,
                pss=read,
                directory=there,
                free_bytes=5,
                outputs={"a": 9, "b": 3},
            )
        )
        if at == 2.0:
            now = UsageNow(wall_s=2.0, pss_kb=4, swap_kb=1, directory_bytes=77, **told)
            assert watcher.take_now() == now
    assert watcher.take_now() == UsageNow(wall_s=4.0, **told)
    watcher.add(Sample(at=5.0, phase=Phase.STAGEOUT))
    assert watcher.take_now() == UsageNow(wall_s=4.0, **told)
