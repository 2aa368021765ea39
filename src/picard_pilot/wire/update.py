"""From the pilot's update to the fields of `pilot/update_job`, and nothing about how they travel.

Cutting, cleaning and dropping of nulls is `wire.encode`; the output report's form is `wire.report`.
"""

from datetime import UTC, datetime

from picard_pilot.model.report import Update, UsageSummary
from picard_pilot.wire import (
    cost,
    ending,
    error_notes,
    limit_notes,
    progress,
    report,
    transfer_notes,
    usage_now,
)
from picard_pilot.wire.fields import fields_of
from picard_pilot.wire.v1 import UPDATE_JOB

_MOST_METRICS = fields_of(UPDATE_JOB)["job_metrics"].max_length or 0

_IO_NAMES = {"rchar": "rchar", "wchar": "wchar", "read_bytes": "rbytes", "write_bytes": "wbytes"}
"""The kernel's names of the counts, and the server's."""


def update_values(update: Update) -> dict[str, object]:
    """The v1 fields of one update, unset ones as None. A final update always carries an output report."""
    usage = update.usage
    values: dict[str, object] = {
        "job_id": update.job_id,
        "job_status": str(update.status),
        "attempt_nr": update.attempt_nr,
        "job_sub_status": str(update.phase),
        "site_name": update.site_name,
        "node": update.node,
        "scheduler_id": update.scheduler_id,
        "pilot_id": update.pilot_id,
        "batch_id": update.batch_id,
        "start_time": _time(update.start_time),
        "end_time": _time(update.end_time),
        "core_count": update.core_count,
        "cpu_consumption_time": usage.cpu_time_s,
        "cpu_consumption_unit": None if usage.cpu_time_s is None else "s",
        **_usage_values(usage),
        "n_events": update.n_events,
        "n_input_files": update.n_input_files,
        "job_metrics": _metrics(update),
        "pilot_timing": None if update.timing_s is None else "|".join(map(str, update.timing_s)),
        "pilot_error_code": update.pilot_error_code,
        "pilot_error_diag": update.pilot_error_diag,
        "exe_error_code": update.exe_error_code,
        "exe_error_diag": update.exe_error_diag,
        "trans_exit_code": update.trans_exit_code,
        "meta_data": update.metadata,
        "pilot_log": _pilot_log(update),
    }
    if update.final:
        values["job_output_report"] = report.build(update.outputs)
    return values


def _usage_values(usage: UsageSummary) -> dict[str, object]:
    """Memory in kB, I/O in bytes and bytes per second, under the server's names."""
    values: dict[str, object] = {}
    for name in ("rss", "vmem", "swap", "pss"):
        values[f"max_{name}"] = getattr(usage, f"max_{name}_kb")
        values[f"avg_{name}"] = getattr(usage, f"avg_{name}_kb")
    for ours, name in _IO_NAMES.items():
        values[f"tot_{name}"] = getattr(usage, f"total_{ours}")
        values[f"rate_{name}"] = getattr(usage, f"rate_{ours}")
    return values


def _time(seconds: float | None) -> str | None:
    """`YYYY-MM-DD hh:mm:ss` in UTC, the only form that the server keeps."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _pilot_log(update: Update) -> str | None:
    """The extract of the log that a failed job's report has, else the note of a stage and the limits."""
    if update.pilot_log is not None:
        told = update.error
        if told is None or told.fingerprint is None or told.likeness is None:
            return update.pilot_log
        # Of a text that is too long the end is kept, so the note that is read back stands there.
        return f"{update.pilot_log}\n{error_notes.compose(told.fingerprint, told.likeness, told.evidence)}"
    limits = limit_notes.compose(update.limits) if update.limits else None
    if update.note is None:
        return limits
    room = transfer_notes.LIMIT_CHARACTERS - (0 if limits is None else len(limits) + 1)
    note = transfer_notes.compose(update.note.phase, update.note.files, room)
    return note if limits is None else f"{note}\n{limits}"


def _metrics(update: Update) -> str | None:
    """`key=value` pairs with blanks between them. While a job goes on: since when it is in its phase (seconds since
    1970); counters of the payload's output show that it makes progress."""
    pairs = dict(update.metrics)
    for key, value in (
        ("phaseSince", None if update.final else update.phase_since),
        ("stdoutBytes", update.usage.stdout_bytes),
        ("stderrBytes", update.usage.stderr_bytes),
    ):
        if value is not None:
            pairs[key] = str(int(value))
    if update.progress is not None and not update.final:
        pairs |= progress.pairs_of(update.progress)
    if update.now is not None and not update.final:
        pairs |= usage_now.pairs_of(update.now)
    if update.ending is not None:
        pairs = ending.pairs_of(update.ending) | pairs
    if update.error is not None:
        pairs = error_notes.pairs_of(update.error) | pairs
    if update.cost is not None:
        pairs = cost.pairs_of(update.cost) | pairs
    return _joined(pairs) or None


def _joined(pairs: dict[str, str]) -> str:
    """Only whole pairs, as many as the server keeps: half a number is another one. Ours stand first."""
    text = ""
    for key, value in pairs.items():
        longer = f"{text} {key}={value}".lstrip()
        if len(longer) <= _MOST_METRICS:
            text = longer
    return text
