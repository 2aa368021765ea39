"""Measuring real process trees: shared memory, orphans, short-lived children, threads, many processes."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from process_kit import PYTHON, go, until_async
from watch_kit import BURN, program, running, seen

from picard_pilot.model.command import ProcessId
from picard_pilot.model.usage import IoCounts
from picard_pilot.payload import launcher
from picard_pilot.system import proc
from picard_pilot.system.shim import tree as shim_tree
from picard_pilot.watch import pss, tree

MB = 1 << 20

SHARERS = """
import os, pathlib
data = bytearray(os.urandom(4096)) * (64 * 256)
for _ in range(4):
    if os.fork() == 0:
        open(f"ready-{os.getpid()}", "w").close()
        while True:
            os.pause() if hasattr(os, "pause") else __import__("signal").pause()
__import__("signal").pause()
"""
"""A parent with 64 MB and four workers that share them, the shape of multi-process event loops."""


def test_shared_pages_count_once_in_pss_and_five_times_in_rss(tmp_path: Path) -> None:
    """That is why no job is judged by a sum of RSS."""

    async def story() -> None:
        async with program(tmp_path, SHARERS) as handle:
            await until_async(lambda: len(list(tmp_path.glob("ready-*"))) == 4, "four workers")
            found = await seen(handle, lambda each: len(each.pids) == 6, "shell, parent and workers")
            reading = pss.read(found.pids, 7.0, found.sample.rss_bytes)
            assert reading is not None
            assert found.sample.rss_bytes > 5 * 64 * MB
            assert 64 * MB < reading.pss_bytes < 2 * 64 * MB
            assert (reading.at, reading.processes, reading.unread) == (7.0, 6, 0)
            assert reading.rss_bytes == found.sample.rss_bytes

    go(story())


def test_cpu_time_of_orphans_is_counted(tmp_path: Path) -> None:
    """Their parent is gone before they end, so nobody but the launcher waits for them."""

    async def story() -> None:
        burn = " ".join([*PYTHON, "-c", f'"{BURN.format(0.3)}"'])
        script = f"for n in 1 2 3; do ( {burn}; : >done-$n ) & done"
        async with running(tmp_path, f"( setsid sh -c '{script}' & ) ; exec sleep 1000") as handle:
            await until_async(lambda: len(list(tmp_path.glob("done-*"))) == 3, "three orphans to end")
            over = lambda each: len(each.pids) == 1 and each.sample.cpu_s >= 0.8  # noqa: E731
            await seen(handle, over, "the payload alone, with the CPU time of all")

    go(story())


def test_cpu_time_of_short_lived_children_is_counted(tmp_path: Path) -> None:
    """Though no look ever sees one of them."""

    async def story() -> None:
        burn = " ".join([*PYTHON, "-c", f'"{BURN.format(0.1)}"'])
        script = f"for n in 1 2 3 4 5; do {burn}; done; : >done; exec sleep 1000"
        async with running(tmp_path, script) as handle:
            await until_async((tmp_path / "done").exists, "five children to end")
            found = await seen(handle, lambda each: len(each.pids) == 1, "the shell alone")
            assert found.sample.cpu_s >= 0.4

    go(story())


def written(found: tree.Seen) -> int:
    """Bytes through write calls."""
    assert found.sample.io is not None
    return found.sample.io.wchar


def test_io_of_living_and_ended_processes_is_counted(tmp_path: Path) -> None:
    """As the kernel counts it: a child's is its parent's once that has waited for it."""

    async def story() -> None:
        script = "head -c 3000000 /dev/zero >ended; : >done; exec sleep 1000"
        async with running(tmp_path, script) as handle:
            before = await seen(handle, lambda each: True, "anything")
            await until_async((tmp_path / "done").exists, "the child to end")
            found = await seen(handle, lambda each: written(each) >= 3_000_000, "what it wrote")
            assert found.sample.io is not None
            assert found.sample.io.rchar >= 3_000_000
            assert found.sample.io_unread == 0
            spared = tree.look(handle.launcher, with_io=False)
            assert spared is not None
            assert spared.sample.io is None
            assert tree.never_less(spared.sample, found.sample).io == found.sample.io
            merged = tree.never_less(before.sample, found.sample)
            assert merged.io == found.sample.io
            assert merged.cpu_s >= found.sample.cpu_s

    go(story())


def test_a_hundred_processes_are_a_hundred(tmp_path: Path) -> None:
    """With their memory; the launcher is not one of them."""

    async def story() -> None:
        script = "n=0; while [ $n -lt 99 ]; do sleep 1000 & n=$((n+1)); done; wait"
        async with running(tmp_path, script) as handle:
            found = await seen(handle, lambda each: each.sample.processes == 100, "a hundred processes")
            assert found.sample.threads == 100
            assert handle.launcher.pid not in found.pids
            assert handle.main.pid in found.pids
            reading = pss.read(found.pids, 0.0, found.sample.rss_bytes)
            assert reading is not None
            assert 0 < reading.pss_bytes < found.sample.rss_bytes < found.sample.vmem_bytes

    go(story())


THREADS = """
import signal, subprocess, threading
threading.Thread(target=lambda: subprocess.run(["/bin/sleep", "1000"])).start()
signal.pause()
"""


def test_children_of_other_threads_are_found(tmp_path: Path) -> None:
    """The kernel lists children per thread."""

    async def story() -> None:
        path = tmp_path / "program.py"
        path.write_text(THREADS)
        async with running(tmp_path, f"exec {sys.executable} {path}") as handle:
            found = await seen(handle, lambda each: each.sample.processes == 2, "the thread's child")
            assert found.sample.threads >= 3

    go(story())


def test_zombies_use_nothing_but_the_cpu_they_used(tmp_path: Path) -> None:
    """A parent that does not wait for its children keeps their times, not their memory."""
    text = (
        "import os, signal\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    import time\n"
        "    while time.process_time() < 0.2: pass\n"
        "    os._exit(0)\n"
        "os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)\n"
        "open('ended', 'w').close()\n"
        "signal.pause()\n"
    )

    async def story() -> None:
        async with program(tmp_path, text) as handle:
            await until_async((tmp_path / "ended").exists, "the child to end")
            found = await seen(handle, lambda each: each.sample.processes == 2, "shell and parent")
            assert found.sample.cpu_s >= 0.18
            assert found.sample.io_unread == 0

    go(story())


def test_a_launcher_that_is_gone_is_unknown_and_not_zero(tmp_path: Path) -> None:
    """Also when its pid belongs to somebody else now."""
    me = proc.myself()
    assert tree.look(msgspec.structs.replace(me, start_ticks=me.start_ticks + 1)) is None
    with subprocess.Popen(["/bin/true"]) as child:
        gone = ProcessId(pid=child.pid, start_ticks=shim_tree.start_ticks(child.pid))
    assert tree.look(gone) is None
    assert pss.read((gone.pid,), 0.0, 0) is None
    assert pss.read((), 0.0, 0) is None

    async def story() -> None:
        async with running(tmp_path, "exec sleep 1000") as handle:
            launcher.kill(handle)
            await launcher.wait(handle)
            assert tree.look(handle.launcher) is None

    go(story())


def test_a_kernel_that_lists_no_children_is_asked_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same tree."""

    async def story() -> None:
        async with running(tmp_path, "sleep 1000 & sleep 1000 & wait") as handle:
            found = await seen(handle, lambda each: len(each.pids) == 3, "three processes")
            with monkeypatch.context() as patch:
                patch.setattr(shim_tree, "KERNEL_LISTS_CHILDREN", False)
                again = tree.look(handle.launcher)
            assert again is not None
            assert sorted(again.pids) == sorted(found.pids)

    go(story())


