"""The payload's own record: whatever it ended with and reported, people see exactly that.

Every exit code and every signal, with every kind of report, from what the payload left to the server's pages.
"""

import asyncio
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from pages_kit import add_job

from picard_pilot.cli.job_text import description
from picard_pilot.cli.screen import Screen
from picard_pilot.diagnosis.faults import fault
from picard_pilot.experiments.generic import Generic
from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.fold import fold
from picard_pilot.lifecycle.report import Sender, final_report
from picard_pilot.model import events as ev
from picard_pilot.model.bundle import Outcome
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.ending import Ender, Ending
from picard_pilot.model.fault import Fault
from picard_pilot.model.job import Job
from picard_pilot.model.report import JobStatus, Update
from picard_pilot.payload.jobdir import bundle_of
from picard_pilot.pilot.diagnosing import Left, explain
from picard_pilot.server.pages import render
from picard_pilot.server.pages.source import JobSource
from picard_pilot.server.store import Store, Transaction, open_store
from picard_pilot.server.update import update
from picard_pilot.server.views import Views
from picard_pilot.system.redact import Redactor
from picard_pilot.wire import v1
from picard_pilot.wire.check import check
from picard_pilot.wire.encode import prepare
from picard_pilot.wire.update import update_values

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
SENDER = Sender(site_name="Q", node="node1.example.org")
JOB = Job(job_id=4711, attempt_nr=1, transformation="analyse", parameters="--fast")
START = 1_800_000_000.0

SIGNALS = sorted({number.value for number in signal.Signals} | set(range(1, 65)))


class Report(NamedTuple):
    """What a payload may leave beside its exit, and the error that is read in it."""

    files: dict[str, str]
    error: tuple[int, str]


REPORTS = {
    "no report": Report({}, (0, "")),
    "a good report": Report(
        {"jobReport.json": '{"exitCode": 0, "exitAcronym": "OK", "exitMsg": "OK", "nEvents": 5}'}, (0, "")
    ),
    "a failing report": Report(
        {"jobReport.json": '{"exitCode": 65, "exitAcronym": "TRF_EXEC_FAIL", "exitMsg": "the step failed"}'},
        (65, "TRF_EXEC_FAIL: the step failed"),
    ),
    "an error report": Report(
        {
            "jobReport.json": '{"exitCode": 65, "exitAcronym": "TRF_EXEC_FAIL", "exitMsg": "the step failed"}',
            "payload_error_report.json": '{"error_code": 5317, "error_diag": "the script is not there"}',
        },
        (5317, "the script is not there"),
    ),
    "nonsense": Report(
        {"jobReport.json": '{"exitCode": "nine", "exitMsg": [', "payload_error_report.json": "7"}, (0, "")
    ),
}

MISLEADING = """lsetup timed out
FATAL:   Failed to mount image
Operation not permitted
exit code 1378
"""
"""Lines that say something else than the exit; a finding may rest on them, the record may not."""

LOOKED_AT = [
    *((code, None) for code in (0, 1, 2, 3, 40, 137, 139, 251, 255)),
    (None, 9),
    (None, 11),
    (None, 64),
]
"""For these the page is drawn, with every kind of report."""

ENDS = [*((code, None) for code in range(256)), *((None, number) for number in SIGNALS)]


def ended(code: int | None, number: int | None, stopped_by: str | None = None) -> PayloadExit:
    """A launcher's record."""
    return PayloadExit(
        started_at=START,
        ended_at=START + 4,
        wall_s=4.0,
        exit_code=code,
        signal=number,
        stopped_by=stopped_by,
    )


def case_of(
    record: PayloadExit | None, faults: tuple[Fault, ...] = (), outcome: Outcome | None = None
) -> Case:
    """The case of a job without files whose payload ended so; of one that has not begun without a record."""
    events: list[ev.Event] = [ev.JobReceived(job=JOB, queue="Q")]
    if record is not None:
        events += [
            ev.Admitted(),
            ev.Prepared(),
            ev.PayloadStarted(pid=4242, start_ticks=99, started_at=START),
        ]
        events += [ev.PayloadExited(exit=record), ev.Diagnosed(faults=faults, outcome=outcome or Outcome())]
    case = fold((event, START + second) for second, event in enumerate(events))
    assert case is not None
    return case


def told(record: PayloadExit, outcome: Outcome, directory: Path) -> Update:
    """The final report about a payload that ended so."""
    code = record.exit_code
    # As where a way to confine payloads shows a signal as 128 + n: an explanation, and no other record.
    died_of = code - 128 if code is not None and code > 128 else None
    left = Left(record, bundle_of(directory), outcome, died_of=died_of)
    faults = explain(left, (), Redactor())
    case = case_of(record, faults, outcome)
    assert case.exit == record
    return final_report(case, SENDER, pilot_log="the last lines" if case.failed else None)


@pytest.fixture(scope="module", params=REPORTS)
def left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    """A job's directory with one kind of report in it."""
    directory = tmp_path_factory.mktemp("job")
    report = REPORTS[request.param]
    (directory / "payload.stderr").write_text(MISLEADING)
    for name, text in report.files.items():
        (directory / name).write_text(text)
    return report, directory


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """Where a server keeps its jobs."""
    return tmp_path / "server.sqlite"


