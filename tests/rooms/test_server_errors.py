"""What failed jobs leave for people to count: the error that decided, by code, fingerprint and storage."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pages_kit import NOON_MS, Clock, Story, add_job

from picard_pilot.model.fault import Evidence
from picard_pilot.server import queries
from picard_pilot.server.errors import MOST_BARS, ErrorFilter, ErrorSummary, summary
from picard_pilot.server.store import SCHEMA_VERSION, SCHEMAS, open_store
from picard_pilot.server.views import JobFilter, JobList, Views
from picard_pilot.wire import v1
from picard_pilot.wire.error_notes import compose

GROUP = "fp1:0123456789ab"
LINES = [Evidence(text="bad event 17", file="payload.stderr"), Evidence(text="giving up")]
NOTE = compose(GROUP, "bad event <n>\ngiving up", LINES)


def fail(pilot: Any, server: Any, queue: str, node: str = "node1", **fields: Any) -> int:
    """A job that failed on a node."""
    job_id = int(pilot.submit(computingSite=queue))
    pilot.acquire(site_name=queue, node=node)
    values = {"job_id": job_id, "attempt_nr": 1, "job_status": "failed", "node": node, **fields}
    pilot.data(v1.UPDATE_JOB, **values)
    server.judge()
    return job_id


def errors(pilot: Any, query: str) -> ErrorSummary:
    """The counts, as a tool gets them."""
    status, document = pilot.ui(f"errors?{query}")
    assert (status, document["schema"]) == (200, "ui.errors/1")
    return msgspec.convert(document["data"], ErrorSummary)


def test_an_unknown_error_is_counted_by_its_fingerprint(pilot: Any, server: Any, queue: str) -> None:
    """With jobs, nodes and what they share; the sample is the first job's."""
    told = {"pilot_error_code": 1305, "pilot_error_diag": "the payload ended with exit code 3"}
    metrics = f"errorFingerprint={GROUP} errorBlame=payload"
    for number, node in enumerate(("node1", "node2", "node2")):
        log = NOTE.replace("17", str(17 + number))
        fail(pilot, server, queue, node, **told, job_metrics=metrics, pilot_log=f"1305 ...\n{log}")
    fail(pilot, server, queue, pilot_error_code=1099, pilot_error_diag="no input")
    found = errors(pilot, f"queue={queue}")
    assert (found.jobs, found.nodes) == (4, 2)
    assert [(each.code, each.name, each.jobs, each.blame) for each in found.codes] == [
        (1305, "PAYLOADEXECUTIONFAILURE", 3, "payload"),
        (1099, "STAGEINFAILED", 1, "storage"),
    ]
    (group,) = found.groups
    assert (group.fingerprint, group.jobs, group.nodes, group.users, group.queues) == (GROUP, 3, 2, 1, 1)
    assert (group.text, group.file) == ("bad event <n>\ngiving up", "payload.stderr")
    assert group.sample == "bad event 17\ngiving up"
    assert group.first_at <= group.last_at <= datetime.now(UTC)
    assert sum(sum(slot.jobs.values()) for slot in found.slots) == 4


def test_failed_transfers_are_counted_by_class_and_storage(pilot: Any, server: Any, queue: str) -> None:
    """One number says less than that."""
    for finer, endpoint in (("contact", "A"), ("contact", "A"), ("contact", "B"), ("checksum", "A")):
        metrics = f"errorFiner=stagein/{finer} errorEndpoint={endpoint} errorBlame=storage"
        fail(
            pilot,
            server,
            queue,
            pilot_error_code=1099,
            pilot_error_diag=f"{finer} at {endpoint}",
            job_metrics=metrics,
        )
    found = errors(pilot, f"queue={queue}")
    assert [(each.finer, each.endpoint, each.jobs) for each in found.transfers] == [
        ("stagein/contact", "A", 2), ("stagein/checksum", "A", 1), ("stagein/contact", "B", 1)
    ]  # fmt: skip
    assert found.transfers[0].sample == "contact at A" and found.codes[0].jobs == 4
    assert errors(pilot, f"queue={queue}&finer=stagein/contact&endpoint=B").jobs == 1


def test_every_count_is_a_list_of_jobs(pilot: Any, server: Any, queue: str) -> None:
    """The same choice of errors and of jobs gives the same number."""
    metrics = f"errorFingerprint={GROUP}"
    unknown = fail(pilot, server, queue, pilot_error_code=1305, job_metrics=metrics, pilot_log=NOTE)
    stored = fail(
        pilot, server, queue, "node9", pilot_error_code=1137, job_metrics="errorFiner=stageout/space errorEndpoint=X"
    )  # fmt: skip
    for query, expected in (
        (f"fp={GROUP}", unknown), ("finer=stageout/space&endpoint=X", stored), ("node=node9", stored),
        ("error=1137", stored),
    ):  # fmt: skip
        status, document = pilot.ui(f"jobs?queue={queue}&{query}")
        listed = msgspec.convert(document["data"], JobList)
        assert (status, listed.total, [row.job_id for row in listed.rows]) == (200, 1, [expected])
        assert errors(pilot, f"queue={queue}&{query}").jobs == 1
    assert pilot.ui("errors?since=yesterday")[0] == 400


