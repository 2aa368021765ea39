"""Judging an output report against what a job should have made. Pure: what follows is done by the adder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from picard_pilot.server.jobstates import CANCELLED, CLOSED, FAILED, FINISHED
from picard_pilot.wire import report
from picard_pilot.wire.report import ReportedFile, ReportError

DDM_ERROR = 200
"""`ddmErrorCode` of every report that does not fit its job."""

CLOSED_BY_PILOT = "pilot_closed"
"""The sub status by which a pilot gives a job back without blame."""

_PATTERN_OUTPUT = "regex|"
"""An output that stands for all files whose names match."""

MAX_REPETITIONS = 3
"""Repetitions in a pattern, so that a name of 255 characters is matched in a moment whatever the pattern."""

_REPETITION = re.compile(r"[*+?]")
_NOT_TAME = re.compile(r"[(){}]|\\[1-9]")
"""Groups, counts and back references: with them a pattern can take for ever, and the server with it."""

_NUMBERED = re.compile(r"\._\d+$")
"""An output may come in numbered pieces, `<lfn>._001` and so on."""


class ExpectedFile(msgspec.Struct, frozen=True, array_like=True):
    """One file of the job, in the order of the adder's query."""

    position: int
    role: str
    lfn: str
    may_be_absent: bool


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the job and its files.

    `stored`: files by position that are there now. `further`: files nobody listed but a pattern allows.
    `marks`: other files' new statuses.
    """

    status: str
    ddm_error_diag: str | None = None
    stored: tuple[tuple[int, ReportedFile], ...] = ()
    further: tuple[tuple[str, ReportedFile], ...] = ()
    marks: tuple[tuple[int, str], ...] = ()


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What the pilot claimed, and the facts of the job that weigh in."""

    wanted_status: str
    report: str
    kill_requested: bool
    sub_status: str | None
    is_production: bool


def judge(claim: Claim, files: Sequence[ExpectedFile]) -> Verdict:
    """The job's final status. A `finished` is overruled by a report that does not fit; a `failed` never."""
    outputs = [file for file in files if file.role != "input"]
    if not outputs and not claim.report.strip():
        return Verdict(status=_ended(claim) if claim.wanted_status == FAILED else FINISHED)
    try:
        reported = report.parse(claim.report)
    except ReportError as error:
        diag = f"Could not get GUID/LFN/MD5/FSIZE/SURL from pilot JSON: {error}"
        return _failed(claim, outputs, diag)
    if claim.wanted_status == FAILED:
        return _failed(claim, outputs, None, reported)
    return _finished(claim, files, outputs, reported)


def _finished(
    claim: Claim,
    files: Sequence[ExpectedFile],
    outputs: Sequence[ExpectedFile],
    reported: Mapping[str, ReportedFile],
) -> Verdict:
    stored: list[tuple[int, ReportedFile]] = []
    marks: list[tuple[int, str]] = []
    patterns = [file for file in outputs if file.lfn.startswith(_PATTERN_OUTPUT)]
    for file in outputs:
        entry = reported.get(file.lfn)
        if entry is not None:
            if entry.fsize is None or entry.checksum is None:
                return _failed(claim, outputs, f"no size or checksum of {file.lfn} in pilot JSON")
            stored.append((file.position, entry))
        elif file.may_be_absent or file in patterns or _in_pieces(file.lfn, reported):
            marks.append((file.position, "absent"))
        else:
            return _failed(claim, outputs, f"expected output {file.lfn} is missing in pilot JSON")
    inputs = {file.lfn: file.position for file in files if file.role == "input"}
    further: list[tuple[str, ReportedFile]] = []
    known = {file.lfn for file in outputs}
    for lfn, entry in reported.items():
        if lfn in inputs:
            marks.append((inputs[lfn], "failed" if claim.is_production else "skipped"))
        elif lfn not in known:
            if not _is_piece(lfn, known) and not any(_matches(file.lfn, lfn) for file in patterns):
                return _failed(claim, outputs, f"pilot produced {lfn} inconsistently with jobdef")
            further.append((lfn, entry))
    return Verdict(status=FINISHED, stored=tuple(stored), further=tuple(further), marks=tuple(marks))


def _failed(
    claim: Claim,
    outputs: Sequence[ExpectedFile],
    diag: str | None,
    reported: Mapping[str, ReportedFile] | None = None,
) -> Verdict:
    """Failed, with the outputs marked failed; where their files are is kept, for whoever wants the log."""
    entries = reported or {}
    return Verdict(
        status=_ended(claim),
        ddm_error_diag=diag,
        stored=tuple((file.position, entries[file.lfn]) for file in outputs if file.lfn in entries),
        marks=tuple((file.position, "failed") for file in outputs),
    )


def _ended(claim: Claim) -> str:
    if claim.sub_status == CLOSED_BY_PILOT:
        return CLOSED
    return CANCELLED if claim.kill_requested else FAILED


def _is_piece(lfn: str, known: set[str]) -> bool:
    return _NUMBERED.sub("", lfn) in known and _NUMBERED.search(lfn) is not None


def _in_pieces(lfn: str, reported: Mapping[str, ReportedFile]) -> bool:
    return any(other.startswith(f"{lfn}._") and _NUMBERED.search(other) for other in reported)


def _matches(pattern_output: str, lfn: str) -> bool:
    pattern = pattern_output.removeprefix(_PATTERN_OUTPUT)
    if len(_REPETITION.findall(pattern)) > MAX_REPETITIONS or _NOT_TAME.search(pattern) is not None:
        return False
    try:
        return re.fullmatch(pattern, lfn) is not None
    except re.error:
        return False
