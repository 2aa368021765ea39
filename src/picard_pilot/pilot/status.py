"""What the pilot shows on disk for people and programs: status.json per job, pandaIDs.out, pilot_heartbeat.json.

All derived and replaceable: what counts is the journal. A full disk costs the view, not the job.
"""

import logging
import os
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.report import holding_text
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.isolation import ConfinementView
from picard_pilot.model.progress import StageProgress
from picard_pilot.model.slot import SlotView
from picard_pilot.model.states import Phase
from picard_pilot.system.files import open_regular

log = logging.getLogger("picard.status")

STATUS_NAME = "status.json"


class JobStatusView(msgspec.Struct, frozen=True, kw_only=True):
    """`picard/status.json`: one job at a glance. Times are seconds since 1970, UTC."""

    schema: str
    job_id: int
    attempt_nr: int
    phase: str
    state: str
    since: float
    pilot: str
    payload_pid: int | None
    exit_code: int | None
    exit_signal: int | None
    progress: StageProgress | None
    """How far the stage is that moves files now."""
    staged: list[str]
    stored: dict[str, str]
    outputs: dict[str, str]
    """What became of each output so far, in words, by LFN."""
    faults: list[str]
    held_because: str | None
    held_until: float | None
    """Until when outputs that wait for a storage can still be stored."""
    next_try_at: float | None
    """When this pilot tries to store them again."""
    isolation: ConfinementView | None
    """How its payload is confined."""
    slot: SlotView | None
    """When the slot of the pilot that has the job ends, and by whose word."""


def write_status(
    case: Case,
    bundle: Bundle,
    pilot: str,
    moved: StageProgress | None = None,
    slot: SlotView | None = None,
    isolation: ConfinementView | None = None,
) -> None:
    """Replace the job's status.json by the present view. Never raises for a full or vanished disk."""
    view = JobStatusView(
        schema="picard.status/1",
        job_id=case.job.job_id,
        attempt_nr=case.job.attempt_nr,
        phase=case.phase,
        state=case.state,
        since=case.since,
        pilot=pilot,
        payload_pid=case.payload.pid if case.payload else None,
        exit_code=case.exit.exit_code if case.exit else None,
        exit_signal=case.exit.signal if case.exit else None,
        progress=moved,
        staged=sorted(case.staged),
        stored={lfn: file.surl for lfn, file in sorted(case.stored.items())},
        faults=[f"{one.code} {one.name}: {one.says}" for one in case.faults],
        outputs={file.lfn: _became(case, file.lfn) for file in case.job.outputs},
        held_because=holding_text(case) if case.waiting else case.suspended_because,
        held_until=case.held.until if case.waiting and case.held else None,
        next_try_at=case.held.again_at if case.waiting and case.held else None,
        isolation=isolation,
        slot=slot,
    )
    replace_view(
        Path(bundle.private, STATUS_NAME), msgspec.json.format(msgspec.json.encode(view), indent=1) + b"\n"
    )


def _became(case: Case, lfn: str) -> str:
    """Where an output is, or what keeps it."""
    if (file := case.stored.get(lfn)) is not None:
        return f"stored at {file.endpoint}" + (", the alternative" if file.alternative else "")
    if case.waiting:
        return "waits in the job's directory"
    return "not stored" if case.over else "not stored yet"


def progress(case: Case, before: Phase) -> str:
    """One line for the log when the phase changes: where the job is now, and what it was in before, for how long."""
    line = f"{case.phase} (after {before})"
    if case.over:
        return f"{line}, error {case.faults[0].code}: {case.faults[0].diag}" if case.faults else line
    return line


def waiting(case: Case, now: float, moved: StageProgress | None = None) -> str:
    """One line for the log while nothing changes: where the job is, since when, with which process, how far."""
    pid = f", pid {case.payload.pid}" if case.payload and not case.exit else ""
    return f"still {case.phase} ({case.state}) for {max(0.0, now - case.since):.0f} s{pid}" + (
        f": {moved.says()}" if moved else ""
    )


def note_job_id(workdir: Path, job_id: int) -> None:
    """Add the job to pandaIDs.out, which the batch wrapper reads."""
    try:
        fd = open_regular(workdir / "pandaIDs.out", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(fd, b"%d\n" % job_id)
        finally:
            os.close(fd)
    except OSError as error:
        log.warning("pandaIDs.out could not be written: %s", error.strerror)


def write_pilot_heartbeat(workdir: Path, last_server_update: float | None) -> None:
    """Replace pilot_heartbeat.json: proof for the wrapper and Harvester that the pilot lives."""
    beat = {"last_pilot_update": time.time(), "last_server_update": last_server_update, "pid": os.getpid()}
    replace_view(workdir / "pilot_heartbeat.json", msgspec.json.encode(beat) + b"\n")


def replace_view(path: Path, content: bytes) -> None:
    """Replace a file that is only for looking at. Never raises: what cannot be written is said in the log."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(open_regular(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "wb") as file:
            file.write(content)
        temporary.replace(path)
    except OSError as error:
        log.warning("%s could not be written: %s", path.name, error.strerror)
        with suppress(OSError):  # such as a file system that has become read-only
            temporary.unlink(missing_ok=True)
