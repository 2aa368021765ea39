"""A job's watch in the pilot: a broken limit becomes a stop with a fault, and use becomes the heartbeat's values."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pilot_kit import ToldDispatcher, parts_for, work_for
from process_kit import go
from watch_kit import bundle_in, running

from picard_pilot.model import events as ev
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.limits import Measure, limit_on
from picard_pilot.model.site import Queue, QueueLimits, Site
from picard_pilot.model.states import Phase
from picard_pilot.model.stop import Stop, StopKind
from picard_pilot.model.usage import ToldLimit
from picard_pilot.payload.launch import LaunchHandle
from picard_pilot.pilot.watching import Watching
from picard_pilot.pilot.work import JobWork
from picard_pilot.testing.clock import VirtualClock
from picard_pilot.watch import cgroups
from picard_pilot.watch.job_files import SERIES_FILE, SUMMARY_FILE

NO_LIMITS = QueueLimits()


class Watched:
    """A job, its watch, and the stops that this led to."""

    def __init__(self, folder: Path, limits: QueueLimits, **settings: Any) -> None:
        self.clock = VirtualClock()
        bundle_in(folder)
        parts = parts_for(self.clock, ToldDispatcher(self.clock), folder.parent, **settings)
        queue = Queue(name="Q", panda_resource="Q", limits=limits)
        self.work = work_for(folder, self.clock)
        self.stops: list[Stop] = []
        self.watching = Watching(
            msgspec.structs.replace(parts, site=Site(queue=queue)), self.work, self._stop
        )

    def _stop(self, work: JobWork, stop: Stop) -> None:
        assert work is self.work
        self.stops.append(stop)

    def runs(self, handle: LaunchHandle) -> None:
        """The payload has started."""
        for event in (
            ev.Admitted(),
            ev.Prepared(),
            ev.PayloadStarted(
                pid=handle.main.pid, start_ticks=handle.main.start_ticks, started_at=handle.started_at
            ),
        ):
            self.work.record(event)
        self.work.launcher = handle.launcher


@asynccontextmanager
async def watched(folder: Path, limits: QueueLimits = NO_LIMITS, **settings: Any) -> AsyncIterator[Watched]:
    """The watch at work."""
    made = Watched(folder, limits, **settings)
    task = asyncio.create_task(made.watching.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def passes(here: Watched, condition: Any, what: str) -> None:
    """Let time pass until the condition holds; looks take real time, so it is asked again and again."""

    give_up_at = asyncio.get_running_loop().time() + 60
    while not condition():
        assert asyncio.get_running_loop().time() < give_up_at, f"waited in vain: {what}"
        await here.clock.advance(5)
        await asyncio.sleep(0.01)


def test_a_directory_that_grows_too_large_stops_the_job_with_its_fault(tmp_path: Path) -> None:
    """Measure, limit, origin and evidence, under the number that the server knows."""

    async def story() -> None:
        folder = tmp_path / "job"
        async with watched(folder, QueueLimits(maxwdir_mb=1)) as here:
            async with running(folder, "head -c 3000000 /dev/urandom >big; exec sleep 1000") as handle:
                here.runs(handle)
                await passes(here, lambda: here.stops, "the stop")
            stop = here.stops[0]
            assert (stop.kind, stop.grace_s) == (StopKind.LIMIT, 10.0)
            found = stop.fault
            assert (found.code, found.phase, found.rule) == (1104, Phase.RUNNING, "limit.directory")
            assert found.says.startswith("work directory: ")
            assert 1.2 < float(found.says.split()[2]) <= 3.1, found.says  # as far as it had been written
            assert "is above the limit of 1.2 MB (queue: maxwdir 1 MB x 1.1)" in found.says
            assert found.evidence

    go(story())


def test_what_the_payload_uses_is_told_and_written_down(tmp_path: Path) -> None:
    """Under the names of the field, in the job's directory, brought up to date at the end."""

    async def story() -> None:
        folder = tmp_path / "job"
        async with watched(folder) as here:
            assert here.watching.usage().max_rss_kb is None
            async with running(folder, "echo hello; exec sleep 1000") as handle:
                here.runs(handle)
                await passes(here, lambda: here.watching.usage().max_pss_kb, "PSS to be read")
                await passes(here, (folder / SUMMARY_FILE).exists, "the file")
            used = here.watching.usage()
            assert used.max_rss_kb
            assert used.cpu_time_s is not None
            assert used.stdout_bytes == 6
            (folder / SERIES_FILE).unlink()
            assert (
                here.watching.payload_ended(PayloadExit(started_at=0, ended_at=1, wall_s=1, exit_code=0))
                == ()
            )
            assert (folder / SERIES_FILE).exists()
        assert here.stops == []

    go(story())


