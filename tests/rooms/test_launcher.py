"""payload.launcher: one launch, one run, and its end is known."""

import asyncio
import os
import secrets
import signal
from pathlib import Path

import msgspec
import pytest
from launch_kit import payload, pilot, runs
from process_kit import DEADLINE_S, go, marked, nothing_survives, until, until_async

from picard_pilot.model.command import PayloadExit, ProcessId, StartErrorKind
from picard_pilot.payload import launcher
from picard_pilot.payload.launch import (
    Exited,
    LaunchFailed,
    LaunchHandle,
    LaunchSpec,
    NeverStarted,
    Running,
)
from picard_pilot.system import proc
from picard_pilot.system.shim import tree


async def _ended(handle: LaunchHandle) -> PayloadExit:
    found = await asyncio.wait_for(launcher.wait(handle), DEADLINE_S)
    assert isinstance(found, Exited), found
    return found.exit


def _run(spec: LaunchSpec) -> PayloadExit:
    async def scenario() -> PayloadExit:
        return await _ended(await launcher.launch(spec))

    return go(scenario())


def test_what_the_payload_did_is_recorded(tmp_path: Path) -> None:
    """Exit code, output, times; the same for whoever asks later."""
    spec = payload(tmp_path, "echo out; echo err >&2; exit 42")
    ended = _run(spec)
    assert (ended.exit_code, ended.signal, ended.stopped_by, ended.start_error) == (42, None, None, None)
    assert (ended.stdout_bytes, ended.stderr_bytes) == (4, 4)
    assert ended.started_at <= ended.ended_at
    assert ended.max_rss_bytes
    assert Path(spec.stdout).read_text() == "out\n"
    found = go(launcher.find(Path(spec.directory)))
    assert isinstance(found, Exited)
    assert found.exit == ended
    assert runs(tmp_path) == 1


def test_a_plan_that_is_no_text_costs_words_alone(tmp_path: Path) -> None:
    """The payload may have written there; how it ended is known all the same."""
    spec = payload(tmp_path, 'printf \'{"program":"\\377\' > launch/plan.json; exit 42')
    assert _run(spec).exit_code == 42
    assert (tmp_path / "launch/plan.json").read_bytes().endswith(b"\xff")


def test_death_by_signal_is_recorded(tmp_path: Path) -> None:
    """The signal, nobody's stop."""
    ended = _run(payload(tmp_path, "kill -SEGV $$"))
    assert (ended.exit_code, ended.signal, ended.stopped_by) == (None, signal.SIGSEGV, None)


def test_nothing_was_started_where_nothing_is(tmp_path: Path) -> None:
    """Neither in an absent directory nor in an empty one."""
    assert go(launcher.find(tmp_path / "absent")) == NeverStarted()
    assert go(launcher.find(tmp_path)) == NeverStarted()


def test_launching_again_finds_the_one_run(tmp_path: Path) -> None:
    """While it runs and after it ended."""
    spec = payload(tmp_path, "read line <go; exit 3")
    os.mkfifo(tmp_path / "go")

    async def scenario() -> None:
        first = await launcher.launch(spec)
        assert await launcher.launch(spec) == first
        found = await launcher.find(Path(spec.directory))
        assert found == Running(first)
        (tmp_path / "go").write_text("\n")
        assert (await _ended(first)).exit_code == 3
        again = await launcher.launch(spec)
        assert again == first
        assert (await _ended(again)).exit_code == 3

    go(scenario())
    assert runs(tmp_path) == 1


