"""What is left of a job of today's pilot: the files that it writes, and what its log says of the end.

The forms are those of reference logs of version 3.11; what is not recognised is passed over.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from picard_pilot.diagnosis.catalogue.codes import BY_NUMBER
from picard_pilot.diagnosis.faults import fault
from picard_pilot.experiments.report_files import read_bounded
from picard_pilot.model.ending import SIGNAL_BASE
from picard_pilot.model.facts import Line
from picard_pilot.model.fault import Evidence, Fault
from picard_pilot.system.logs import read_log
from picard_pilot.system.redact import Redactor

PILOT_LOG = "pilotlog.txt"
FILES = (PILOT_LOG, "payload.stdout", "payload.stderr", "pandaJobData.out", "heartbeat.json")
"""Any of them makes a directory one of a job."""

_EXIT = re.compile(
    r"""trans_?[eE]xit_?[cC]ode["']?\s*[:=]\s*["']?(-?\d{1,4})|\bexit code[:= ]+(-?\d{1,4})\b"""
)
_CODE = re.compile(r"""pilot_?[eE]rror_?[cC]ode["']?\s*[:=]\s*["']?(\d{4})""")
_DIAG = re.compile(r"""pilot_?[eE]rror_?[dD]iag["']?\s*[:=]\s*(?:"([^"]{1,500})|'([^']{1,500}))""")
_JOB = re.compile(r"""(?:PandaID|job_?id|jobId)["']?\s*[:=]\s*["']?(\d{1,18})""")
_SIGNALS = 64

MISREAD: dict[int, tuple[int, str]] = {
    1378: (2, "pilot3 reports every payload that exits with 2 as 1378, a timeout of lsetup"),
    1368: (3, "pilot3 reports every payload that exits with 3 as 1368, a timeout of a remote open"),
    1315: (251, "pilot3 reports a payload that exits with 251 as 1315"),
}
"""Numbers that its payloads' exit codes were taken for."""


class Pilot3(NamedTuple):
    """What it said."""

    job_id: int | None
    exit_code: int | None
    signal: int | None
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]


def read(folder: Path) -> Pilot3:
    """From the end of its log and from its job report; never raises."""
    log = read_log(str(folder / PILOT_LOG), PILOT_LOG, Redactor())
    lines = () if log is None else log.lines
    exit_code = _number(lines, _EXIT)
    if exit_code is None:
        exit_code = _of_report(folder)
    signal = None
    if exit_code is not None and SIGNAL_BASE < exit_code < SIGNAL_BASE + _SIGNALS:
        signal = exit_code - SIGNAL_BASE
    told, notes = _told(lines, exit_code)
    job_id = _number(lines, _JOB)
    return Pilot3(job_id, None if signal is not None else exit_code, signal, told, notes)


def _told(lines: tuple[Line, ...], exit_code: int | None) -> tuple[tuple[Fault, ...], tuple[str, ...]]:
    """Its own verdict, unless that is only a misreading of the exit code."""
    for line in reversed(lines):
        match = _CODE.search(line.text)
        if match is None or (code := int(match.group(1))) == 0:
            continue
        misread = MISREAD.get(code)
        if misread is not None and exit_code in (misread[0], None):
            return (), (misread[1],)
        row = BY_NUMBER.get(code)
        if row is None:
            return (), (f"pilot3 reported {code}, which is not in the catalogue",)
        diag = _DIAG.search(line.text)
        says = next((text for text in diag.groups() if text), row.summary) if diag else row.summary
        evidence = (Evidence(text=line.text.strip(), file=PILOT_LOG, offset=line.offset),)
        return (fault(row.name, says, rule="pilot3", evidence=evidence),), ()
    return (), ()


def _number(lines: tuple[Line, ...], pattern: re.Pattern[str]) -> int | None:
    """The last number that the pattern finds."""
    for line in reversed(lines):
        if (match := pattern.search(line.text)) is not None:
            return int(next(group for group in match.groups() if group is not None))
    return None


def _of_report(folder: Path) -> int | None:
    data = read_bounded(str(folder / "jobReport.json"))
    try:
        report: Any = msgspec.json.decode(data) if data is not None else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    code = report.get("exitCode") if isinstance(report, dict) else None
    return code if isinstance(code, int) and not isinstance(code, bool) and 0 <= code <= 255 else None
