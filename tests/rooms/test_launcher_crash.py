"""payload.launcher when pilot or launcher is killed with -9: one run or none, and no end is made up."""

import asyncio
import os
import signal
from pathlib import Path

import msgspec
import pytest
from launch_kit import payload, pilot, runs
from process_kit import DEADLINE_S, go, marked, nothing_survives, until, until_async

from picard_pilot.model.command import PayloadExit
from picard_pilot.payload import launcher
from picard_pilot.payload.launch import (
    Elsewhere,
    Exited,
    LaunchFailed,
    LaunchHandle,
    LaunchSpec,
    Lost,
    LostReason,
    NeverStarted,
    Running,
    UndeterminedLaunch,
)
from picard_pilot.system import proc, spawn
from picard_pilot.system.shim.protocol import encode_record

DIE = "os.kill(os.getpid(), signal.SIGKILL)"
POINTS = {
    "with the lock, before the launcher": f"""
def start(*fds): {DIE}
spawn.start = start
""",
    "after the launcher's start": f"""
real = spawn.start
def start(*fds):
    real(*fds)
    {DIE}
spawn.start = start
""",
    "in the middle of the order": f"""
async def send(self, order):
    self.channel.send(order[: len(order) // 2])
    {DIE}
spawn.Shim.send = send
""",
    "after the order": f"""
async def send(self, order):
    self.channel.send(order)
    {DIE}
spawn.Shim.send = send
""",
    "after the launch": f"""
real = launcher.launch
async def launch(spec):
    await real(spec)
    {DIE}
launcher.launch = launch
""",
}
NOTHING_YET = 3
"""At the first so many points no payload can have been started."""


async def _end(handle: LaunchHandle) -> Exited | Lost | Elsewhere:
    return await asyncio.wait_for(launcher.wait(handle), DEADLINE_S)


@pytest.mark.parametrize("point", range(len(POINTS)), ids=list(POINTS))
def test_a_pilot_killed_while_it_launches_is_followed_by_one_run(tmp_path: Path, point: int) -> None:
    """The next pilot finds what was started, or starts it; never a second one, never none."""
    spec = payload(tmp_path, "exit 42")
    with pilot(spec, list(POINTS.values())[point] + "\nasyncio.run(launcher.launch(spec))") as killed:
        _, errors = killed.communicate(timeout=DEADLINE_S)
        assert killed.returncode == -signal.SIGKILL, errors

    async def next_pilot() -> Exited | Lost | Elsewhere:
        found = await launcher.find(Path(spec.directory))
        assert isinstance(found, NeverStarted) == (point < NOTHING_YET), found
        return await _end(await launcher.launch(spec))

    found = go(next_pilot())
    assert isinstance(found, Exited)
    assert found.exit.exit_code == 42
    assert runs(tmp_path) == 1


def test_a_payload_outlives_its_pilot(tmp_path: Path) -> None:
    """Killed with -9 in mid-payload; the next pilot takes over, and no output is lost."""
    os.mkfifo(tmp_path / "go")
    spec = payload(tmp_path, "echo before; read line <go; echo after; exit 42")
    rest = "async def main():\n    await launcher.wait(await launcher.launch(spec))\nasyncio.run(main())"
    with pilot(spec, rest) as first:
        until(lambda: Path(spec.stdout).exists() and "before" in Path(spec.stdout).read_text(), "the payload")
        first.kill()
        first.communicate()

    async def next_pilot() -> PayloadExit:
        found = await launcher.find(Path(spec.directory))
        assert isinstance(found, Running)
        (tmp_path / "go").write_text("\n")
        ended = await _end(found.handle)
        assert isinstance(ended, Exited)
        return ended.exit

    ended = go(next_pilot())
    assert (ended.exit_code, ended.stopped_by) == (42, None)
    assert Path(spec.stdout).read_text() == "before\nafter\n"
    assert ended.stdout_bytes == len("before\nafter\n")
    assert runs(tmp_path) == 1


def test_a_payload_that_ended_without_a_pilot_is_known(tmp_path: Path) -> None:
    """Nobody was there when it ended."""
    spec = payload(tmp_path, "read line <go; exit 17")
    os.mkfifo(tmp_path / "go")
    with pilot(spec, "asyncio.run(launcher.launch(spec))") as first:
        first.communicate(timeout=DEADLINE_S)
    (tmp_path / "go").write_text("\n")

    async def next_pilot() -> None:
        await until_async(lambda: not (tmp_path / "launch" / "control").exists(), "the launcher to finish")
        found = await launcher.find(Path(spec.directory))
        assert isinstance(found, Exited | Running)  # the lock goes with the process, a moment later
        ended = await _end(found.handle)
        assert isinstance(ended, Exited)
        assert ended.exit.exit_code == 17

    go(next_pilot())


