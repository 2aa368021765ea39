"""Looking at a real payload again and again: what is read at once, what rarely; nothing that hangs holds it."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from process_kit import DEADLINE_S, go, until_async
from watch_kit import bundle_in, program, running, seen, spend

from picard_pilot.lifecycle.judging import History, judge, remember
from picard_pilot.model.limits import From, Limit, Measure
from picard_pilot.model.states import Phase
from picard_pilot.model.usage import CgroupSample, Sample
from picard_pilot.payload.launch import LaunchHandle
from picard_pilot.testing.clock import VirtualClock
from picard_pilot.watch import directory, pss, tree
from picard_pilot.watch.reading import URGENT_PAUSE_S
from picard_pilot.watch.sampler import (
    DIRECTORY_PERIOD_S,
    LONGEST_PAUSE_S,
    PERIOD_S,
    PROGRESS_FILE,
    SMALL_TREE,
    Sampler,
    Subject,
)

MB = 1 << 20


class Job:
    """A job's directory, a sampler on it and a virtual clock; `subject` may be changed."""

    def __init__(self, folder: Path, *limits: Limit, outputs: tuple[str, ...] = ()) -> None:
        self.bundle = bundle_in(folder)
        self.clock = VirtualClock()
        self.subject = Subject(phase=Phase.STAGEIN)
        self.sampler = Sampler(self.bundle, outputs, lambda: self.subject, limits, self.clock)

    def runs(self, handle: LaunchHandle) -> None:
        """The payload has started."""
        self.subject = Subject(phase=Phase.RUNNING, launcher=handle.launcher)

    async def after(self, seconds: float) -> Sample:
        """The look after so much time."""
        await self.clock.advance(seconds)
        return await self.sampler.look()


@asynccontextmanager
async def job(folder: Path, *limits: Limit, **options: Any) -> AsyncIterator[Job]:
    """A job whose sampler is closed at the end."""
    made = Job(folder, *limits, **options)
    try:
        yield made
    finally:
        made.sampler.close()


def memory_limit(size_bytes: float) -> Limit:
    """A limit of the queue."""
    return Limit(measure=Measure.MEMORY, value=size_bytes, origin=From.QUEUE, detail="by the test")


async def fresh(here: Job, condition: Any, seconds: float = 60.0) -> Sample:
    """The first of the next looks at which the condition holds; on a busy machine a dear reading ends late."""
    give_up_at = time.monotonic() + 2 * DEADLINE_S
    while True:
        sample = await here.after(seconds)
        if condition(sample):
            return sample
        assert time.monotonic() < give_up_at, f"waited in vain; the last look: {sample}"
        await asyncio.sleep(0.01)


def test_before_the_payload_there_is_its_directory_and_no_zero(tmp_path: Path) -> None:
    """Stage-in is watched, too: bytes moved, files, free space."""

    async def story() -> None:
        async with job(tmp_path / "job") as here:
            here.subject = Subject(phase=Phase.STAGEIN, moved_bytes=17)
            sample = await fresh(here, lambda each: each.directory is not None)
            assert (sample.phase, sample.moved_bytes) == (Phase.STAGEIN, 17)
            assert (sample.tree, sample.pss, sample.wall_s, sample.stdout_bytes) == (None, None, None, None)
            assert sample.free_bytes is not None
            assert sample.free_bytes > 0

    go(story())


def test_a_running_payload_is_seen_whole(tmp_path: Path) -> None:
    """Processes, memory, wall time, output, outputs, its word."""

    async def story() -> None:
        folder = tmp_path / "job"
        async with job(folder, outputs=("out.root", "late.root")) as here:
            script = "echo hello; echo 123456 >out.root; touch payload.progress; : >ready; exec sleep 1000"
            async with running(folder, script) as handle:
                here.runs(handle)
                await until_async((folder / "ready").exists, "the payload to be ready")
                sample = await fresh(here, lambda each: each.pss is not None and each.directory is not None)
                assert sample.tree is not None
                assert sample.tree.processes == 1
                assert sample.wall_s is not None
                assert 0 <= sample.wall_s < 10 * DEADLINE_S
                assert sample.outputs == {"out.root": 7}
                assert (sample.stdout_bytes, sample.stderr_bytes) == (6, 0)
                assert sample.declared == (folder / PROGRESS_FILE).stat().st_mtime_ns
            gone = await here.after(5)
            assert (gone.tree, gone.wall_s) == (None, None)

    go(story())


def test_pss_is_read_each_minute_and_shown_in_between(tmp_path: Path) -> None:
    """With the time at which it was read."""

    async def story() -> None:
        folder = tmp_path / "job"
        async with job(folder) as here, running(folder, "exec sleep 1000") as handle:
            here.runs(handle)
            await here.clock.advance(1000)
            first = await fresh(here, lambda each: each.pss is not None, 5.0)
            assert first.pss is not None
            again = await here.after(5)
            assert again.pss == first.pss
            later = await fresh(here, lambda each: each.pss != first.pss, 5.0)
            assert later.pss is not None
            assert later.pss.at >= first.pss.at + 60

    go(story())


