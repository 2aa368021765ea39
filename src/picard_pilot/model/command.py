"""How a program was started and how it ended: commands of the pilot and payloads alike.

What the end means for the job is judged by `lifecycle` and `diagnosis`; the starting is done in
`system.run` and `payload.launcher`.
"""

import enum

import msgspec


class ProcessId(msgspec.Struct, frozen=True, kw_only=True):
    """A process that cannot be mistaken for another one: pids are reused, pid and start time together are not.

    `start_ticks` is field 22 of /proc/PID/stat: clock ticks between the node's boot and the process' start.
    """

    pid: int
    start_ticks: int


class EndedBy(enum.StrEnum):
    """Who ended a command. Exit code and signal stand beside it and are never changed by it."""

    ITSELF = "itself"
    """It exited, or died of a signal that was not sent by its launcher (the kernel's out-of-memory kill is one)."""
    TIME_LIMIT = "time_limit"
    OUTPUT_LIMIT = "output_limit"
    CANCELLED = "cancelled"
    """The caller asked for it."""
    SIGNALLED = "signalled"
    """The launcher was signalled from outside (a batch system ends a job this way) and stopped the command."""
    LOST = "lost"
    """The launcher vanished without saying how the command ended; what was left of the command was killed."""
    NOT_STARTED = "not_started"
    """See `start_error`."""


class StartErrorKind(enum.StrEnum):
    """Why a program did not start. Its own exit codes 126 and 127 never end up here."""

    NOT_FOUND = "not_found"
    NOT_EXECUTABLE = "not_executable"
    BAD_INTERPRETER = "bad_interpreter"
    """The file exists; what its first line (or its ELF header) names does not."""
    BAD_FORMAT = "bad_format"
    """Neither a program of this architecture nor a script with a first line that names an interpreter."""
    ARGUMENTS_TOO_LONG = "arguments_too_long"
    """Arguments and environment together are more than the kernel takes (E2BIG)."""
    BAD_ARGUMENT = "bad_argument"
    """Empty command, NUL byte, or a variable name with `=`."""
    NO_WORK_DIRECTORY = "no_work_directory"
    OUTPUT_NOT_WRITABLE = "output_not_writable"
    DISK_FULL = "disk_full"
    NO_RESOURCES = "no_resources"
    """No more processes, file descriptors or memory for this user."""
    LAUNCHER = "launcher"
    """The launcher itself could not start; the evidence says why."""
    OTHER = "other"


class StartError(msgspec.Struct, frozen=True, kw_only=True):
    """A program that did not start: what is wrong, with the path or the kernel's words as evidence."""

    kind: StartErrorKind
    evidence: str
    errno: int | None = None


class CommandResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a command of the pilot ended. What is not known is None.

    Exactly one of `exit_code`, `signal` and neither (not started, lost) is set. `max_rss_bytes` is that of the
    largest single process of the tree; CPU times are of the whole tree, including orphans. The tails are text
    with undecodable bytes written as `\\xNN`; the counts are of bytes written in all. `leftovers_killed` counts the
    processes that were still there when the command had ended; `survivors` those that could not be killed
    (another user's, or stuck in the kernel).
    """

    ended_by: EndedBy
    exit_code: int | None = None
    signal: int | None = None
    start_error: StartError | None = None
    wall_s: float = 0.0
    cpu_user_s: float | None = None
    cpu_system_s: float | None = None
    max_rss_bytes: int | None = None
    stdout_tail: str = ""
    stderr_tail: str = ""
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    leftovers_killed: int = 0
    survivors: int = 0

    @property
    def ok(self) -> bool:
        """It ended by itself with exit code 0."""
        return self.ended_by is EndedBy.ITSELF and self.exit_code == 0


class PayloadExit(msgspec.Struct, frozen=True, kw_only=True):
    """What the payload did, as its launcher saw it. No finding of the pilot overwrites this record.

    `stopped_by` is None if it ended by itself, else one word for who asked: `output_limit`, `signal_15`, or the
    reason given to `payload.launcher.stop`. Times of day are seconds since 1970, UTC; `wall_s` is measured with
    a clock that nobody can set. The other fields mean what they mean in `CommandResult`.
    """

    started_at: float
    ended_at: float
    wall_s: float
    exit_code: int | None = None
    signal: int | None = None
    cpu_user_s: float | None = None
    cpu_system_s: float | None = None
    max_rss_bytes: int | None = None
    stopped_by: str | None = None
    start_error: StartError | None = None
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    leftovers_killed: int = 0
    survivors: int = 0
