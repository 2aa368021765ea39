"""From the fields of an update to columns of a job: names, cutting, units, times. The rules are in `update`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from picard_pilot.wire.fields import Kind, fields_of
from picard_pilot.wire.v1 import UPDATE_JOB

MAX_KILO = 10**10 - 1
"""Input and output figures come in bytes and are kept in kB, of which the column holds ten digits."""

_MAX_INTEGER = 2**63 - 1

_NO_COLUMN = frozenset(
    {
        *("job_id", "job_status", "attempt_nr", "job_output_report", "pilot_log", "meta_data", "stdout"),
        *("site_name", "timeout"),
    }
)
"""Fields that are kept elsewhere or only logged."""

_RENAMED = {
    "node": "host",
    "job_sub_status": "sub_status",
    "start_time": "reported_start",
    "end_time": "reported_end",
}

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")

Fit = Callable[[object], object]


def updated_columns(values: dict[str, object]) -> dict[str, object]:
    """The columns that an update sets. Null and an empty text say nothing; a malformed time is ignored."""
    columns: dict[str, object] = {}
    for name, value in values.items():
        if value is None or value == "":
            continue
        column = _COLUMNS.get(name)
        if column is None:
            continue
        column_name, fit = column
        fitting = value if fit is None else fit(value)
        if fitting is not None:
            columns[column_name] = fitting
    return columns


def _cut(length: int) -> Fit:
    def cut(value: object) -> object:
        return value[:length] if isinstance(value, str) else value

    return cut


def _whole(value: object) -> object:
    return max(-_MAX_INTEGER, min(_MAX_INTEGER, int(value))) if isinstance(value, (int, float)) else None


def _kilo(value: object) -> object:
    return min(float(MAX_KILO), int(value) / 1024) if isinstance(value, (int, float)) else None


def _real(value: object) -> object:
    return float(value) if isinstance(value, (int, float)) else None


def _moment(value: object) -> object:
    if not isinstance(value, str) or _MOMENT.fullmatch(value) is None:
        return None
    try:
        datetime.strptime(value, "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return None
    return value


def _fit_of(name: str) -> Fit | None:
    field = fields_of(UPDATE_JOB)[name]
    if name.startswith(("max_", "avg_")):
        return _whole
    if name.startswith(("tot_", "rate_")):
        return _kilo
    if name in ("start_time", "end_time"):
        return _moment
    if field.kind is Kind.NUMBER:
        return _real
    return _cut(field.max_length) if field.cut and field.max_length is not None else None


_COLUMNS: dict[str, tuple[str, Fit | None]] = {
    field.name: (_RENAMED.get(field.name, field.name), _fit_of(field.name))
    for field in UPDATE_JOB.fields
    if field.name not in _NO_COLUMN
}
