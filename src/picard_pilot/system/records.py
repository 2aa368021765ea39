"""The launcher's records as typed values, for those who started it or find its directory. It reads and judges nothing.

The launcher's own side, which knows no types, is `system.shim.protocol`.
"""

import errno as errnos
import os
from pathlib import Path

import msgspec

from picard_pilot.model.command import PayloadExit, ProcessId, StartError, StartErrorKind
from picard_pilot.system.files import open_regular
from picard_pilot.system.shim.protocol import RECORD_BYTES, verified_record


class Started(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="started"):
    """The command is about to run, or runs."""

    protocol: int
    launch_id: str
    launcher_pid: int
    launcher_start_ticks: int
    pid: int
    start_ticks: int
    boot_id: str
    host: str
    started_at: float

    @property
    def launcher(self) -> ProcessId:
        """The launcher's process."""
        return ProcessId(pid=self.launcher_pid, start_ticks=self.launcher_start_ticks)

    @property
    def main(self) -> ProcessId:
        """The command's main process."""
        return ProcessId(pid=self.pid, start_ticks=self.start_ticks)


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="ended"):
    """The command has ended, or could not be started (`start_stage` and `start_errno` say where and why)."""

    protocol: int
    launch_id: str
    exit_code: int | None
    signal: int | None
    stopped_by: str | None
    start_stage: str | None
    start_errno: int | None
    started_at: float
    ended_at: float
    wall_s: float
    cpu_user_s: float
    cpu_system_s: float
    max_rss_bytes: int
    stdout_bytes: int
    stderr_bytes: int
    leftovers_killed: int
    survivors: int

    def start_error(self, argv0: str, cwd: str) -> StartError | None:
        """The reason why the command did not start, in words that name its program or directory."""
        if self.start_stage is None:
            return None
        return start_error(self.start_stage, self.start_errno or 0, argv0=argv0, cwd=cwd)

    def payload_exit(self, argv0: str, cwd: str) -> PayloadExit:
        """The same facts as the job's journal keeps them."""
        return PayloadExit(
            exit_code=self.exit_code,
            signal=self.signal,
            cpu_user_s=self.cpu_user_s,
            cpu_system_s=self.cpu_system_s,
            max_rss_bytes=self.max_rss_bytes,
            started_at=self.started_at,
            ended_at=self.ended_at,
            wall_s=self.wall_s,
            stopped_by=self.stopped_by,
            start_error=self.start_error(argv0, cwd),
            stdout_bytes=self.stdout_bytes,
            stderr_bytes=self.stderr_bytes,
            leftovers_killed=self.leftovers_killed,
            survivors=self.survivors,
        )


_decoder: msgspec.json.Decoder[Started | Ended] = msgspec.json.Decoder(Started | Ended)


def decode(line: bytes) -> Started | Ended | None:
    """The record in the first line of `line`, or None if there is no whole one."""
    whole = verified_record(line)
    if whole is None:
        return None
    try:
        return _decoder.decode(whole)
    except (ValueError, RecursionError):
        return None  # of a protocol we do not know, or not even text


def read(path: Path) -> Started | Ended | None:
    """The record in a file, or None if there is none yet, a torn one, or no file. Raises OSError."""
    try:
        fd = open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return decode(os.read(fd, RECORD_BYTES))
    finally:
        os.close(fd)


_EXEC_KINDS = {
    errnos.ENOENT: StartErrorKind.NOT_FOUND,
    errnos.ENOTDIR: StartErrorKind.NOT_FOUND,
    errnos.EACCES: StartErrorKind.NOT_EXECUTABLE,
    errnos.EPERM: StartErrorKind.NOT_EXECUTABLE,
    errnos.ENOEXEC: StartErrorKind.BAD_FORMAT,
    errnos.E2BIG: StartErrorKind.ARGUMENTS_TOO_LONG,
    errnos.ENOMEM: StartErrorKind.NO_RESOURCES,
    errnos.EAGAIN: StartErrorKind.NO_RESOURCES,
}
_FULL = (errnos.ENOSPC, errnos.EDQUOT)
_SCARCE = (errnos.EAGAIN, errnos.ENOMEM, errnos.EMFILE, errnos.ENFILE)


def start_error(stage: str, number: int, *, argv0: str, cwd: str) -> StartError:
    """What a failure at a stage of the start means.

    The stages are `exec`, `interpreter`, `cwd`, `fork`, `session`, `record` and `output`.
    """
    words = os.strerror(number)
    if stage == "exec":
        kind, evidence = _EXEC_KINDS.get(number, StartErrorKind.OTHER), f"{argv0}: {words}"
    elif stage == "interpreter":
        kind, evidence = StartErrorKind.BAD_INTERPRETER, f"{argv0} is there, but its interpreter: {words}"
    elif stage == "cwd":
        kind, evidence = StartErrorKind.NO_WORK_DIRECTORY, f"{cwd}: {words}"
    elif number in _FULL:
        kind, evidence = StartErrorKind.DISK_FULL, f"{stage}: {words}"
    elif number in _SCARCE:
        kind, evidence = StartErrorKind.NO_RESOURCES, f"{stage}: {words}"
    elif stage == "output":
        kind, evidence = StartErrorKind.OUTPUT_NOT_WRITABLE, words
    else:
        kind, evidence = StartErrorKind.LAUNCHER, f"{stage}: {words}"
    return StartError(kind=kind, evidence=evidence, errno=number)
