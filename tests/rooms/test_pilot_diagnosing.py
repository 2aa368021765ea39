"""A pilot and payloads that fail: what its report says of the cause, and what it leaves unread where none failed."""

import asyncio
import sys
from pathlib import Path

import pytest
from pilot_kit import ToldDispatcher, parts_for

from picard_pilot.model.job import Job
from picard_pilot.model.orders import Acquired
from picard_pilot.model.report import JobStatus, Update
from picard_pilot.pilot import diagnosing
from picard_pilot.pilot.supervisor import Supervisor
from picard_pilot.testing.clock import VirtualClock

BAD_ALLOC = "terminate called after throwing an instance of 'std::bad_alloc'"


def report_of(directory: Path, script: str) -> Update:
    """The final report about a shell script."""
    program = directory / "payload.sh"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)

    async def scenario() -> Update:
        dispatcher = ToldDispatcher(clock := VirtualClock())
        dispatcher.jobs.append(Acquired(jobs=(Job(job_id=9, attempt_nr=1, transformation=str(program)),)))
        async with asyncio.timeout(60):
            await Supervisor(parts_for(clock, dispatcher, directory, jobs=1)).run([])
        return next(update for _, update in dispatcher.told if update.final)

    return asyncio.run(scenario())


def test_the_report_tells_the_cause_and_the_payloads_own_end(tmp_path: Path) -> None:
    """The server gets the cause's number and sentence with its evidence; the exit code stays what it was."""
    told = report_of(tmp_path, f'echo start\necho "{BAD_ALLOC}" >&2\nexit 134')
    assert told.status is JobStatus.FAILED
    assert (told.pilot_error_code, told.trans_exit_code) == (1223, 134)
    assert BAD_ALLOC in (told.pilot_error_diag or "")
    extract = told.pilot_log or ""
    assert f"payload.stderr+0: {BAD_ALLOC}" in extract
    assert extract.index("1223 BADALLOC") < extract.index("1305 PAYLOADEXECUTIONFAILURE")
    assert "the payload ended with exit code 134" in extract


@pytest.mark.parametrize("exit_code", [2, 3, 255])
def test_an_exit_code_alone_is_told_as_it_is(tmp_path: Path, exit_code: int) -> None:
    """Today's pilot makes time-outs of 2 and 3, and 0 of 255."""
    told = report_of(tmp_path, f"echo done\nexit {exit_code}")
    assert (told.pilot_error_code, told.trans_exit_code) == (1305, exit_code)


def test_of_a_payload_that_ends_well_no_log_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it wrote: today's pilot makes 1306 of such words. Neither rules nor engine are even loaded."""
    for name in ("engine", "rulebook"):
        monkeypatch.delitem(sys.modules, f"picard_pilot.diagnosis.{name}", raising=False)
    read: list[str] = []
    monkeypatch.setattr(diagnosing, "read_log", lambda path, name, redactor: read.append(path))
    told = report_of(tmp_path, 'echo "FATAL: Operation not permitted" >&2\necho std::bad_alloc\nexit 0')
    assert told.status is JobStatus.FINISHED
    assert read == []
    assert "picard_pilot.diagnosis.engine" not in sys.modules
