"""A job as the server described it: identity, needs, files, program. Nothing about its progress.

Reading the server's dictionary is `wire.jobdict`; what happened to a job is `lifecycle.case`.
"""

from enum import StrEnum

import msgspec

from picard_pilot.model.files import FileSpec
from picard_pilot.model.policy import AltStageOut


class InputAccess(StrEnum):
    """How a job wants its inputs."""

    DIRECT = "direct"
    """Read where they are."""
    COPY = "copy"
    """As files in its directory."""


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """What a job asks of its node; None where the server set no limit (0 and NULL mean none)."""

    cores: int = 1
    memory_mb: int | None = None
    disk_mb: int | None = None
    walltime_s: int | None = None
    cpu_time_s: int | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at one piece of work, parsed and checked once at the border.

    `attempt_nr` goes back to the server with every update. `extra` keeps the fields that the core does not
    know, as the server sent them, for the experiment.
    """

    job_id: int
    attempt_nr: int
    name: str | None = None
    task_id: int | None = None
    jobset_id: int | None = None
    owner: str | None = None
    """The submitter's name or DN (`prodUserID`)."""
    label: str | None = None
    """`prodSourceLabel`: user, managed, test ..."""
    processing_type: str | None = None
    priority: int | None = None
    max_attempt: int | None = None
    """The last attempt that the server will make (`maxAttempt`)."""
    recover: bool = False
    """Its user wants its outputs kept when no storage takes them (`--useJobRecovery`)."""
    transformation: str = ""
    """The program: a command (or, for some experiments, an address)."""
    parameters: str = ""
    """Its arguments as one line (`jobPars`)."""
    requirements: Requirements = Requirements()
    inputs: tuple[FileSpec, ...] = ()
    outputs: tuple[FileSpec, ...] = ()
    """The outputs without the log."""
    log: FileSpec | None = None
    transfer_type: str | None = None
    """`direct`: the job wants its inputs read where they are (`transferType`)."""
    input_access: InputAccess | None = None
    """What the job's parameters say about it (`--accessmode=direct`, `--accessmode=copy`, `--useLocalIO`)."""
    alt_stage_out: AltStageOut | None = None
    """The job's own word on alternative destinations; None leaves it to the queue."""
    container_name: str | None = None
    software_release: str | None = None
    home_package: str | None = None
    platform: str | None = None
    """`cmtConfig`."""
    debug: bool = False
    extra: dict[str, msgspec.Raw] = {}
