"""A pilot and payloads that fail: what its report says of the cause, and what it leaves unread where none failed."""

import asyncio
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from pilot_kit import ToldDispatcher, parts_for

from picard_pilot.experiments.base import Experiment
from picard_pilot.model.job import Job
from picard_pilot.model.orders import Acquired
from picard_pilot.model.report import JobStatus, Update
from picard_pilot.model.rule import Rule, Where
from picard_pilot.pilot import diagnosing
from picard_pilot.pilot.supervisor import Supervisor
from picard_pilot.testing.clock import VirtualClock

BAD_ALLOC = "terminate called after throwing an instance of 'std::bad_alloc'"


def report_of(
    directory: Path, script: str, experiment: Experiment | None = None, hook_limit_s: float = 60.0
) -> Update:
    """The final report about a shell script."""
    program = directory / "payload.sh"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)

    async def scenario() -> Update:
        dispatcher = ToldDispatcher(clock := VirtualClock())
        dispatcher.jobs.append(Acquired(jobs=(Job(job_id=9, attempt_nr=1, transformation=str(program)),)))
        parts = parts_for(clock, dispatcher, directory, jobs=1, hook_limit_s=hook_limit_s)
        if experiment is not None:
            parts = msgspec.structs.replace(parts, experiment=experiment)
        async with asyncio.timeout(60):
            await Supervisor(parts).run([])
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


class RulesHang(Experiment):
    """Its rule's function never returns."""

    api = 1
    name = "hanging"

    def rules(self) -> tuple[Rule, ...]:
        """One that waits for what never comes."""
        never = threading.Event()
        return (
            Rule(
                error="SETUPFATAL", where=Where.EXIT, when=lambda facts: str(never.wait()), says="x", advice="x",
                specificity=100, sample="x", counter_sample="x",
            ),
        )  # fmt: skip


def test_a_rule_that_never_ends_fails_the_job_with_the_experiment_named(tmp_path: Path) -> None:
    """As a hook that overruns does."""
    told = report_of(tmp_path, "exit 7", RulesHang(), hook_limit_s=5.0)
    assert (told.pilot_error_code, told.trans_exit_code) == (1110, 7)
    assert "the hook rules of the experiment hanging failed" in (told.pilot_error_diag or "")


class RulesRaise(RulesHang):
    """Its rule's function stumbles over facts."""

    def rules(self) -> tuple[Rule, ...]:
        """One that looks into a report that is not there."""
        (rule,) = super().rules()
        return (msgspec.structs.replace(rule, when=lambda facts: facts.report["executor"]),)


def test_a_rule_that_raises_decides_nothing(tmp_path: Path) -> None:
    """The core's rules explain the failure all the same."""
    told = report_of(tmp_path, f'echo "{BAD_ALLOC}" >&2\nexit 134', RulesRaise())
    assert told.pilot_error_code == 1223
