"""The calls of the v1 API that a pilot or a user makes, with exact JSON types and limits.

Types, limits and nullability are those of panda-server 1.0.4 as observed; behaviour is not here.
"""

from __future__ import annotations

from typing import Literal

from picard_pilot.wire.fields import Call, Field, Kind

PREFIX = "/api/v1/"
"""Where the calls live below the server's address."""

MAX_ERROR_CODE = 2**31 - 1
"""Error codes are 32 bit columns; a larger one loses the whole update."""

MAX_COMMAND_LENGTH = 250
"""Characters of a command put to a job with `job/set_command`."""

MAX_STDOUT_LENGTH = 2048
"""Characters of debug output the server keeps; 2049 vanish without an error."""

JOB_STATUSES = ("running", "failed", "finished", "holding", "starting", "transferring")
"""The only values `update_job.job_status` takes; anything else is answered with StatusCode 50."""

FINAL_STATUSES = ("finished", "failed")
"""Of these the ones that end a job."""

WORKER_STATUSES = ("started", "finished")
"""The only values `update_worker_status.status` takes."""


def _text(
    name: str,
    *,
    required: bool = False,
    nullable: bool = True,
    max_length: int | None = None,
    cut: bool = True,
    keep: Literal["start", "end"] = "start",
) -> Field:
    return Field(
        name=name,
        kind=Kind.TEXT,
        required=required,
        nullable=nullable and not required,
        max_length=max_length,
        cut=cut,
        keep=keep,
    )


def _integer(
    name: str, *, required: bool = False, nullable: bool = True, max_value: int | None = None
) -> Field:
    return Field(
        name=name,
        kind=Kind.INTEGER,
        required=required,
        nullable=nullable and not required,
        max_value=max_value,
    )


def _number(name: str) -> Field:
    return Field(name=name, kind=Kind.NUMBER)


def _flag(name: str, *, required: bool = False) -> Field:
    return Field(name=name, kind=Kind.BOOLEAN, required=required, nullable=not required)


_TIMEOUT_S = _integer("timeout", nullable=False)
_JOB_ID = _integer("job_id", required=True)
_JOB_IDS = Field(name="job_ids", kind=Kind.INTEGERS, required=True, nullable=False)

_MEMORY = ("rss", "vmem", "swap", "pss")
_INPUT_OUTPUT = ("rchar", "wchar", "rbytes", "wbytes")

ACQUIRE_JOBS = Call(
    module="pilot",
    method="acquire_jobs",
    verb="POST",
    has_status_code=True,
    fields=(
        _text("site_name", required=True),
        _TIMEOUT_S,
        _integer("memory"),
        _integer("disk_space"),
        _text("prod_source_label"),
        _text("node"),
        _text("computing_element"),
        _text("prod_user_id"),
        # Documented as a bool, but a bool is refused.
        _text("get_proxy_key"),
        _integer("task_id"),
        _integer("n_jobs", nullable=False),
        _flag("background"),
        _text("resource_type"),
        _text("harvester_id"),
        _integer("worker_id"),
        _text("scheduler_id"),
        _text("job_type"),
        _flag("via_topic"),
        # The server declares no type here; anything that is no number counts as "no limit".
        Field(name="remaining_time", kind=Kind.NUMBER),
        Field(name="target_architecture", kind=Kind.OBJECT_OR_TEXT, since="1.0.4"),
    ),
)

