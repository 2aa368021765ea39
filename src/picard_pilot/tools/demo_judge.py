"""Whether a demonstration's jobs ended as their scenarios say, and whether their files are where the server says.

It compares and reads files; how its findings look in a terminal is `tools.demo_screen`.
"""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from picard_pilot.server.views import FileRow, JobDetail, JobRow
from picard_pilot.tools.scenarios.table import Scenario


class FoundFile(msgspec.Struct, frozen=True, kw_only=True):
    """A stored file looked up where the server says it is; `wrong` is None if it is all there."""

    lfn: str
    path: Path | None
    size_bytes: int | None
    wrong: str | None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One job's end against its scenario; `wrong` lists what differs, nothing if all is as it should be."""

    job_id: int
    scenario: Scenario
    status: str
    why: str | None
    seconds: float | None
    files: tuple[FoundFile, ...]
    wrong: tuple[str, ...]


def judge(scenario: Scenario, job: JobDetail) -> Verdict:
    """The verdict on one job that has ended, or that has run out of time."""
    row = job.row
    files = tuple(look_up(file) for file in job.files if file.role != "input" and file.surl is not None)
    wrong = [*_differences(scenario, row), *(f"{file.lfn}: {file.wrong}" for file in files if file.wrong)]
    if scenario.end.status == "finished":
        stored = {file.lfn for file in files}
        wrong += [
            f"{file.lfn} was not stored"
            for file in job.files
            if file.role != "input" and file.lfn not in stored
        ]
    return Verdict(
        job_id=row.job_id,
        scenario=scenario,
        status=row.status,
        why=next((error.diag for error in row.errors if error.diag), None),
        seconds=_seconds(row),
        files=files,
        wrong=tuple(wrong),
    )


def _differences(scenario: Scenario, row: JobRow) -> list[str]:
    end, codes = scenario.end, {error.component: error.code for error in row.errors}
    wrong = []
    if row.status != end.status:
        wrong.append(f"it is {row.status}, and should be {end.status}")
    if codes.get("pilot", 0) != end.pilot_code:
        wrong.append(f"the pilot's code is {codes.get('pilot', 0)}, and should be {end.pilot_code}")
    if codes.get("payload", 0) != (end.exit_status or 0):
        wrong.append(f"its payload's status is {codes.get('payload', 0)}, and should be {end.exit_status}")
    return wrong


def _seconds(row: JobRow) -> float | None:
    if row.sent_at is None or row.ended_at is None:
        return None
    return (row.ended_at - row.sent_at).total_seconds()


def look_up(file: FileRow) -> FoundFile:
    """Read a stored file where its address says it is, and compare size and checksum."""
    path = _path(file.surl)
    if path is None:
        return FoundFile(
            lfn=file.lfn, path=None, size_bytes=None, wrong=f"{file.surl} is no file of this machine"
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        return FoundFile(lfn=file.lfn, path=path, size_bytes=None, wrong=f"not there: {error.strerror}")
    wrong = None
    if file.size_bytes is not None and file.size_bytes != len(content):
        wrong = f"it has {len(content)} bytes, and the report says {file.size_bytes}"
    elif file.checksum is None:
        wrong = "the report gives no checksum"
    elif file.checksum.lower() != (found := _checksum(file.checksum, content)):
        wrong = f"its checksum is {found}, and the report says {file.checksum}"
    return FoundFile(lfn=file.lfn, path=path, size_bytes=len(content), wrong=wrong)


def _path(surl: str | None) -> Path | None:
    parts = urlsplit(surl or "")
    return Path(unquote(parts.path)) if parts.scheme == "file" and parts.netloc in ("", "localhost") else None


def _checksum(reported: str, content: bytes) -> str:
    if reported.startswith("md5:"):
        return "md5:" + hashlib.md5(content, usedforsecurity=False).hexdigest()
    return f"ad:{zlib.adler32(content):08x}"
