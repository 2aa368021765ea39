"""What passes between the pilot and an experiment's hooks: the job's directory, the node, a command, an outcome.

Paths are plain strings here, since this room knows no file system.
"""

import msgspec


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """The paths of one job's directory, all absolute.

    `directory` is the payload's working directory (`PanDA_Pilot-<jobid>`); `private` is `picard/` inside it,
    the pilot's own records, which no hook may write. `turls` are the addresses, by LFN, of inputs that the payload
    reads where they are; the hooks `environment` and `command` get them.
    """

    directory: str
    private: str
    stdout: str
    stderr: str
    job_report: str
    turls: dict[str, str] = {}


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of the worker node; what could not be found out is None."""

    host: str
    cores: int
    memory_mb: int | None = None
    free_disk_mb: int | None = None
    cpu_model: str | None = None
    batch_system: str | None = None
    batch_id: str | None = None


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A program to start: its argument vector (never a shell line) and variables on top of the environment."""

    argv: tuple[str, ...]
    environment: dict[str, str] = {}


class Preparation(msgspec.Struct, frozen=True, kw_only=True):
    """What an experiment's `prepare` (setup) found out, kept in the journal: notes for people."""

    notes: tuple[str, ...] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an experiment reads from the payload's own report. Unknown is None.

    `exe_error_code` and `exe_error_diag` are the payload's own words about a failure; `guids` are the
    GUIDs that the payload wrote into its outputs, by LFN; `metadata` is the text for the server's `meta_data`.
    """

    exe_error_code: int | None = None
    exe_error_diag: str | None = None
    n_events: int | None = None
    guids: dict[str, str] = {}
    metadata: str | None = None
