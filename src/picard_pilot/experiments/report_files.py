"""Reading the reports that a payload may leave: `jobReport.json` and `payload_error_report.json`.

The payload wrote them, so nothing about them is trusted: not their type, not their size, not a word in them.
"""

import os
import stat
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from picard_pilot.model.bundle import Bundle, Outcome
from picard_pilot.system.typed import ready

MAX_REPORT_BYTES = 4 << 20
"""Job reports of production have some hundred kilobytes; the server keeps the whole text."""
ERROR_REPORT = "payload_error_report.json"
_DIAG_CHARACTERS = 500
"""Where the server cuts an error's text."""
_INT32 = 2**31 - 1
_INT64 = 2**63 - 1
"""Error codes and counts that do not fit their columns make the server lose the whole update."""


class Report(msgspec.Struct):
    """The parts of a job report that are used; each is checked on its own, so that one odd field loses no other.

    An experiment whose payloads write more derives from it.
    """

    exitCode: Any = None
    exitAcronym: Any = None
    exitMsg: Any = None
    nEvents: Any = None
    files: Any = None


ready(Report)  # hooks of several jobs run beside each other

Kind = TypeVar("Kind", bound=Report)


class Read(NamedTuple, Generic[Kind]):
    """What was read of both reports: an empty one where there is none of use."""

    report: Kind
    text: str | None
    """The job report as it stands, for the server; None for one of no use."""
    error_report: dict[str, Any]


def read_reports(bundle: Bundle) -> Outcome:
    """What the payload says about itself. Missing, unreadable or senseless reports say nothing."""
    return outcome_of(read(bundle, Report))


def read(bundle: Bundle, kind: type[Kind]) -> Read[Kind]:
    """Both reports, the job report as a `kind`."""
    data = read_bounded(bundle.job_report)
    report = _decode(data, kind) or kind()
    said = _decode(read_bounded(str(Path(bundle.directory, ERROR_REPORT))), dict[str, Any]) or {}
    is_useful = data is not None and report != kind()
    return Read(report, data.decode("utf-8") if data is not None and is_useful else None, said)


def outcome_of(found: Read[Any], *, more: str | None = None, n_events: int | None = None) -> Outcome:
    """The outcome that the reports tell. `more` follows the job report's own words about an error; `n_events` counts
    where the report has no number of its own."""
    report = found.report
    code, diag = _report_error(report, more)
    said = found.error_report
    if error_code(said.get("error_code")):
        code, diag = error_code(said.get("error_code")), words_of(said.get("error_diag"))
    return Outcome(
        exe_error_code=code,
        exe_error_diag=diag,
        n_events=report.nEvents if is_count(report.nEvents) else n_events,
        guids=_guids(report.files),
        metadata=found.text,
    )


def read_bounded(path: str, limit_bytes: int = MAX_REPORT_BYTES) -> bytes | None:
    """The bytes of a regular file of at most `limit_bytes`; None for anything else: a link, a pipe, nothing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > limit_bytes:
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            data = stream.read(limit_bytes + 1)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return data if len(data) <= limit_bytes else None


def decoded(path: str) -> Any:
    """What a JSON file of at most `MAX_REPORT_BYTES` holds; None for anything else, also nested without end."""
    return _decode(read_bounded(path), Any)


def _decode(text: bytes | None, kind: Any) -> Any:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _report_error(report: Report, more: str | None) -> tuple[int | None, str | None]:
    """The error of a job report: its exit code, unless zero, with acronym and message."""
    code = error_code(report.exitCode)
    if not code:
        return None, None
    words = [text for text in (words_of(report.exitAcronym), words_of(report.exitMsg), more) if text]
    return code, ": ".join(words)[:_DIAG_CHARACTERS] or None


def error_code(value: object) -> int | None:
    """A usable error code, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _INT32 else None


def words_of(value: object) -> str | None:
    """A text of the report, cut to what the server keeps; None for anything else."""
    return value.replace("\0", "")[:_DIAG_CHARACTERS] or None if isinstance(value, str) else None


def is_count(value: object) -> bool:
    """Whether it is a number of events that a server can keep."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _INT64


def _guids(files: object) -> dict[str, str]:
    """The GUIDs by LFN that the report gives for outputs."""
    outputs = files.get("output") if isinstance(files, dict) else None
    found: dict[str, str] = {}
    for output in outputs if isinstance(outputs, list) else []:
        parts = output.get("subFiles") if isinstance(output, dict) else None
        for part in parts if isinstance(parts, list) else []:
            if (
                isinstance(part, dict)
                and isinstance(part.get("name"), str)
                and isinstance(part.get("file_guid"), str)
            ):
                found[part["name"]] = part["file_guid"]
    return found