def test_launches_at_the_same_time_start_one_payload(tmp_path: Path) -> None:
    """Within a process and among processes; all get the same handle."""
    spec = payload(tmp_path, "sleep 0.3; exit 5")
    rest = """
async def main():
    sys.stdin.readline()
    handles = await asyncio.gather(*(launcher.launch(spec) for _ in range(3)))
    assert len({handle.launch_id for handle in handles}) == 1
    found = await launcher.wait(handles[0])
    print(handles[0].launch_id, found.exit.exit_code)

print("ready", flush=True)
asyncio.run(main())
"""
    pilots = [pilot(spec, rest.replace("sys.stdin.readline()", "None")) for _ in range(4)]
    said = [each.communicate(timeout=DEADLINE_S) for each in pilots]
    assert all(each.returncode == 0 for each in pilots), said
    lines = {out.splitlines()[-1] for out, _ in said}
    assert len(lines) == 1
    assert lines.pop().endswith(" 5")
    assert runs(tmp_path) == 1


def test_secrets_of_the_environment_are_nowhere_but_in_the_payload(tmp_path: Path) -> None:
    """Not on disk, not on a command line, not in the launcher's environment."""
    secret = secrets.token_hex(16)
    spec = payload(tmp_path, 'echo "${#TOKEN}"; read line <go')
    spec = msgspec.structs.replace(spec, env={**spec.env, "TOKEN": secret})
    os.mkfifo(tmp_path / "go")

    async def scenario() -> None:
        handle = await launcher.launch(spec)
        await until_async(lambda: Path(spec.stdout).read_text(), "the payload to speak")
        for pid in (handle.launcher.pid, handle.main.pid):
            assert secret.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert secret.encode() not in Path(f"/proc/{handle.launcher.pid}/environ").read_bytes()
        (tmp_path / "go").write_text("\n")
        await _ended(handle)

    go(scenario())
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
    assert Path(spec.stdout).read_text() == "32\n"


def test_a_payload_that_cannot_start_says_why_each_time(tmp_path: Path) -> None:
    """A missing program is no exit code 127, and it is recorded."""
    spec = msgspec.structs.replace(payload(tmp_path, ""), argv=("no-such-program",))

    async def scenario() -> None:
        for _ in range(2):
            with pytest.raises(LaunchFailed) as failed:
                await launcher.launch(spec)
            assert failed.value.error.kind is StartErrorKind.NOT_FOUND
            assert "no-such-program" in failed.value.error.evidence
        found = await launcher.find(Path(spec.directory))
        assert isinstance(found, Exited)
        assert found.exit.start_error == failed.value.error
        assert found.exit.exit_code is None

    go(scenario())


def test_what_never_began_can_be_launched_again(tmp_path: Path) -> None:
    """An output file in a directory that is missing: nothing ran, so it may run once that is repaired."""
    spec = payload(tmp_path, "exit 0", stdout=str(tmp_path / "later" / "out"))

    async def scenario() -> None:
        with pytest.raises(LaunchFailed) as failed:
            await launcher.launch(spec)
        assert failed.value.error.kind is StartErrorKind.OUTPUT_NOT_WRITABLE
        assert await launcher.find(Path(spec.directory)) == NeverStarted()
        (tmp_path / "later").mkdir()
        assert (await _ended(await launcher.launch(spec))).exit_code == 0

    go(scenario())
    assert runs(tmp_path) == 1


def test_a_stop_is_polite_and_names_who_asked(tmp_path: Path) -> None:
    """The whole tree gets its grace; the reason is in the record."""
    spec = payload(tmp_path, "trap 'echo cleaned; exit 9' TERM; echo ready; while :; do sleep 0.01; done")

    async def scenario() -> PayloadExit:
        handle = await launcher.launch(spec)
        await until_async(lambda: "ready" in Path(spec.stdout).read_text(), "the payload to be ready")
        # As plain data, as another process would use it.
        again = msgspec.json.decode(msgspec.json.encode(handle), type=LaunchHandle)
        assert launcher.stop(again, 20, "server kill")
        ended = await _ended(handle)
        assert not launcher.stop(handle, 20, "server kill")
        assert not launcher.kill(handle)
        return ended

    ended = go(scenario())
    assert (ended.exit_code, ended.stopped_by) == (9, "server_kill")
    assert Path(spec.stdout).read_text() == "ready\ncleaned\n"