GROW = """
import pathlib, signal, time
while not pathlib.Path("grow").exists():
    time.sleep(0.01)
data = bytearray(b"x") * (120 << 20)
pathlib.Path("grown").touch()
signal.pause()
"""


def test_near_the_limit_pss_is_read_at_once_and_a_breach_is_found(tmp_path: Path, monkeypatch: Any) -> None:
    """Not a minute later; and one reading is not enough."""
    monkeypatch.setattr("picard_pilot.watch.sampler.SLOW_PATIENCE_S", DEADLINE_S)

    async def story() -> None:
        folder = tmp_path / "job"
        limit = memory_limit(100 * MB)
        async with job(folder, limit) as here, program(bundle_folder(folder), GROW) as handle:
            here.runs(handle)
            await here.clock.advance(1000)
            calm = await fresh(here, lambda each: each.pss is not None)
            assert calm.pss is not None
            (folder / "grow").touch()
            await until_async((folder / "grown").exists, "the payload to grow")
            history = remember(History(), calm, (limit,), cores=1)
            seconds = 0.0
            while (breach := judge(history, (limit,))) is None:
                assert seconds < 55, "the next reading would have been the regular one"
                seconds += URGENT_PAUSE_S
                sample = await here.after(URGENT_PAUSE_S)
                history = remember(history, sample, (limit,), cores=1)
            assert breach.value > 120 * MB
            assert breach.error == "PAYLOADEXCEEDMAXMEM"

    go(story())


def test_a_payload_that_has_grown_has_its_pss_read_anew(tmp_path: Path, monkeypatch: Any) -> None:
    """A job of a minute would else be told with the PSS of its first moment; without any limit."""
    monkeypatch.setattr("picard_pilot.watch.sampler.SLOW_PATIENCE_S", DEADLINE_S)

    async def story() -> None:
        folder = tmp_path / "job"
        async with job(folder) as here, program(bundle_folder(folder), GROW) as handle:
            here.runs(handle)
            await here.clock.advance(1000)
            first = await fresh(here, lambda each: each.pss is not None)
            assert first.pss is not None and first.pss.pss_bytes < 100 * MB
            (folder / "grow").touch()
            await until_async((folder / "grown").exists, "the payload to grow")
            sample = await here.after(URGENT_PAUSE_S)
            assert sample.pss is not None and sample.pss.pss_bytes > 120 * MB
            again = await here.after(URGENT_PAUSE_S)
            assert again.pss == sample.pss

    go(story())


def bundle_folder(folder: Path) -> Path:
    """A folder that is there before the payload starts in it."""
    bundle_in(folder)
    return folder


def test_a_file_system_that_hangs_holds_nothing_else(tmp_path: Path, monkeypatch: Any) -> None:
    """Nor does a process whose memory map is held: what is not known in time is unknown, and asked for once."""
    released, asked = threading.Event(), []

    def hang(*_: object, **__: object) -> None:
        asked.append(1)
        released.wait(DEADLINE_S)

    monkeypatch.setattr(directory, "measure", hang)
    monkeypatch.setattr(pss, "read", hang)
    monkeypatch.setattr("picard_pilot.watch.sampler.SLOW_PATIENCE_S", 0.0)

    async def story() -> None:
        folder = tmp_path / "job"
        async with job(folder) as here, running(folder, "exec sleep 1000") as handle:
            here.runs(handle)
            await fresh(here, lambda _: len(asked) == 2, 100.0)
            for _ in range(5):
                sample = await here.after(100)
                assert sample.tree is not None
                assert sample.free_bytes is not None
                assert (sample.pss, sample.directory) == (None, None)
            assert len(asked) == 2
            released.set()

    go(story())


def test_a_look_at_processes_that_hangs_is_unknown(tmp_path: Path, monkeypatch: Any) -> None:
    """The next one that ends is known again."""
    released = threading.Event()
    real = tree.look

    def hang(launcher: Any, **options: Any) -> Any:
        released.wait(DEADLINE_S)
        return real(launcher, **options)

    monkeypatch.setattr(tree, "look", hang)
    monkeypatch.setattr("picard_pilot.watch.sampler.QUICK_PATIENCE_S", 0.05)

    async def story() -> None:
        folder = tmp_path / "job"
        async with job(folder) as here, running(folder, "exec sleep 1000") as handle:
            here.runs(handle)
            assert (await here.after(5)).tree is None
            assert (await here.after(5)).tree is None
            released.set()
            await fresh(here, lambda each: each.tree is not None, 5.0)

    go(story())