def test_a_bad_end_with_kills_by_the_kernel_is_a_lack_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fact of the control group, not a text of the payload; a good end stays a good end."""
    group = tmp_path / "group"
    group.mkdir()
    (group / "cgroup.procs").touch()
    (group / "memory.events").write_text("oom_kill 4\n")
    monkeypatch.setattr(cgroups, "memory_group_of", lambda pid: group)
    good = PayloadExit(started_at=0, ended_at=1, wall_s=1, exit_code=0)
    bad = PayloadExit(started_at=0, ended_at=1, wall_s=1, signal=9)
    here = Watched(tmp_path / "job", QueueLimits())
    assert here.watching.payload_ended(bad) == ()
    (group / "memory.events").write_text("oom_kill 6\n")
    assert here.watching.payload_ended(good) == ()
    (found,) = here.watching.payload_ended(bad)
    assert (found.code, found.rule) == (1212, "watch.oom_kill")
    assert found.says == "the kernel ended 2 of the payload's processes for lack of memory"
    assert found.evidence[0].text == "the control group's oom_kill rose from 4 to 6"


def test_a_directory_that_cannot_be_written_costs_only_the_files(tmp_path: Path) -> None:
    """The payload may have taken it away."""
    here = Watched(tmp_path / "job", QueueLimits())
    (tmp_path / "job" / "picard").rmdir()
    assert here.watching.payload_ended(PayloadExit(started_at=0, ended_at=1, wall_s=1, exit_code=1)) == ()


def test_settings_of_zero_mean_no_limit(tmp_path: Path) -> None:
    """And the launcher's own limit on stdout is not judged twice."""
    here = Watched(tmp_path / "job", QueueLimits(), looping_limit_s=0.0, free_space_limit_bytes=0)
    for measure in (Measure.QUIET_TIME, Measure.SPINNING_TIME, Measure.FREE_SPACE, Measure.OUTPUT_TEXT):
        assert limit_on(here.watching.limits, measure) is None
    here = Watched(tmp_path / "other", QueueLimits(), looping_limit_s=60.0)
    spinning = limit_on(here.watching.limits, Measure.SPINNING_TIME)
    assert spinning is not None
    assert spinning.value == 360


def test_a_job_without_a_payload_has_no_launcher_to_look_at(tmp_path: Path) -> None:
    """Nor after it: what ran is over, and its last values stay."""

    async def story() -> None:
        folder = tmp_path / "job"
        async with watched(folder) as here:
            async with running(folder, "exec sleep 1000") as handle:
                here.runs(handle)
                await passes(here, lambda: here.watching.usage().max_rss_kb, "a look")
            used = here.watching.usage()
            here.work.record(
                ev.PayloadExited(exit=PayloadExit(started_at=0, ended_at=1, wall_s=1, exit_code=0))
            )
            await here.clock.advance(100)
            assert here.watching.usage().max_rss_kb == used.max_rss_kb

    go(story())


def test_limits_are_told_once_with_their_origin(tmp_path: Path) -> None:
    """That on stdout and stderr too, which the launcher watches."""
    here = Watched(tmp_path / "job", QueueLimits(maxrss_mb=100), looping_limit_s=0.0)
    told = {limit.measure: limit for limit in here.watching.take_limits()}
    assert told["memory"] == ToldLimit(
        measure="memory", value=200 * 1024**2, unit="bytes", origin="queue", detail="maxrss 100 MB x 2"
    )
    assert told["stdout or stderr"].value == 2 << 30
    assert "time without a sign of life" not in told
    assert here.watching.take_limits() == ()