def test_a_later_pilot_can_stop_it(tmp_path: Path) -> None:
    """The control file works for whoever finds the directory."""
    with nothing_survives() as mark:
        spec = payload(tmp_path, "trap '' TERM; while :; do sleep 1000; done", mark)
        with pilot(spec, "asyncio.run(launcher.launch(spec))") as first:
            first.communicate(timeout=DEADLINE_S)

        async def next_pilot() -> Exited | Lost | Elsewhere:
            found = await launcher.find(Path(spec.directory))
            assert isinstance(found, Running)
            assert launcher.stop(found.handle, 0.2, "lifetime")
            return await _end(found.handle)

        found = go(next_pilot())
    assert isinstance(found, Exited)
    assert (found.exit.signal, found.exit.stopped_by) == (9, "lifetime")


def test_a_launcher_killed_alone_means_lost(tmp_path: Path) -> None:
    """Not failed: no exit code is made up. What lives on is named and can be killed; there is no second run."""
    with nothing_survives() as mark:
        loop = "while :; do sleep 1000; done"
        # One keeps the output, one the environment, one is the child of such a one.
        spec = payload(
            tmp_path,
            f"(env -i setsid sh -c '{loop}' {mark} &); (setsid sh -c '{loop}' {mark} >/dev/null 2>&1 &); "
            f"echo ready; {loop}",
            mark,
        )

        async def scenario() -> None:
            handle = await launcher.launch(spec)
            await until_async(lambda: "ready" in Path(spec.stdout).read_text(), "the payload to be ready")
            await until_async(lambda: len(marked(mark)) >= 3, "its daemons to run")
            os.kill(handle.launcher.pid, signal.SIGKILL)
            found = await _end(handle)
            assert isinstance(found, Lost)
            assert found.reason is LostReason.LAUNCHER_GONE
            assert str(handle.launcher.pid) in found.says
            assert len(found.leftovers) >= 2
            killed, withstand = await launcher.kill_leftovers(found)
            assert killed >= 2
            assert withstand == 0
            again = await launcher.find(Path(spec.directory))
            assert isinstance(again, Lost)
            assert again.leftovers == ()
            assert await launcher.launch(spec) == handle

        go(scenario())
    assert runs(tmp_path) == 1


@pytest.mark.parametrize("milliseconds", range(0, 45, 3))
def test_a_launcher_killed_at_any_moment_of_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, milliseconds: int
) -> None:
    """Whenever it dies: a run that is recorded, or no run at all, which then can be made up for."""
    with nothing_survives() as mark:
        spec = payload(tmp_path, "sleep 1000; :", mark)

        async def scenario() -> None:
            real = spawn.start

            def start(*fds: int) -> spawn.Shim:
                shim = real(*fds)
                asyncio.get_running_loop().call_later(
                    milliseconds / 1000, signal.pidfd_send_signal, os.dup(shim.pidfd), signal.SIGKILL
                )
                return shim

            monkeypatch.setattr(spawn, "start", start)
            try:
                handle = await launcher.launch(spec)
            except LaunchFailed:
                handle = None
            monkeypatch.undo()
            if handle is None:
                assert await launcher.find(Path(spec.directory)) == NeverStarted()
                await until_async(lambda: not marked(mark), "the waiting child to leave")
                assert runs(tmp_path) == 0
                handle = await launcher.launch(spec)
                assert launcher.kill(handle)
                assert isinstance(await _end(handle), Exited)
            else:
                found = await _end(handle)
                assert isinstance(found, Lost)
                await launcher.kill_leftovers(found)
                assert await launcher.launch(spec) == handle

        go(scenario())
    assert runs(tmp_path) <= 1


