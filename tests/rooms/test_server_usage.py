"""What the server keeps of a payload's use over time: from heartbeats, bounded, with the job; over real TLS."""

import asyncio
import sqlite3
import uuid

import msgspec
import pytest

from picard_pilot.model.usage import ToldLimit, UsageNow
from picard_pilot.server import queries, usage
from picard_pilot.server.store import SCHEMA_VERSION, open_store
from picard_pilot.server.usage import MOST_POINTS
from picard_pilot.server.views import JobDetail
from picard_pilot.wire import v1
from picard_pilot.wire.limit_notes import compose
from picard_pilot.wire.usage_now import pairs_of

MEMORY = ToldLimit(measure="memory", value=2e9, unit="bytes", origin="queue", detail="maxrss 1000 MB x 2")


def metrics(wall_s, **values):
    """The pairs of one look."""
    return " ".join(f"{key}={value}" for key, value in pairs_of(UsageNow(wall_s=wall_s, **values)).items())


@pytest.fixture
def job(pilot):
    """A job that was given to a pilot; its number."""
    queue = uuid.uuid4().hex
    job_id = pilot.submit(computingSite=queue)
    pilot.acquire(site_name=queue)
    return job_id


def tell(pilot, job_id, status="running", **fields):
    """One update."""
    return pilot.data(v1.UPDATE_JOB, job_id=job_id, attempt_nr=1, job_status=status, **fields)


def detail(pilot, job_id):
    """The job as pages and tools get it."""
    return msgspec.convert(pilot.job(job_id), JobDetail)


def test_each_heartbeat_adds_a_point(pilot, job):
    """With what was read and written until then; the same moment told again adds none."""
    tell(pilot, job, job_metrics=metrics(5.0, cpu_s=2.5, rss_kb=10), tot_rchar=1000, tot_wbytes=2)
    tell(pilot, job, job_metrics=metrics(10.0, cpu_s=7.5, pss_kb=4))
    tell(pilot, job, job_metrics=metrics(10.0, cpu_s=9.9))
    tell(pilot, job, job_metrics="nEvents=4")
    first, second = detail(pilot, job).curve
    assert (first.wall_s, first.cpu_s, first.rss_kb, first.pss_kb) == (5.0, 2.5, 10, None)
    assert (first.rchar, first.write_bytes, first.wchar) == (1000, 2, None)
    assert (second.wall_s, second.cpu_s, second.pss_kb) == (10.0, 7.5, 4)


def test_what_is_refused_leaves_no_point(pilot, job):
    """Of another attempt, or after the end."""
    pilot.data(v1.UPDATE_JOB, job_id=job, attempt_nr=2, job_status="running", job_metrics=metrics(5.0))
    tell(pilot, job, "finished")
    tell(pilot, job, job_metrics=metrics(6.0))
    assert detail(pilot, job).curve == ()


def test_numbers_that_no_column_holds_do_no_harm(pilot, job):
    """A pilot may say anything."""
    said = f"nowWall=5 nowRss={'9' * 60} nowPss=-1 nowCpu=1e400"
    assert tell(pilot, job, job_metrics=said, tot_rchar=1e300, tot_wchar=-5)["StatusCode"] == 0
    (point,) = detail(pilot, job).curve
    assert (point.rss_kb, point.pss_kb, point.cpu_s, point.rchar, point.wchar) == (
        None,
        None,
        None,
        2**63 - 1,
        0,
    )


def test_limits_are_kept_apart_from_the_log(pilot, job):
    """The newest ones count; an extract of the log is still found."""
    tell(pilot, job, pilot_log="the log says so")
    tell(pilot, job, pilot_log=compose([msgspec.structs.replace(MEMORY, value=1.0)]))
    tell(pilot, job, pilot_log="transfers of stagein\n" + compose([MEMORY]))
    found = detail(pilot, job)
    assert found.limits == (MEMORY,)
    assert found.pilot_log == "the log says so"
    assert len(found.transfer_notes) == 1


def test_the_curve_of_a_long_job_has_a_bound_and_its_ends(tmp_path):
    """Older parts become coarser."""

    async def story():
        store = open_store(tmp_path / "db", durable=False)
        try:
            for wall_s in range(1, 3 * MOST_POINTS):
                values = {"job_metrics": metrics(float(wall_s))}
                store.apply(lambda transaction, values=values: usage.keep(transaction, 1, values))
            await store.committed()
            return store.read_now(lambda connection: usage.curve(connection, 1))
        finally:
            store.close()

    points = [point.wall_s for point in asyncio.run(story())]
    assert MOST_POINTS / 2 <= len(points) <= MOST_POINTS
    assert (points[0], points[-1]) == (1.0, 3.0 * MOST_POINTS - 1)
    assert points == sorted(points)
    assert points[1] - points[0] > points[-1] - points[-2]


def test_a_database_of_the_first_version_is_brought_up_to_date(tmp_path):
    """With its jobs; it opens again after that."""
    path = tmp_path / "db"
    with sqlite3.connect(path) as connection:
        connection.executescript(queries.schema("schema.sql"))
        connection.execute("INSERT INTO counters VALUES ('kept', 7)")
        connection.execute("PRAGMA user_version = 1")
    connection.close()

    async def opened():
        store = open_store(path)
        try:
            assert store.look("SELECT value FROM counters WHERE name = 'kept'") == [(7,)]
            assert store.look("SELECT count(*) FROM usage_points") == [(0,)]
            assert store.look("PRAGMA user_version") == [(SCHEMA_VERSION,)]
        finally:
            store.close()

    asyncio.run(opened())
    asyncio.run(opened())