def test_a_look_ends_where_there_is_no_end_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payload that forks without end must not hold the look for ever."""
    monkeypatch.setattr(tree, "MOST_PROCESSES", 5)

    async def story() -> None:
        async with running(tmp_path, "for n in 1 2 3 4; do sleep 1000 & done; wait") as handle:
            await seen(handle, lambda each: len(each.pids) == 5, "all five")
        async with running(tmp_path, "n=0; while [ $n -lt 9 ]; do sleep 1000 & n=$((n+1)); done; : >many; wait",
                           name="second") as handle:  # fmt: skip
            await until_async((tmp_path / "many").exists, "all ten")
            await seen(handle, lambda each: len(each.pids) == 1, "the first alone")

    go(story())


def test_a_total_never_falls() -> None:
    """Each counter by itself; what is no total may."""
    first = tree.TreeSample(
        processes=2,
        threads=2,
        cpu_user_s=2.0,
        cpu_system_s=1.0,
        rss_bytes=9,
        vmem_bytes=9,
        io=IoCounts(rchar=1, wchar=2, read_bytes=3, write_bytes=4),
    )
    second = msgspec.structs.replace(
        first,
        cpu_user_s=1.0,
        cpu_system_s=3.0,
        rss_bytes=1,
        io=IoCounts(rchar=9, wchar=1, read_bytes=9, write_bytes=1),
    )
    assert tree.never_less(first, None) is first
    found = tree.never_less(second, first)
    assert (found.cpu_user_s, found.cpu_system_s, found.rss_bytes) == (2.0, 3.0, 1)
    assert found.io == IoCounts(rchar=9, wchar=2, read_bytes=9, write_bytes=4)


def test_looking_does_not_stop_for_trees_that_change_all_the_time(tmp_path: Path) -> None:
    """Processes come and go between two reads; a look is right about those that stay, and ends."""

    async def story() -> None:
        async with running(tmp_path, "sleep 1000 & while :; do /bin/true; done") as handle:
            await seen(handle, lambda each: len(each.pids) >= 2, "both")
            before = 0.0
            for _ in range(50):
                found = tree.look(handle.launcher)
                assert found is not None
                assert handle.main.pid in found.pids
                assert os.getpid() not in found.pids
                before = max(before, found.sample.cpu_s)
                await asyncio.sleep(0)

    go(story())