def test_a_cancelled_launch_is_one_or_none(tmp_path: Path) -> None:
    """Cancelled after every number of turns; asking tells which, and launching again makes one of both."""

    async def scenario(spec: LaunchSpec, turns: int) -> None:
        task = asyncio.create_task(launcher.launch(spec))
        for _ in range(turns):
            await asyncio.sleep(0)
        if turns > 4:
            await asyncio.sleep((turns - 4) * 0.005)
        task.cancel()
        await asyncio.wait([task])
        found = await _end(await launcher.launch(spec))
        assert isinstance(found, Exited)
        assert found.exit.exit_code == 3

    for turns in range(10):
        folder = tmp_path / str(turns)
        folder.mkdir()
        go(scenario(payload(folder, "exit 3"), turns))
        assert runs(folder) == 1


def _record(path: Path) -> dict[str, int | float | str | None]:
    fields: dict[str, int | float | str | None] = msgspec.json.decode(path.read_bytes())
    del fields["check"]
    return fields


def test_reboot_and_other_hosts_are_told_from_a_lost_slot(tmp_path: Path) -> None:
    """A boot that is over cannot have anything running; another host's launch is not ours to judge."""
    with nothing_survives() as mark:
        spec = payload(tmp_path, "sleep 1000; :", mark)

        async def scenario() -> None:
            handle = await launcher.launch(spec)
            launcher.send_signal(handle, signal.SIGKILL)
            assert isinstance(await _end(handle), Exited)
            folder = Path(spec.directory)
            (folder / "exit.json").write_bytes(b" " * 4095 + b"\n")
            started = _record(folder / "started.json")
            started["boot_id"] = "00000000-0000-0000-0000-000000000000"
            (folder / "started.json").write_bytes(encode_record(started))
            found = await launcher.find(folder)
            assert isinstance(found, Lost)
            assert found.reason is LostReason.NODE_REBOOTED
            assert "reboot" in found.says
            assert not launcher.send_signal(found.handle, signal.SIGTERM)
            assert not launcher.stop(found.handle, 0, "x")
            assert isinstance(await _end(found.handle), Lost)
            started["host"] = "another_host"
            (folder / "started.json").write_bytes(encode_record(started))
            found = await launcher.find(folder)
            assert isinstance(found, Elsewhere)

        go(scenario())


@pytest.mark.parametrize("damage", ["torn", "blank", "flipped", "foreign"])
def test_a_damaged_exit_record_is_never_believed(tmp_path: Path, damage: str) -> None:
    """The checksum tells; lost is the honest answer."""
    spec = payload(tmp_path, "exit 0")

    async def scenario() -> None:
        handle = await launcher.launch(spec)
        assert isinstance(await _end(handle), Exited)
        path = Path(spec.directory) / "exit.json"
        data = path.read_bytes()
        fields = _record(path)
        fields["launch_id"] = "another"
        path.write_bytes(
            {
                "torn": data[:100] + b" " * (len(data) - 100),
                "blank": b" " * len(data),
                "flipped": data.replace(b'"exit_code": 0', b'"exit_code": 1'),
                "foreign": encode_record(fields),
            }[damage]
        )
        assert isinstance(await _end(handle), Lost)

    go(scenario())


def test_a_damaged_start_record_is_no_start(tmp_path: Path) -> None:
    """It is written before the payload may run, so a torn one proves that it did not."""
    spec = payload(tmp_path, "exit 0")
    folder = Path(spec.directory)
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "started.json").write_bytes(b'{"event": "started", "protocol": 1, "laun')
    (folder / "exit.json").write_bytes(b" " * 4096)
    assert go(launcher.find(folder)) == NeverStarted()

    async def scenario() -> None:
        assert isinstance(await _end(await launcher.launch(spec)), Exited)

    go(scenario())
    assert runs(tmp_path) == 1


def test_a_lock_that_nobody_explains_is_no_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pilot that was stopped while it launched: the next one says so after a while, and starts nothing."""
    monkeypatch.setattr(launcher, "SETTLE_S", 0.2)
    spec = payload(tmp_path, "exit 0")
    stopped = "def start(*fds): os.kill(os.getpid(), signal.SIGSTOP)\nspawn.start = start\n"
    with pilot(spec, stopped + "asyncio.run(launcher.launch(spec))") as first:
        until(lambda: _state(first.pid) == b"T", "the pilot to stop")
        for ask in (launcher.find(Path(spec.directory)), launcher.launch(spec)):
            with pytest.raises(UndeterminedLaunch):
                go(ask)
        first.kill()
    assert runs(tmp_path) == 0
    assert go(launcher.find(Path(spec.directory))) == NeverStarted()


def _state(pid: int) -> bytes:
    return (proc.tree.stat_fields(pid) or [b""])[0]