def test_the_record_is_exact_from_the_launcher_to_the_page(left: tuple[Report, Path], store: Path) -> None:
    """All 256 exit codes and all signals, with this report: the number, the error and the sentence at each stage."""
    report, directory = left
    bundle = bundle_of(directory)

    def tell(write: Transaction, values: dict[str, object]) -> int:
        job_id = add_job(write, name="record", queue="Q")
        answer, _ = update(write, {**values, "job_id": job_id})
        assert answer["data"] == {"StatusCode": 0, "command": "NULL"}, (values, answer)
        return job_id

    async def story() -> None:
        opened = open_store(store, durable=False)
        try:
            jobs = []
            for code, number in ENDS:
                record = ended(code, number)
                outcome = Generic().outcome(JOB, bundle, record)
                final = told(record, outcome, directory)
                values = prepare(v1.UPDATE_JOB, update_values(final))
                assert check(v1.UPDATE_JOB, values)
                assert_told(values, final, code, number, report)
                jobs.append((code, number, opened.apply(lambda write, values=values: tell(write, values))))
            await opened.committed()
            await assert_shown(
                opened, jobs if not report.files else [job for job in jobs if job[:2] in LOOKED_AT], report
            )
        finally:
            opened.close()

    asyncio.run(story())


def assert_told(
    values: dict[str, object], final: Update, code: int | None, number: int | None, report: Report
) -> None:
    """What is on the wire: the payload's own number, its own words, and whether it is a failure."""
    assert values["trans_exit_code"] == (code if number is None else 128 + number)
    assert (values["exe_error_code"], values["exe_error_diag"]) == report.error
    assert final.status is (JobStatus.FINISHED if code == 0 else JobStatus.FAILED)
    assert (values["pilot_error_code"] == 0) == (code == 0)
    text = str(values.get("pilot_log", ""))
    assert text.startswith(f"the payload ended with {how(code, number)}") == (code != 0)
    assert len(str(values["job_metrics"])) < 400


async def assert_shown(store: Store, jobs: list[tuple[int | None, int | None, int]], report: Report) -> None:
    """What the server's readers see: `ppilot job describe`, and the page for a few."""
    views, source = Views(store), JobSource(store)
    for code, number, job_id in jobs:
        detail = await views.job(job_id)
        assert detail is not None
        codes = {error.component: error.code for error in detail.row.errors}
        assert codes.get("payload", 0) == (code if number is None else 128 + number)
        assert codes.get("exe", 0) == report.error[0]
        text = description(detail, Screen(), "age", NOW)
        assert f"Its payload ended with {how(code, number)}" in text
        assert "payloadEndedBy" not in text
        if (code, number) in LOOKED_AT:
            facts = await source.job(job_id)
            assert facts is not None
            page = render.job(facts, render.Page(now_s=NOW.timestamp()), whole=False)
            assert f"<dd>{how(code, number)}" in page


def how(code: int | None, number: int | None) -> str:
    """The sentence's beginning: a signal is never told as an exit code, nor the other way round."""
    return f"exit code {code}" if number is None else f"signal {number}"


@pytest.mark.parametrize(
    ("record", "faults", "by"),
    [
        (ended(0, None), (), Ender.ITSELF),
        (ended(255, None), (), Ender.ITSELF),
        (ended(None, 11), (), Ender.ITSELF),
        (ended(None, 6), ("PAYLOADOUTOFMEMORY",), Ender.ITSELF),
        (ended(134, None), ("PAYLOADOUTOFMEMORY",), Ender.ITSELF),
        (ended(None, 9), ("PAYLOADOUTOFMEMORY",), Ender.KERNEL),
        (ended(137, None), ("PAYLOADOUTOFMEMORY", "PAYLOADEXECUTIONFAILURE"), Ender.KERNEL),
        (ended(137, None), (), Ender.ITSELF),
        (ended(None, 9), (), None),
        (ended(None, 24), (), Ender.KERNEL),
        (ended(None, 9, "output_limit"), (), Ender.PILOT),
        (ended(None, 15, "limit"), (), Ender.PILOT),
        (ended(0, None, "lifetime"), (), Ender.PILOT),
        (ended(143, None, "server_kill"), (), Ender.SERVER),
        (ended(None, 15, "disowned"), (), Ender.SERVER),
        (ended(None, 15, "signal"), (), Ender.BATCH),
        (ended(None, 9, "signal_15"), ("PAYLOADOUTOFMEMORY",), Ender.BATCH),
    ],
)
def test_who_ended_it_is_told(record: PayloadExit, faults: tuple[str, ...], by: Ender | None) -> None:
    """From the launcher's word, and from the kernel's where nobody asked for the end."""
    found = tuple(fault(name, "found", rule="test") for name in faults)
    assert final_report(case_of(record, found), SENDER).ending == Ending(
        exit_code=record.exit_code, signal=record.signal, by=by
    )


def test_a_payload_whose_end_nobody_saw_has_none() -> None:
    """Nothing is made up for a payload that was lost, or never started."""
    report = final_report(case_of(None), SENDER)
    assert (report.ending, report.trans_exit_code) == (None, None)
    assert "payloadEndedBy" not in str(update_values(report)["job_metrics"])
