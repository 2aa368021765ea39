"""Payloads that outlive the pilot: start one, find it again from any later pilot, wait for it, stop it.

A launch lives in one directory and is at most one run of one payload, for ever. What the launcher process does
there is `system.shim`; what the end means for the job is not judged here.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import stat
from pathlib import Path

import msgspec

from picard_pilot.model.command import ProcessId, StartError, StartErrorKind
from picard_pilot.payload.launch import (
    Elsewhere,
    Exited,
    Found,
    LaunchFailed,
    LaunchHandle,
    LaunchSpec,
    Lost,
    LostReason,
    NeverStarted,
    Running,
    UndeterminedLaunch,
)
from picard_pilot.system import leftovers, proc, records, spawn
from picard_pilot.system.files import open_regular, read_regular
from picard_pilot.system.shim import protocol
from picard_pilot.system.streams import open_input, open_output

OOM_SCORE = 500
"""The payload's oom_score_adj: the kernel takes it before launcher and pilot. A higher one (HTCondor) is kept."""
MARK_NAME = "PICARD_LAUNCH_ID"
"""In the payload's environment, to know its processes by if the launcher is killed alone."""
PLAN_FILE = "plan.json"
"""What was launched, without arguments and environment, which may hold secrets."""
SETTLE_S = 15.0
"""How long a launch may be neither recorded nor gone: a start takes 20 ms, a disk that syncs slowly some seconds."""
LOOK_AGAIN_S = 0.01
"""A file lock has no event to wait for; it is only waited for while somebody else is just starting the payload."""


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    program: str
    cwd: str
    stdout: str
    stderr: str


_NO_PLAN = _Plan(program="the payload's program", cwd="its work directory", stdout="", stderr="")


async def launch(spec: LaunchSpec) -> LaunchHandle:
    """Start the payload, or find that this directory's one payload was started before.

    May be called again at any time, by anybody, also after a kill -9 during an earlier call: that call led either
    to a recorded start, whose handle is returned, or to nothing, and then the payload is started now. Of several
    calls at the same time one starts it. If this call is cancelled, ask `find` what became of it. Raises
    LaunchFailed if the payload cannot be started, OSError if the directory cannot be used, UndeterminedLaunch.
    """
    directory = Path(spec.directory)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    give_up_at = _now() + SETTLE_S
    while True:
        lock_fd = open_regular(directory / protocol.LOCK_FILE, os.O_RDWR | os.O_CREAT)
        try:
            free = _lock(lock_fd, fcntl.LOCK_EX)
            started = _read_started(directory)
            if started is not None:
                return _repeated(directory, started)
            if free:
                return await _start(spec, directory, lock_fd)
        finally:
            # From the start on the launcher holds the lock, through its own copy of this descriptor.
            os.close(lock_fd)
        await _look_again(directory, give_up_at)


async def find(directory: Path) -> Found:
    """What became of the launch in this directory, which need not exist. Raises OSError, UndeterminedLaunch."""
    give_up_at = _now() + SETTLE_S
    while (found := _look(directory)) is None:
        await _look_again(directory, give_up_at)
    return found