def test_a_directory_that_may_have_come_near_its_limit_is_read_at_once(tmp_path: Path) -> None:
    """What a payload has written since the last reading is an upper bound; a little of it changes nothing."""
    room = Limit(measure=Measure.DIRECTORY, value=10 * MB, origin=From.QUEUE, detail="by the test")
    script = "until [ -e go ]; do sleep 0.01; done; head -c 9000000 /dev/zero >big; : >ready; exec sleep 1000"

    async def story() -> None:
        folder = tmp_path / "job"
        async with job(folder, room) as here, running(folder, script) as handle:
            here.runs(handle)
            first = await fresh(here, lambda each: each.directory is not None and each.tree is not None, 0.1)
            assert first.directory is not None
            assert (await here.after(URGENT_PAUSE_S)).directory == first.directory
            (folder / "go").touch()
            await until_async((folder / "ready").exists, "the file to be written")
            near = await fresh(here, lambda each: each.directory != first.directory, 0.1)
            assert near.directory is not None and near.directory.size_bytes > 8 * MB
            assert near.directory.at - first.directory.at < DIRECTORY_PERIOD_S

    go(story())


def test_a_short_looping_limit_has_its_io_counted_often_enough(tmp_path: Path) -> None:
    """A count that is older than the window in which life is looked for would look like none. A small tree's is new
    at each look."""
    counts = []

    async def story(others: int, *limits: Limit) -> int:
        folder = tmp_path / f"job-{others}-{len(limits)}"
        script = (
            f"for i in $(seq {others}); do sleep 1000 & done; "
            "while :; do head -c 100000 /dev/zero >/dev/null; done"
        )
        async with job(folder, *limits) as here, running(folder, script) as handle:
            await seen(handle, lambda each: each.sample.processes > others, "all processes")
            here.runs(handle)
            counts.clear()
            for _ in range(5):
                sample = await here.after(5)
                assert sample.tree is not None and sample.tree.io is not None
                counts.append(sample.tree.io.passed)
                # More than one program's: that of one which has just ended is missed by a look.
                enough = counts[-1] + 2_000_000
                await until_async(
                    lambda enough=enough: tree.look(handle.launcher).sample.io.passed > enough, "more I/O"
                )  # type: ignore[union-attr]
        return len(set(counts))

    quiet = Limit(measure=Measure.QUIET_TIME, value=40.0, origin=From.DEFAULT, detail="of the test")
    assert go(story(SMALL_TREE, quiet)) == 5
    assert go(story(SMALL_TREE)) == 1
    assert go(story(1)) == 5


def test_another_payload_begins_with_nothing_of_the_one_before(tmp_path: Path) -> None:
    """Its times and its memory are its own."""

    async def story() -> None:
        folder = tmp_path / "job"
        async with job(folder) as here:
            burn = "while :; do :; done"
            async with running(folder, burn) as first:
                here.runs(first)
                await fresh(here, lambda each: each.tree.cpu_s >= 1.0 and each.pss is not None)
            async with running(bundle_folder(tmp_path / "other"), "exec sleep 1000") as second:
                here.runs(second)
                sample = await here.after(1)
                assert sample.tree is not None
                assert sample.tree.cpu_s < 1.0

    go(story())


def test_the_slot_s_group_says_what_the_kernel_ended_and_nothing_about_one_payload(tmp_path: Path) -> None:
    """The pilot and its other jobs are in it, too; a group of the payload's own tells all."""
    group = tmp_path / "group"
    group.mkdir()
    for name, text in {
        "cgroup.procs": "",
        "memory.stat": "anon 5000\nshmem 0\n",
        "memory.events": "oom_kill 2\n",
        "memory.max": "9000\n",
        "cpu.stat": "usage_usec 1000000\n",
    }.items():
        (group / name).write_text(text)

    async def story() -> None:
        async with job(tmp_path / "job") as here:
            here.subject = Subject(phase=Phase.RUNNING, slot_cgroup=group)
            assert (await here.after(5)).cgroup == CgroupSample(limit_bytes=9000, oom_kills=2)
            here.subject = Subject(phase=Phase.RUNNING, slot_cgroup=tmp_path, cgroup=group)
            own = CgroupSample(memory_bytes=5000, limit_bytes=9000, oom_kills=2, cpu_s=1.0)
            assert (await here.after(5)).cgroup == own
            here.subject = Subject(phase=Phase.RUNNING, slot_cgroup=tmp_path)
            assert (await here.after(5)).cgroup is None

    go(story())


def test_looks_are_never_farther_apart_than_a_minute(tmp_path: Path, monkeypatch: Any) -> None:
    """However dear they are: too many processes must be noticed, and are confirmed at once."""
    real = tree.look

    def dear(launcher: Any, **options: Any) -> Any:
        spend(0.1)
        return real(launcher, **options)

    monkeypatch.setattr(tree, "look", dear)

    async def story(most: int) -> float:
        folder = tmp_path / f"job-{most}"
        crowd = Limit(measure=Measure.PROCESSES, value=most, origin=From.DEFAULT, detail="by the test")
        async with job(folder, crowd) as here, running(folder, "exec sleep 1000") as handle:
            here.runs(handle)
            await here.after(5)
            assert here.sampler.spent_s["tree"] >= 0.1
            return here.sampler.pause_s

    assert go(story(1)) == LONGEST_PAUSE_S
    assert go(story(0)) == PERIOD_S
