"""system.run and the process that calls it: cancellation, death, many commands at once, strangers' children."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from process_kit import DEADLINE_S, ENV, PYTHON, go, marked, nothing_survives, until, until_async

from picard_pilot.model.command import CommandResult, EndedBy, StartErrorKind
from picard_pilot.system import spawn
from picard_pilot.system.run import run
from picard_pilot.system.shim import tree


def _holdings() -> set[tuple[str, str]]:
    """What this process holds: children, threads, and open files with what they lead to."""
    files = set()
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor that reads this very folder
            files.add((path.name, str(path.readlink())))
    children = {("child", str(pid)) for pid in _children()}
    return files | children | {("thread", str(thread.ident)) for thread in threading.enumerate()}


@contextmanager
def _nothing_kept() -> Iterator[None]:
    """Asserts that nothing new is held afterwards. What other tests left may vanish meanwhile."""
    gc.collect()
    before = _holdings()
    yield
    assert _holdings() - before == set()


def _children() -> list[int]:
    return tree.children(os.getpid())


async def _true() -> CommandResult:
    return await run(["/bin/true"], cwd=Path("/"), env=ENV, time_limit_s=DEADLINE_S)


def test_cancelling_stops_the_tree_politely(tmp_path: Path) -> None:
    """The command gets its grace, and cancellation comes through after it has ended."""
    path = tmp_path / "out"

    async def scenario(mark: str) -> None:
        script = "trap 'echo cleaned; exit' TERM; sh -c 'sleep 1000; :' $0 & echo ready; wait; wait"
        task = asyncio.create_task(
            run(["/bin/sh", "-c", script, mark], cwd=Path("/"), env=ENV, stdout=path, grace_s=20)
        )
        await until_async(lambda: path.exists() and "ready" in path.read_text(), "the command to be ready")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with _nothing_kept(), nothing_survives() as mark:
        go(scenario(mark))
    assert path.read_text() == "ready\ncleaned\n"


def test_cancelling_twice_ends_the_grace(tmp_path: Path) -> None:
    """Whoever asks again does not want to wait."""
    path = tmp_path / "out"

    async def scenario(mark: str) -> None:
        script = "trap 'echo no' TERM; echo ready; while :; do sleep 0.01; done"
        task = asyncio.create_task(
            run(["/bin/sh", "-c", script, mark], cwd=Path("/"), env=ENV, stdout=path, grace_s=1000)
        )
        for word in ("ready", "no"):
            await until_async(lambda word=word: path.exists() and word in path.read_text(), word)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, DEADLINE_S)

    with nothing_survives() as mark:
        go(scenario(mark))


def test_cancelling_at_any_moment_of_the_start_leaves_nothing(tmp_path: Path) -> None:
    """Between spawn, order, fork and exec: after every number of turns of the loop, and of milliseconds."""

    async def scenario(mark: str) -> None:
        for turns in range(12):
            task = asyncio.create_task(
                run(["/bin/sh", "-c", "sleep 1000; :", mark], cwd=Path("/"), env=ENV, grace_s=0)
            )
            for _ in range(turns):
                await asyncio.sleep(0)
            if turns > 5:
                await asyncio.sleep((turns - 5) * 0.006)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with _nothing_kept(), nothing_survives() as mark:
        go(scenario(mark))


CALLER = """
import asyncio, sys
from pathlib import Path
from picard_pilot.system.run import run

async def main():
    daemon = "trap '' TERM; while :; do sleep 1000; done"
    script = f'trap "" TERM; (setsid sh -c "{daemon}" $0 &); echo ready; sleep 1000; :'
    await run(["/bin/sh", "-c", script, sys.argv[1]], cwd=Path("/"), env={"PATH": "/bin:/usr/bin"},
              stdout=Path(sys.argv[2]), grace_s=1000)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_command_dies_with_its_caller(tmp_path: Path, number: signal.Signals) -> None:
    """Whatever kills the caller: its commands are gone with their trees, at once."""
    path = tmp_path / "out"
    with nothing_survives() as mark:
        with subprocess.Popen([sys.executable, "-c", CALLER, mark, str(path)]) as caller:
            until(lambda: path.exists() and "ready" in path.read_text(), "the command to be ready")
            assert len(marked(mark)) >= 2
            caller.send_signal(number)
        until(lambda: not marked(mark), "the command to be killed")


def test_a_killed_launcher_is_a_lost_command(tmp_path: Path) -> None:
    """Neither success nor failure is made up; what it left is found and killed, what it wrote is kept."""
    path = tmp_path / "out"

    async def scenario(mark: str) -> CommandResult:
        script = "(setsid sh -c 'while :; do sleep 1000; done' $0 &); echo ready; sleep 1000; :"
        task = asyncio.create_task(run(["/bin/sh", "-c", script, mark], cwd=Path("/"), env=ENV, stdout=path))
        await until_async(lambda: path.exists() and "ready" in path.read_text(), "the command to be ready")
        (launcher,) = [pid for pid in _children() if set(tree.children(pid)) & set(marked(mark))]
        os.kill(launcher, signal.SIGKILL)
        return await task

    with nothing_survives() as mark:
        result = go(scenario(mark))
    assert (result.ended_by, result.exit_code, result.signal) == (EndedBy.LOST, None, None)
    assert (result.stdout_tail, result.survivors) == ("ready\n", 0)


