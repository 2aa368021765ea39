"""The nouns of a launch: what is asked for, the handle to it, and the states in which it can be found.

The verbs are in `launcher`.
"""

import enum

import msgspec

from picard_pilot.model.command import PayloadExit, ProcessId, StartError


class LaunchSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A payload to start. All paths are absolute.

    `directory` is the launch's own (the job's `picard/launch/`) and holds its records. `env` is the payload's
    whole environment; it reaches the payload through a socket and is neither on a command line nor on disk.
    Output is appended to `stdout` and `stderr`. `grace_s` is what a batch system's SIGTERM to the launcher leaves
    the payload, and what a payload that writes more than `output_limit_bytes` to a stream gets.
    """

    directory: str
    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    stdout: str
    stderr: str
    output_limit_bytes: int | None = None
    grace_s: float = 30.0
    cgroup: str | None = None
    """The folder of a cgroup of its own, where there is one: all that is in it is killed at the end."""
    own_process_space: bool = False
    """`argv` confines the payload in a process space of its own: SIGTERM is for those in it alone."""
    other_user: int | None = None
    """The number of another user as whom `argv` runs the payload: who has it stopped asks it himself, as that user."""


class LaunchHandle(msgspec.Struct, frozen=True, kw_only=True):
    """A payload that was started once. Plain data: it may be kept in a journal and used by another process."""

    directory: str
    launch_id: str
    launcher: ProcessId
    main: ProcessId
    """The payload's main process."""
    boot_id: str
    host: str
    started_at: float
    """Seconds since 1970, UTC."""


class LostReason(enum.StrEnum):
    """Why a payload has no exit record."""

    LAUNCHER_GONE = "launcher_gone"
    """Killed with the batch slot, or alone, on this boot of the node."""
    NODE_REBOOTED = "node_rebooted"


class NeverStarted(msgspec.Struct, frozen=True):
    """Nothing has run here, and nothing will unless it is launched."""


class Running(msgspec.Struct, frozen=True):
    """The launcher lives; its payload runs or is just being reaped."""

    handle: LaunchHandle


class Exited(msgspec.Struct, frozen=True):
    """The payload ended, and this is how."""

    handle: LaunchHandle
    exit: PayloadExit


class Lost(msgspec.Struct, frozen=True):
    """The launcher is gone without a record: lost with the slot, which says nothing about the program.

    `leftovers` are processes of the payload that live on without it; `launcher.kill_leftovers` ends them.
    """

    handle: LaunchHandle
    reason: LostReason
    leftovers: tuple[ProcessId, ...] = ()

    @property
    def says(self) -> str:
        """One sentence for people, with the evidence."""
        launcher = self.handle.launcher
        what = f"the payload's launcher (process {launcher.pid} on {self.handle.host})"
        if self.reason is LostReason.NODE_REBOOTED:
            return f"{what} ended with the node's reboot, before the payload's end was recorded"
        rest = f"; {len(self.leftovers)} of its processes live on" if self.leftovers else ""
        return f"{what} is gone and left no exit record: it was killed with the batch slot or by hand{rest}"


class Elsewhere(msgspec.Struct, frozen=True):
    """It was launched on another host that shares this directory, and has no exit record: not ours to judge."""

    handle: LaunchHandle


Found = NeverStarted | Running | Exited | Lost | Elsewhere


class LaunchFailed(Exception):
    """The payload could not be started; nothing of it has run."""

    def __init__(self, error: StartError) -> None:
        super().__init__(f"{error.kind}: {error.evidence}")
        self.error = error


class UndeterminedLaunch(Exception):
    """Somebody holds the launch and neither starts the payload nor lets go: a stopped process, a hanging disk."""
