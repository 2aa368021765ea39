"""Our own calls for pages and tools under /ui/v1."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import urllib3

from picard_pilot.server.views import JobDetail, JobList
from picard_pilot.wire import v1


def listed(pilot, query):
    """A typed page of jobs."""
    status, document = pilot.ui(f"jobs?{query}")
    assert (status, document["schema"]) == (200, "ui.jobs/1")
    return msgspec.convert(document["data"], JobList)


def test_a_list_says_when_it_is_cut(pilot, queue):
    """Newest first, with the number of all; pages follow each other."""
    ids = [pilot.submit(computingSite=queue) for _ in range(5)]

    page = listed(pilot, f"queue={queue}&limit=2")
    assert ([row.job_id for row in page.rows], page.total) == ([ids[4], ids[3]], 5)
    page = listed(pilot, f"queue={queue}&limit=2&before={ids[3]}")
    assert ([row.job_id for row in page.rows], page.total) == ([ids[2], ids[1]], 5)


def test_filters(server, pilot, queue):
    """By state, owner, time and error."""
    job_id = pilot.submit(computingSite=queue, prodUserID="Ada")
    pilot.submit(computingSite=queue)
    pilot.acquire(site_name=queue, prod_user_id="Ada")
    pilot.data(v1.UPDATE_JOB, job_id=job_id, attempt_nr=1, job_status="failed", pilot_error_code=1305)
    server.judge()

    def ids(query):
        return [row.job_id for row in listed(pilot, f"queue={queue}&{query}").rows]

    assert ids("state=failed") == ids("owner=Ada") == ids("error=1305") == [job_id]
    assert len(ids("state=failed,activated")) == 2
    assert ids("state=unheard-of") == []
    soon = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert ids(f"since={soon}") == []
    assert len(ids("since=2020-01-01")) == 2


@pytest.mark.parametrize("query", ["limit=many", "before=-1", "since=yesterday", f"error={2**70}"])
def test_bad_filters_are_named(pilot, query):
    """With what to do."""
    status, document = pilot.ui(f"jobs?{query}")

    assert (status, document["error"]["code"]) == (400, "bad-parameter")
    assert query.split("=")[0] in document["error"]["message"]


def test_one_job_in_full(pilot, queue):
    """As typed as the pages get it."""
    job_id = pilot.submit(computingSite=queue, transformation="/bin/echo", jobPars="hello", maxWalltime=60)

    detail = msgspec.convert(pilot.job(job_id), JobDetail)
    assert (detail.transformation, detail.parameters) == ("/bin/echo", "hello")
    assert detail.resources == {"memory_mb": None, "disk_mb": None, "walltime_s": 60}
    assert [change.status for change in detail.history] == ["activated"]
    assert detail.row.created_at.tzinfo is not None


def test_an_unknown_job(pilot):
    """404 and a hint."""
    status, document = pilot.ui(f"jobs/{10**12}")

    assert (status, document["error"]["code"]) == (404, "no-such-job")


def test_counts(pilot, queue):
    """By state."""
    before = pilot.ui("counts")[1]["data"].get("activated", 0)
    pilot.submit(computingSite=queue)

    assert pilot.ui("counts")[1]["data"]["activated"] == before + 1


def test_nothing_without_a_token(pilot):
    """Neither reading nor changing."""
    for verb, path in (("GET", "jobs"), ("GET", "jobs/1"), ("POST", "jobs/1/retry"), ("GET", "events")):
        status, body = pilot.raw(verb, f"/ui/v1/{path}")
        assert status == 401, path
        assert json.loads(body)["error"]["hint"]


def test_a_browsers_session_may_read_but_not_change(server, pilot):
    """A login token works once."""
    tokens = server.app.tokens
    login = tokens.login_token()
    session = tokens.sign_in(login)
    assert session is not None
    assert tokens.sign_in(login) is None
    assert tokens.sign_in(session) is None
    assert tokens.sign_in("rubbish") is None
    cookie = {"Cookie": f"picard_session={session}"}

    assert pilot.raw("GET", "/ui/v1/jobs", headers=cookie)[0] == 200
    assert pilot.raw("POST", "/ui/v1/jobs/1/retry", headers=cookie)[0] == 401
    assert pilot.raw("GET", "/ui/v1/jobs", headers={"Cookie": f"picard_session={login}"})[0] == 401
    assert pilot.raw("GET", "/ui/v1/jobs", headers={"Authorization": f"Bearer {session}"})[0] == 403


def test_changes_are_streamed(server, pilot, queue):
    """As server-sent events with ids, from the one seen last."""
    first = pilot.submit(computingSite=queue)
    with urllib3.PoolManager(ca_certs=server.info.ca_file, retries=False) as pool:
        event_id = pilot.job(first)["event_id"]
        second = pilot.submit(computingSite=queue)
        stream = pool.request(
            "GET",
            f"{server.info.url}/ui/v1/events",
            headers={**pilot.credentials, "Last-Event-ID": str(event_id)},
            preload_content=False,
        )
        try:
            lines = iter(stream)
            event = [next(lines).decode().strip() for _ in range(3)]
        finally:
            stream.close()

    assert f"id: {event_id + 1}" in event
    assert "event: job" in event
    assert f'data: {{"job_id":{second}}}' in event