def test_a_second_stop_shortens_and_kill_is_at_once(tmp_path: Path) -> None:
    """A payload that wants no end; the first reason stays."""
    for name, second in (("stop", 0.1), ("kill", None)):
        spec = payload(tmp_path, "trap '' TERM; echo ready; while :; do sleep 1000; done", name=name)
        spec = msgspec.structs.replace(spec, stdout=str(tmp_path / f"{name}.out"))

        async def scenario(spec: LaunchSpec, second: float | None) -> PayloadExit:
            handle = await launcher.launch(spec)
            await until_async(lambda: "ready" in Path(spec.stdout).read_text(), "the payload to be ready")
            launcher.stop(handle, 1000, "memory")
            if second is None:
                launcher.kill(handle)
            else:
                launcher.stop(handle, second, "impatience")
            return await _ended(handle)

        with nothing_survives():
            ended = go(scenario(spec, second))
        assert (ended.signal, ended.stopped_by) == (signal.SIGKILL, "memory")


def test_sigterm_from_a_batch_system_is_the_same_ladder(tmp_path: Path) -> None:
    """Sent to the launcher: the payload gets its own grace, and the record says what came."""
    spec = payload(tmp_path, "trap 'exit 11' TERM; echo ready; while :; do sleep 0.01; done", grace_s=20.0)

    async def scenario() -> PayloadExit:
        handle = await launcher.launch(spec)
        await until_async(lambda: "ready" in Path(spec.stdout).read_text(), "the payload to be ready")
        os.kill(handle.launcher.pid, signal.SIGUSR1)  # a warning meant for others
        os.kill(handle.launcher.pid, signal.SIGTERM)
        return await _ended(handle)

    ended = go(scenario())
    assert (ended.exit_code, ended.stopped_by) == (11, "signal_15")


def test_a_stop_without_the_control_file_still_works(tmp_path: Path) -> None:
    """The payload removed it, or put something else in its place: the launcher's own grace then counts."""
    for name, script in (("gone", "rm {control}"), ("file", "rm {control}; echo >{control}")):
        control = tmp_path / name / "control"
        spec = payload(
            tmp_path,
            script.format(control=control) + "; echo ready; sleep 1000; :",
            name=name,
            stdout=str(tmp_path / f"{name}.out"),
        )

        async def scenario(spec: LaunchSpec) -> PayloadExit:
            handle = await launcher.launch(spec)
            await until_async(lambda: "ready" in Path(spec.stdout).read_text(), "the payload to be ready")
            assert launcher.stop(handle, 5, "memory")
            return await _ended(handle)

        ended = go(scenario(spec))
        assert (ended.signal, ended.stopped_by) == (signal.SIGTERM, "signal_15")


def test_a_signal_reaches_the_main_process_alone(tmp_path: Path) -> None:
    """Some payloads write a checkpoint on SIGUSR1."""
    spec = payload(tmp_path, "trap 'echo checkpoint; exit 0' USR1; echo ready; while :; do sleep 0.01; done")

    async def scenario() -> PayloadExit:
        handle = await launcher.launch(spec)
        await until_async(lambda: "ready" in Path(spec.stdout).read_text(), "the payload to be ready")
        assert launcher.send_signal(handle, signal.SIGUSR1)
        ended = await _ended(handle)
        assert not launcher.send_signal(handle, signal.SIGUSR1)
        return ended

    assert go(scenario()).exit_code == 0
    assert "checkpoint" in Path(spec.stdout).read_text()


def test_a_reused_pid_is_left_alone(tmp_path: Path) -> None:
    """A handle whose pids now belong to others neither signals nor stops nor waits for them."""
    spec = payload(tmp_path, "exit 0")

    async def scenario() -> None:
        handle = await launcher.launch(spec)
        await _ended(handle)
        me = proc.myself()
        other = ProcessId(pid=me.pid, start_ticks=me.start_ticks - 1)
        stale = msgspec.structs.replace(handle, launcher=other, main=other)
        assert not launcher.send_signal(stale, signal.SIGKILL)
        assert not launcher.kill(stale)
        assert (await _ended(stale)).exit_code == 0

    go(scenario())