def test_the_first_error_decides(pilot: Any, server: Any, queue: str) -> None:
    """The pilot's before the payload's; without any the exit status, and without that nothing is told."""
    fail(pilot, server, queue, pilot_error_code=1305, exe_error_code=65, trans_exit_code=65)
    fail(pilot, server, queue, exe_error_code=65, exe_error_diag="bad options", trans_exit_code=65)
    fail(pilot, server, queue, trans_exit_code=7)
    fail(pilot, server, queue)
    found = errors(pilot, f"queue={queue}").codes
    assert {(each.component, each.code) for each in found} == {
        ("pilot", 1305), ("exe", 65), ("payload", 7), ("none", 0)
    }  # fmt: skip
    assert next(each for each in found if each.component == "exe").sample == "bad options"


@pytest.mark.parametrize(
    "metrics",
    [
        "errorFingerprint=fp1:0123456789ab",
        "errorFingerprint=fp1:zz errorFiner=%%% errorBlame=" + "é" * 100,
        "x" * 500,
    ],
)
def test_whatever_a_pilot_tells_the_job_ends(pilot: Any, server: Any, queue: str, metrics: str) -> None:
    """A fingerprint without its note too, and a note of another one."""
    log = NOTE.replace(GROUP, "fp9:ffffffffffff")
    job_id = fail(pilot, server, queue, pilot_error_code=1305, job_metrics=metrics, pilot_log=log)
    assert pilot.status(job_id) == "failed"
    assert errors(pilot, f"queue={queue}").codes[0].jobs == 1


def test_failures_of_an_older_server_are_counted(tmp_path: Path) -> None:
    """The tables are filled from its jobs when the database is brought up to date."""
    path = tmp_path / "server.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(" ".join(queries.schema(name) for name in SCHEMAS[:3]))
    connection.execute("PRAGMA user_version = 3")
    columns = {
        "attempt_nr": 1, "max_attempt": 1, "definition_id": 1, "name": "old", "queue": "Q", "label": "user",
        "owner": "Ro", "priority": 1, "transformation": "sh", "cores": 1, "status": "failed", "created_at": 1,
        "changed_at": 2, "updated_at": 2, "ended_at": 2, "host": "node1", "pilot_error_code": 0, "exe_error_code": 65,
        "exe_error_diag": "bad options",
    }  # fmt: skip
    marks = ", ".join("?" * len(columns))
    connection.execute(f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({marks})", tuple(columns.values()))
    connection.commit()
    connection.close()

    async def read() -> ErrorSummary:
        store = open_store(path)
        try:
            return await Views(store).errors(ErrorFilter())
        finally:
            store.close()

    found = asyncio.run(read())
    assert SCHEMA_VERSION >= 4
    assert [(each.component, each.code, each.jobs, each.sample) for each in found.codes] == [
        ("exe", 65, 1, "bad options")
    ]


def test_time_is_cut_into_as_many_pieces_as_can_be_seen(tmp_path: Path) -> None:
    """From minutes to months; the order of a choice's parts does not matter."""
    clock = Clock()

    async def run() -> None:
        store = open_store(tmp_path / "server.sqlite", durable=False, clock=clock)
        story = Story(store, clock)
        try:
            assert (await Views(store).errors(ErrorFilter())).slots == ()
            for hours in (0, 1, 24, 24 * 30, 24 * 400):
                clock.now_ms = NOON_MS + hours * 3_600_000
                job_id = await story.add("late")
                await story.move(job_id, "failed", "failed", host="node1", pilot_error_code=1305)
                found = await Views(store).errors(ErrorFilter(queue="PICARD_DEMO"))
                slots = (found.slots[-1].at - found.slots[0].at).total_seconds() / found.step_s
                assert slots <= MOST_BARS + 1
            assert (
                await Views(store).jobs(JobFilter(failure=ErrorFilter(component="pilot", code=1305)))
            ).total == 5
            assert (
                await Views(store).jobs(JobFilter(failure=ErrorFilter(component="exe", code=1305)))
            ).total == 0
        finally:
            store.close()

    asyncio.run(run())


def test_no_count_reads_more_than_the_failed_jobs_of_its_time(tmp_path: Path) -> None:
    """What is looked up by time or fingerprint goes by an index, however many jobs there are."""

    async def run() -> list[str]:
        store = open_store(tmp_path / "server.sqlite", durable=False)
        plans: list[str] = []

        def explain(connection: sqlite3.Connection) -> None:
            statements: list[str] = []
            connection.set_trace_callback(statements.append)
            wanted = ErrorFilter(since=datetime(2026, 1, 1, tzinfo=UTC))
            summary(connection, wanted, NOON_MS)
            summary(connection, ErrorFilter(fingerprint=GROUP), NOON_MS)
            connection.set_trace_callback(None)
            for statement in [each for each in statements if each.startswith("SELECT")]:
                rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
                plans.append(" ".join(row[3] for row in rows))

        try:
            await store.write(lambda write: add_job(write, name="one"))
            await store.read(explain)
        finally:
            store.close()
        return plans

    plans = asyncio.run(run())
    assert len(plans) == 10
    assert not any("SCAN j" in plan or "SCAN job_errors" in plan for plan in plans), plans