def runs_in_original(directory: Path) -> bool:
    """Whether `directory` is a copy of a launch directory whose payload runs on this host. Raises OSError."""
    try:
        lock_fd = open_regular(directory / protocol.LOCK_FILE, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        started = _read_started(directory)
        if started is None or started.boot_id != proc.boot_id() or not _lock(lock_fd, fcntl.LOCK_SH):
            return False
        return records.read(directory / protocol.EXIT_FILE) is None and proc.is_running(started.launcher)
    finally:
        os.close(lock_fd)


def out_of_sight(directory: Path) -> str | None:
    """The host on which the launch's payload runs though its launcher cannot be seen from here: on another node, or in
    another container. None where it can, or where none runs. Raises OSError."""
    try:
        lock_fd = open_regular(directory / protocol.LOCK_FILE, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        if _lock(lock_fd, fcntl.LOCK_SH):
            return None
        started = _read_started(directory)
        if started is None or (started.boot_id == proc.boot_id() and proc.is_running(started.launcher)):
            return None
        return started.host
    finally:
        os.close(lock_fd)


async def wait(handle: LaunchHandle) -> Exited | Lost | Elsewhere:
    """Return when the payload and all it started are gone, and how it ended. Cancelling it changes nothing.

    May be called by any process of this user, any number of times. Raises OSError, UndeterminedLaunch.
    """
    pidfd = proc.open_pidfd(handle.launcher) if handle.boot_id == proc.boot_id() else None
    if pidfd is not None:
        try:
            await spawn.process_end(pidfd)
            spawn.reap(pidfd)
        finally:
            os.close(pidfd)
    while True:
        found = await find(Path(handle.directory))
        if isinstance(found, Exited | Lost | Elsewhere):
            return found
        if isinstance(found, NeverStarted):  # somebody removed the records
            return Lost(handle, LostReason.LAUNCHER_GONE)
        await asyncio.sleep(LOOK_AGAIN_S)


def stop(handle: LaunchHandle, grace_s: float, reason: str) -> bool:
    """Have the payload stopped: SIGTERM to all of it, SIGKILL after the grace. False if it is over already.

    Returns at once; `wait` sees the end, and `reason` (a word) becomes `stopped_by`. A second call can only
    shorten the grace, and the first reason stays. Raises OSError.
    """
    if handle.boot_id != proc.boot_id() or not proc.is_running(handle.launcher):
        return False
    try:
        fd = os.open(
            f"{handle.directory}/{protocol.CONTROL_FILE}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW
        )
    except OSError:
        # The FIFO is gone with its directory, or somebody put something else there.
        return proc.send_signal(handle.launcher, signal.SIGTERM)
    try:
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            return proc.send_signal(handle.launcher, signal.SIGTERM)
        os.write(fd, spawn.stop_line(grace_s, protocol.word(reason)))
    except BrokenPipeError:
        return False
    finally:
        os.close(fd)
    return True


def kill(handle: LaunchHandle, reason: str = "killed") -> bool:
    """Have the payload killed at once; otherwise as `stop`."""
    return stop(handle, 0.0, reason)


def send_signal(handle: LaunchHandle, number: int) -> bool:
    """Signal the payload's main process alone. False if it is gone. Raises PermissionError."""
    return handle.boot_id == proc.boot_id() and proc.send_signal(handle.main, number)


async def kill_leftovers(lost: Lost) -> tuple[int, int]:
    """Kill what lives on of a payload whose launcher is gone; how many were killed, and how many withstand."""
    return await leftovers.kill_leftovers(lambda: _leftovers(lost.handle))


# ---- starting ---------------------------------------------------------------------------------------------


async def _start(spec: LaunchSpec, directory: Path, lock_fd: int) -> LaunchHandle:
    """Start the payload with the lock held. Until the whole order is sent nothing can come of it."""
    launch_id = os.urandom(8).hex()
    plan = _Plan(
        program=spec.argv[0] if spec.argv else "", cwd=spec.cwd, stdout=spec.stdout, stderr=spec.stderr
    )
    try:
        order = spawn.encode_order(
            spec.argv,
            {**spec.env, MARK_NAME: launch_id},
            cwd=spec.cwd,
            directory=str(directory.absolute()),
            launch_id=launch_id,
            output_limit_bytes=spec.output_limit_bytes,
            grace_s=spec.grace_s,
            oom_score_adj=OOM_SCORE,
            cgroup=spec.cgroup,
            own_process_space=spec.own_process_space,
            other_user=spec.other_user,
        )
    except spawn.BadOrder as error:
        raise LaunchFailed(StartError(kind=StartErrorKind.BAD_ARGUMENT, evidence=str(error))) from None
    try:
        (directory / PLAN_FILE).write_bytes(msgspec.json.encode(plan) + b"\n")
        shim = _spawn(spec, directory, lock_fd)
    except OSError as error:
        found = records.start_error("output", error.errno or 0, argv0=plan.program, cwd=spec.cwd)
        where = os.fsdecode(error.filename) if error.filename else "launcher"
        raise LaunchFailed(msgspec.structs.replace(found, evidence=f"{where}: {error.strerror}")) from None
    try:
        reply = await _reply(shim, order)
        if not isinstance(reply, records.Started):
            await spawn.process_end(shim.pidfd)
    finally:
        shim.leave()
    if isinstance(reply, records.Started):
        return _handle(directory, reply)
    if reply is not None:
        raise LaunchFailed(_start_error(reply, plan))
    started = _read_started(directory)
    if started is not None:
        return _handle(directory, started)
    raise LaunchFailed(
        StartError(kind=StartErrorKind.LAUNCHER, evidence=f"no word from it; see {spec.stderr}")
    )


def _spawn(spec: LaunchSpec, directory: Path, lock_fd: int) -> spawn.Shim:
    with contextlib.ExitStack() as stack:
        stdin = open_input(None)
        stack.callback(os.close, stdin)
        stdout = open_output(Path(spec.stdout), directory)
        stack.callback(os.close, stdout)
        stderr = open_output(Path(spec.stderr), directory)
        stack.callback(os.close, stderr)
        return spawn.start(stdin, stdout, stderr, lock_fd)


async def _reply(shim: spawn.Shim, order: bytes) -> records.Started | records.Ended | None:
    """Send the order; the launcher answers when the program runs or cannot."""
    data = b""
    try:
        await shim.send(order)
        while b"\n" not in data:
            piece = await asyncio.get_running_loop().sock_recv(shim.channel, protocol.RECORD_BYTES)
            if not piece:
                break
            data += piece
    except ConnectionError:
        pass  # it is gone; what it recorded tells
    return records.decode(data)


def _start_error(ended: records.Ended, plan: _Plan) -> StartError:
    error = ended.start_error(plan.program, plan.cwd)
    return error or StartError(kind=StartErrorKind.OTHER, evidence="it ended before it was seen to run")


def _repeated(directory: Path, started: records.Started) -> LaunchHandle:
    """The answer to a second launch; a payload that could not be started says so again."""
    ended = records.read(directory / protocol.EXIT_FILE)
    if isinstance(ended, records.Ended) and ended.start_stage is not None:
        raise LaunchFailed(_start_error(ended, _read_plan(directory)))
    return _handle(directory, started)


# ---- looking ----------------------------------------------------------------------------------------------


def _look(directory: Path) -> Found | None:
    """What the records and the lock say now; None while a launch is being made or has just let go."""
    try:
        lock_fd = open_regular(directory / protocol.LOCK_FILE, os.O_RDONLY)
    except FileNotFoundError:
        return NeverStarted()
    try:
        free = _lock(lock_fd, fcntl.LOCK_SH)
        started = _read_started(directory)
        if started is None:
            return NeverStarted() if free else None
        handle = _handle(directory, started)
        same_boot = handle.boot_id == proc.boot_id()
        if not free:
            if not same_boot:
                return Elsewhere(handle)
            return Running(handle) if proc.is_running(handle.launcher) else None
        ended = records.read(directory / protocol.EXIT_FILE)
        if isinstance(ended, records.Ended) and ended.launch_id == handle.launch_id:
            plan = _read_plan(directory)
            return Exited(handle, ended.payload_exit(plan.program, plan.cwd))
        if same_boot and proc.is_running(handle.launcher):
            return None  # it is just ending, or this is a copy of the directory whose lock it holds
        if same_boot:
            return Lost(handle, LostReason.LAUNCHER_GONE, tuple(_leftovers(handle)))
        return Lost(handle, LostReason.NODE_REBOOTED) if _is_here(handle) else Elsewhere(handle)
    finally:
        os.close(lock_fd)


def _leftovers(handle: LaunchHandle) -> list[ProcessId]:
    plan = _read_plan(Path(handle.directory))
    keys = (leftovers.output_key(Path(path)) for path in (plan.stdout, plan.stderr) if path)
    return leftovers.find_leftovers(
        handle.main, {key for key in keys if key is not None}, f"{MARK_NAME}={handle.launch_id}"
    )


def _lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_started(directory: Path) -> records.Started | None:
    record = records.read(directory / protocol.STARTED_FILE)
    return record if isinstance(record, records.Started) else None


def _read_plan(directory: Path) -> _Plan:
    try:
        return msgspec.json.decode(read_regular(directory / PLAN_FILE), type=_Plan)
    except (OSError, ValueError, RecursionError):  # a payload may have written there, and not even text
        return _NO_PLAN  # only words and leftovers depend on it


def _handle(directory: Path, started: records.Started) -> LaunchHandle:
    return LaunchHandle(
        directory=str(directory.absolute()),
        launch_id=started.launch_id,
        launcher=started.launcher,
        main=started.main,
        boot_id=started.boot_id,
        host=started.host,
        started_at=started.started_at,
    )


def _is_here(handle: LaunchHandle) -> bool:
    return handle.host == protocol.word(os.uname().nodename)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _look_again(directory: Path, give_up_at: float) -> None:
    if _now() > give_up_at:
        raise UndeterminedLaunch(
            f"{directory}: locked without a payload, or a copy of where one runs, for {SETTLE_S:.0f} s now"
        )
    await asyncio.sleep(LOOK_AGAIN_S)