def test_too_much_output_stops_the_payload_and_is_kept(tmp_path: Path) -> None:
    """The typed reason, and all that was written."""
    spec = payload(tmp_path, "seq 1 1000000000", output_limit_bytes=100_000, grace_s=5.0)
    ended = _run(spec)
    assert (ended.stopped_by, ended.signal) == ("output_limit", signal.SIGTERM)
    assert ended.stdout_bytes == Path(spec.stdout).stat().st_size > 100_000


def test_what_the_payload_leaves_behind_is_killed(tmp_path: Path) -> None:
    """The record waits for that."""
    with nothing_survives() as mark:
        spec = payload(tmp_path, f"(setsid sh -c 'while :; do sleep 1000; done' {mark} &); exit 0")
        ended = _run(spec)
        assert not marked(mark)
    assert (ended.exit_code, ended.survivors) == (0, 0)
    assert ended.leftovers_killed >= 1


def test_memory_pressure_takes_the_payload_first(tmp_path: Path) -> None:
    """Its score is raised, the launcher's is not."""
    spec = payload(tmp_path, "cat /proc/self/oom_score_adj /proc/$PPID/oom_score_adj")
    _run(spec)
    scores = [int(word) for word in Path(spec.stdout).read_text().split()]
    assert scores[0] >= launcher.OOM_SCORE
    assert scores[1] < launcher.OOM_SCORE or scores[1] == proc_score()


def proc_score() -> int:
    """Our own score, which the launcher inherits."""
    return int(Path("/proc/self/oom_score_adj").read_text())


def test_a_launch_nobody_waits_for_leaves_no_zombie(tmp_path: Path) -> None:
    """The launching process reaps its launchers whenever they end."""
    spec = payload(tmp_path, "exit 0")

    async def scenario() -> int:
        handle = await launcher.launch(spec)
        await until_async(lambda: not tree.stat_fields(handle.launcher.pid), "the launcher to be reaped")
        return handle.launcher.pid

    pid = go(scenario())
    assert runs(tmp_path) == 1
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_cancelled_waiting_changes_nothing(tmp_path: Path) -> None:
    """The payload runs on and can be waited for again."""
    spec = payload(tmp_path, "read line <go; exit 4")
    os.mkfifo(tmp_path / "go")

    async def scenario() -> PayloadExit:
        handle = await launcher.launch(spec)
        task = asyncio.create_task(launcher.wait(handle))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (tmp_path / "go").write_text("\n")
        return await _ended(handle)

    assert go(scenario()).exit_code == 4


def test_usage_of_a_running_payload(tmp_path: Path) -> None:
    """CPU and memory of the tree, for heartbeats; the launcher is not counted."""
    spec = payload(
        tmp_path, "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sh -c 'echo ready; read line <go; :'"
    )
    os.mkfifo(tmp_path / "go")

    async def scenario() -> None:
        handle = await launcher.launch(spec)
        await until_async(lambda: "ready" in Path(spec.stdout).read_text(), "the payload to be ready")
        usage = proc.launcher_usage(handle.launcher)
        assert usage is not None
        assert usage.processes == 2
        assert usage.cpu_user_s > 0
        assert usage.rss_bytes > 0
        (tmp_path / "go").write_text("\n")
        await _ended(handle)
        assert proc.launcher_usage(handle.launcher) is None

    go(scenario())


def test_a_vanished_directory_is_no_hang(tmp_path: Path) -> None:
    """Somebody removes everything under a running payload: its record is lost, and waiting ends."""
    spec = payload(tmp_path, f"rm -rf {tmp_path}/launch; exit 0")

    async def scenario() -> object:
        return await asyncio.wait_for(launcher.wait(await launcher.launch(spec)), DEADLINE_S)

    assert not isinstance(go(scenario()), Exited)
    until(lambda: runs(tmp_path) == 1, "the payload to have run")