def test_a_signalled_launcher_stops_its_command() -> None:
    """As a batch system does that signals every process of a job; the launcher itself lives to tell."""

    async def scenario(mark: str) -> CommandResult:
        argv = ["/bin/sh", "-c", "trap '' USR1; while :; do sleep 0.01; done", mark]
        task = asyncio.create_task(run(argv, cwd=Path("/"), env=ENV))
        await until_async(lambda: marked(mark), "the command to run")
        (launcher,) = [pid for pid in _children() if set(tree.children(pid)) & set(marked(mark))]
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGXCPU, signal.SIGQUIT, signal.SIGTERM):
            os.kill(launcher, number)
        return await task

    with nothing_survives() as mark:
        result = go(scenario(mark))
    assert (result.ended_by, result.signal) == (EndedBy.SIGNALLED, signal.SIGTERM)


def test_two_hundred_at_once_keep_their_results_apart() -> None:
    """Each its own code and its own output."""

    async def scenario() -> list[CommandResult]:
        commands = (
            run(["/bin/sh", "-c", f"echo {number}; exit {number}"], cwd=Path("/"), env=ENV)
            for number in range(200)
        )
        return await asyncio.gather(*commands)

    with _nothing_kept():
        results = go(scenario())
    assert [result.exit_code for result in results] == list(range(200))
    assert [result.stdout_tail for result in results] == [f"{number}\n" for number in range(200)]


def test_many_quick_commands_leave_no_trace() -> None:
    """No zombies, no descriptors, no threads: the thousandth finds what the first found."""

    async def scenario() -> None:
        async def one_after_another() -> None:
            for _ in range(50):
                assert (await _true()).ok

        await asyncio.gather(*(one_after_another() for _ in range(4)))

    with _nothing_kept():
        go(scenario())


def test_a_strangers_child_is_not_reaped() -> None:
    """A child that somebody else in this process started keeps its status for him."""
    with subprocess.Popen(["/bin/sh", "-c", "exit 42"]) as stranger:
        until(lambda: tree.stat_fields(stranger.pid)[0] == b"Z", "the stranger's child to end")
        for _ in range(3):
            assert go(_true()).ok
        assert stranger.wait() == 42


def test_a_wall_clock_set_back_changes_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits run on the clock that nobody can set; here the caller's wall clock jumps."""
    monkeypatch.setattr("time.time", lambda: 0.0)
    result = go(run(["/bin/sleep", "1000"], cwd=Path("/"), env=ENV, time_limit_s=0.2, grace_s=1))
    assert result.ended_by is EndedBy.TIME_LIMIT
    assert 0.2 <= result.wall_s < DEADLINE_S


def test_no_descriptors_left_is_a_typed_answer() -> None:
    """A caller at its limit of open files gets a reason, not a traceback."""

    async def scenario() -> CommandResult:
        held = []
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            for _ in range(3):
                os.close(held.pop())
        try:
            return await run(["/bin/true"], cwd=Path("/"), env=ENV)
        finally:
            for fd in held:
                os.close(fd)

    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (sum(1 for _ in Path("/proc/self/fd").iterdir()) + 40, hard))
    try:
        result = go(scenario())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert result.start_error is not None
    assert result.start_error.kind is StartErrorKind.NO_RESOURCES


def test_a_launcher_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that is gone, as after an upgrade under a running pilot."""
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    result = go(_true())
    assert result.start_error is not None
    assert result.start_error.kind is StartErrorKind.LAUNCHER
    assert "/no/such/python" in result.start_error.evidence


def test_a_launcher_of_another_version_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It was updated under a running pilot: it refuses the order, and the caller hears of it."""
    monkeypatch.setattr(spawn, "PROTOCOL", 999)
    result = go(run(["/usr/bin/touch", str(tmp_path / "ran")], cwd=Path("/"), env=ENV))
    assert result.start_error is not None
    assert result.start_error.kind is StartErrorKind.LAUNCHER
    assert not (tmp_path / "ran").exists()


def test_the_launcher_is_small() -> None:
    """It stays beside every payload, so it must not load what it does not need."""
    script = "cat /proc/$PPID/status /proc/$PPID/comm; tr '\\0' '\\n' </proc/$PPID/environ"
    result = go(run(["/bin/sh", "-c", script], cwd=Path("/"), env=ENV))
    resident_kb = int(result.stdout_tail.split("VmRSS:")[1].split()[0])
    assert resident_kb < 14_000  # measured 9,100 with 3.11
    assert "picard-shim" in result.stdout_tail
    assert "PATH=" not in result.stdout_tail


def test_python_finds_its_own_stopped_children() -> None:
    """A Python command with an interrupt handler is stopped like others."""
    result = go(
        run(
            [*PYTHON, "-c", "import time\nprint('ready', flush=True)\ntime.sleep(1000)"],
            cwd=Path("/"),
            env=ENV,
            output_limit_bytes=0,
        )
    )
    assert (result.ended_by, result.signal) == (EndedBy.OUTPUT_LIMIT, signal.SIGTERM)