UPDATE_JOB = Call(
    module="pilot",
    method="update_job",
    verb="POST",
    has_status_code=True,
    needs_role=True,
    fields=(
        _JOB_ID,
        _text("job_status", required=True),
        _text("job_output_report", nullable=False),
        _text("node", max_length=128),
        _integer("cpu_consumption_time"),
        _text("cpu_consumption_unit", max_length=128, cut=False),
        _text("scheduler_id", max_length=128, cut=False),
        _text("pilot_id", max_length=200),
        _text("site_name"),
        _text("pilot_log", nullable=False, max_length=4000, keep="end"),
        _text("meta_data", nullable=False),
        _number("cpu_conversion_factor"),
        _integer("trans_exit_code", max_value=MAX_ERROR_CODE),
        _integer("pilot_error_code", max_value=MAX_ERROR_CODE),
        _text("pilot_error_diag", max_length=500),
        _integer("exe_error_code", max_value=MAX_ERROR_CODE),
        _text("exe_error_diag", max_length=500),
        _text("pilot_timing", max_length=100, cut=False),
        _text("start_time"),
        _text("end_time"),
        _integer("n_events"),
        _integer("n_input_files"),
        _text("batch_id", max_length=80),
        _integer("attempt_nr"),
        _text("job_metrics", max_length=500),
        _text("stdout", nullable=False, max_length=MAX_STDOUT_LENGTH, cut=False, keep="end"),
        _text("job_sub_status", max_length=80),
        _integer("core_count"),
        *(_number(f"{kind}_{name}") for kind in ("max", "avg") for name in _MEMORY),
        *(_number(f"{kind}_{name}") for kind in ("tot", "rate") for name in _INPUT_OUTPUT),
        _text("corrupted_files"),
        _integer("mean_core_count"),
        _text("cpu_architecture_level", max_length=20),
        _text("grid", max_length=50),
        _text("source_site", max_length=36),
        _text("destination_site", max_length=36),
        _TIMEOUT_S,
    ),
)

UPDATE_JOBS_BULK = Call(
    module="pilot",
    method="update_jobs_bulk",
    verb="POST",
    needs_role=True,
    fields=(
        Field(name="job_list", kind=Kind.OBJECTS, required=True, nullable=False),
        _text("harvester_id"),
    ),
)

GET_JOB_STATUS = Call(module="pilot", method="get_job_status", verb="GET", fields=(_JOB_IDS, _TIMEOUT_S))

UPDATE_WORKER_STATUS = Call(
    module="pilot",
    method="update_worker_status",
    verb="POST",
    needs_role=True,
    fields=(
        # The server declares no types in this call.
        Field(name="worker_id", kind=Kind.ANY, required=True, nullable=False),
        Field(name="harvester_id", kind=Kind.ANY, required=True, nullable=False),
        Field(name="status", kind=Kind.ANY, required=True, nullable=False),
        Field(name="timeout", kind=Kind.ANY),
        Field(name="node_id", kind=Kind.ANY),
    ),
)

SUBMIT = Call(
    module="job",
    method="submit",
    verb="POST",
    fields=(_text("jobs", required=True),),
)

GET_STATUS = Call(module="job", method="get_status", verb="GET", fields=(_JOB_IDS, _TIMEOUT_S))

KILL = Call(
    module="job",
    method="kill",
    verb="POST",
    fields=(
        _JOB_IDS,
        _integer("code"),
        Field(name="use_email_as_id", kind=Kind.BOOLEAN, nullable=False),
        Field(name="kill_options", kind=Kind.TEXTS, nullable=False),
    ),
)

SET_COMMAND = Call(
    module="job",
    method="set_command",
    verb="POST",
    needs_role=True,
    fields=(_JOB_ID, _text("command", required=True, max_length=MAX_COMMAND_LENGTH, cut=False)),
)

SET_DEBUG_MODE = Call(
    module="job",
    method="set_debug_mode",
    verb="POST",
    needs_role=True,
    # A fault of the real server: `success: false` and "Succeeded" mean that it was done.
    success_inverted="Succeeded",
    fields=(_JOB_ID, _flag("mode", required=True)),
)

IS_ALIVE = Call(module="system", method="is_alive", verb="GET", anonymous=True, fields=())

CALLS: tuple[Call, ...] = (
    ACQUIRE_JOBS,
    UPDATE_JOB,
    UPDATE_JOBS_BULK,
    GET_JOB_STATUS,
    UPDATE_WORKER_STATUS,
    SUBMIT,
    GET_STATUS,
    KILL,
    SET_COMMAND,
    SET_DEBUG_MODE,
    IS_ALIVE,
)
"""Every call spoken here; the embedded server serves exactly these below `PREFIX`."""
