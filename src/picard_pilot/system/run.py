"""One way to run a command of the pilot and to know how it ended. Payloads are for `payload.launcher`.

The end of a command is the end of its process, never that of a pipe; its output goes to files; what it leaves
behind is killed by its own launcher (`system.shim`), which dies with us. This process reaps its launchers, nobody else.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from picard_pilot.model.command import CommandResult, EndedBy, StartError, StartErrorKind
from picard_pilot.system import leftovers, records, spawn
from picard_pilot.system.shim.protocol import KILL_PATIENCE_S
from picard_pilot.system.streams import open_input, open_output, read_tail

GRACE_S = 5.0
"""Between SIGTERM and SIGKILL: enough to remove temporary files, short beside any limit we set."""
OUTPUT_LIMIT_BYTES = 1 << 30
"""Per stream. No command of the pilot has that much to say; it bounds what a mad one does to the disk."""
TAIL_BYTES = 64 << 10
"""Per stream, kept in memory: the whole output of nearly every command."""
LAUNCHER_PATIENCE_S = 10.0
"""How much longer than limit, grace and killing a launcher may take before it is taken for stuck and killed."""
TEMPORARY = Path("/tmp")

_ENDED_BY = {
    None: EndedBy.ITSELF,
    "time_limit": EndedBy.TIME_LIMIT,
    "output_limit": EndedBy.OUTPUT_LIMIT,
    "cancelled": EndedBy.CANCELLED,
}


async def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: bytes | None = None,
    stdout: Path | None = None,
    stderr: Path | None = None,
    time_limit_s: float | None = None,
    output_limit_bytes: int | None = OUTPUT_LIMIT_BYTES,
    grace_s: float = GRACE_S,
    tail_bytes: int = TAIL_BYTES,
    temporary: Path = TEMPORARY,
    on_start: Callable[[int], None] | None = None,
) -> CommandResult:
    """Run a command to its end and return how it ended, whatever that was; only cancellation is raised.

    `argv[0]` is looked up in the PATH of `env`, which is the command's whole environment. Standard input is
    `stdin`, or empty. Output is appended to the files at `stdout` and `stderr` (which may be one), or goes to
    files without a name in the directory `temporary`. A `time_limit_s` of zero or less has expired already:
    nothing is started. When a stream exceeds `output_limit_bytes`, or the time is over, or this call is
    cancelled, the whole tree gets SIGTERM and after `grace_s` SIGKILL. When this process dies, the tree is
    killed at once. `on_start` gets the pid of the launcher, of which every process of the command descends. May be
    called any number of times at once; costs four descriptors and no thread each.
    """
    if time_limit_s is not None and time_limit_s <= 0:
        return CommandResult(ended_by=EndedBy.TIME_LIMIT)
    try:
        order = spawn.encode_order(
            argv,
            env,
            cwd=str(cwd.absolute()),
            time_limit_s=time_limit_s,
            output_limit_bytes=output_limit_bytes,
            grace_s=grace_s,
        )
    except spawn.BadOrder as error:
        return _not_started(StartError(kind=StartErrorKind.BAD_ARGUMENT, evidence=str(error)))
    backstop_s = (
        None if time_limit_s is None else time_limit_s + grace_s + KILL_PATIENCE_S + LAUNCHER_PATIENCE_S
    )
    command = _Running(argv[0], str(cwd), grace_s, tail_bytes)
    try:
        try:
            command.open(stdin, stdout, stderr, temporary)
        except OSError as error:
            return _not_started(command.start_error("output", error))
        try:
            command.shim = spawn.start(command.stdin, command.stdout, command.stderr)
        except OSError as error:
            return _not_started(command.start_error("fork", error))
        if on_start is not None:
            on_start(command.shim.pid)
        await command.follow(order, backstop_s)
        return await command.result()
    finally:
        command.close()


def _not_started(error: StartError) -> CommandResult:
    return CommandResult(ended_by=EndedBy.NOT_STARTED, start_error=error)


class _Running:
    """One command and the descriptors it takes."""

    def __init__(self, argv0: str, cwd: str, grace_s: float, tail_bytes: int) -> None:
        self.argv0, self.cwd, self.grace_s, self.tail_bytes = argv0, cwd, grace_s, tail_bytes
        self.stdin = self.stdout = self.stderr = -1
        self.start_bytes = [0, 0]
        self.shared = False
        self.shim: spawn.Shim | None = None
        self.began = asyncio.get_running_loop().time()

    def open(self, stdin: bytes | None, stdout: Path | None, stderr: Path | None, temporary: Path) -> None:
        self.stdin = open_input(stdin)
        self.stdout = open_output(stdout, temporary)
        self.stderr = open_output(stderr, temporary)
        out, err = os.fstat(self.stdout), os.fstat(self.stderr)
        self.start_bytes = [out.st_size, err.st_size]
        self.shared = os.path.samestat(out, err)

    def close(self) -> None:
        if self.shim is not None:
            spawn.reap(self.shim.pidfd)
            self.shim.close()
        for fd in (self.stdin, self.stdout, self.stderr):
            if fd >= 0:
                os.close(fd)

    def start_error(self, stage: str, error: OSError) -> StartError:
        name = f"{stage} {os.fsdecode(error.filename)}" if error.filename else stage
        found = records.start_error(stage, error.errno or 0, argv0=self.argv0, cwd=self.cwd)
        return StartError(kind=found.kind, evidence=f"{name}: {error.strerror}", errno=error.errno)

    async def follow(self, order: bytes, backstop_s: float | None) -> None:
        """Send the order and return when the launcher has ended; when cancelled, stop the command first."""
        assert self.shim is not None
        sent = False
        try:
            try:
                await self.shim.send(order)
            except OSError:
                pass  # it is gone already; its missing record says so
            sent = True
            async with asyncio.timeout(backstop_s):
                await spawn.process_end(self.shim.pidfd)
        except TimeoutError:
            await self._kill_launcher()
        except asyncio.CancelledError:
            if sent:
                self.shim.stop(self.grace_s, "cancelled")
            else:
                self.shim.channel.close()
            await self._end_despite_cancellation()
            raise

    async def _end_despite_cancellation(self) -> None:
        assert self.shim is not None
        while True:
            try:
                await spawn.process_end(self.shim.pidfd)
            except asyncio.CancelledError:
                self.shim.stop(0.0, "cancelled")  # asked again: no more grace
            else:
                return

    async def _kill_launcher(self) -> None:
        """The launcher is stuck. Its tree goes with it as far as `leftovers` sees."""
        assert self.shim is not None
        signal.pidfd_send_signal(self.shim.pidfd, signal.SIGKILL)
        try:
            async with asyncio.timeout(KILL_PATIENCE_S):
                await spawn.process_end(self.shim.pidfd)
        except TimeoutError:
            pass  # in the kernel's hands; it is not waited for

    async def result(self) -> CommandResult:
        assert self.shim is not None
        started, ended = _read_records(self.shim)
        if ended is None:
            failed = spawn.reap(self.shim.pidfd)
            return self._launcher_failed(failed) if failed and not started else await self._lost(started)
        error = ended.start_error(self.argv0, self.cwd)
        return CommandResult(
            ended_by=EndedBy.NOT_STARTED if error else _ENDED_BY.get(ended.stopped_by, EndedBy.SIGNALLED),
            exit_code=ended.exit_code,
            signal=ended.signal,
            start_error=error,
            wall_s=ended.wall_s,
            cpu_user_s=ended.cpu_user_s,
            cpu_system_s=ended.cpu_system_s,
            max_rss_bytes=ended.max_rss_bytes,
            stdout_tail=read_tail(self.stdout, self.start_bytes[0], ended.stdout_bytes, self.tail_bytes),
            stderr_tail=read_tail(self.stderr, self.start_bytes[1], ended.stderr_bytes, self.tail_bytes),
            stdout_bytes=ended.stdout_bytes,
            stderr_bytes=ended.stderr_bytes,
            leftovers_killed=ended.leftovers_killed,
            survivors=ended.survivors,
        )

    def _launcher_failed(self, exit_code: int) -> CommandResult:
        """The launcher gave up by itself before the program ran; what it said last is in the error stream."""
        said = read_tail(self.stderr, self.start_bytes[1], self._stderr_bytes(), self.tail_bytes).splitlines()
        evidence = f"it left with exit code {exit_code}; {said[-1] if said else 'it said nothing'}"
        return _not_started(StartError(kind=StartErrorKind.LAUNCHER, evidence=evidence))

    async def _lost(self, started: records.Started | None) -> CommandResult:
        """The launcher died without a record: kill what is left, tell what was written."""
        keys = {(s.st_dev, s.st_ino) for s in (os.fstat(self.stdout), os.fstat(self.stderr))}
        main = started.main if started is not None else None
        killed, survivors = await leftovers.kill_leftovers(lambda: leftovers.find_leftovers(main, keys))
        stdout_bytes = os.fstat(self.stdout).st_size - self.start_bytes[0]
        return CommandResult(
            ended_by=EndedBy.LOST,
            wall_s=asyncio.get_running_loop().time() - self.began,
            stdout_tail=read_tail(self.stdout, self.start_bytes[0], stdout_bytes, self.tail_bytes),
            stderr_tail=read_tail(self.stderr, self.start_bytes[1], self._stderr_bytes(), self.tail_bytes),
            stdout_bytes=stdout_bytes,
            stderr_bytes=self._stderr_bytes(),
            leftovers_killed=killed,
            survivors=survivors,
        )

    def _stderr_bytes(self) -> int:
        return 0 if self.shared else os.fstat(self.stderr).st_size - self.start_bytes[1]


def _read_records(shim: spawn.Shim) -> tuple[records.Started | None, records.Ended | None]:
    """What a launcher that has ended said on its channel."""
    data = b""
    try:
        while piece := shim.channel.recv(1 << 16):
            data += piece
    except OSError:
        pass  # nothing more
    started = ended = None
    for line in data.splitlines():
        record = records.decode(line)
        if isinstance(record, records.Started):
            started = record
        elif record is not None:
            ended = record
    return started, ended
