"""From the final report to the final state and the next attempt, and the watcher's ends; over real TLS."""

import json

import pytest

from picard_pilot.testing.server import local_server, wait_for
from picard_pilot.wire import v1

SPEC = {
    "outFiles": ["out.$PANDAID.root", "log.$PANDAID.tgz"],
    "logFile": "log.$PANDAID.tgz",
    "scopeOut": "user",
    "scopeLog": "user",
}


def report(job):
    """The output report of all files of a job."""
    return json.dumps(
        {
            lfn: {
                "guid": f"guid-{lfn}",
                "fsize": 5,
                "adler32": "0000000a",
                "surl": f"file:///se/{lfn}",
                "endpoint": "SE",
            }
            for lfn in job["outFiles"].split(",")
        }
    )


def end(pilot, job, status, **fields):
    """Report the end of a job."""
    values = {"job_id": job["PandaID"], "attempt_nr": job["attemptNr"], "job_status": status, **fields}
    return pilot.data(v1.UPDATE_JOB, **values)


def test_a_finished_job_and_its_files(pilot, queue):
    """The adder is woken by the report; nobody waits for its interval."""
    pilot.submit(computingSite=queue, **SPEC)
    job = pilot.acquire(site_name=queue)
    end(pilot, job, "finished", job_output_report=report(job))
    wait_for(lambda: pilot.status(job["PandaID"]) == "finished")

    detail = pilot.job(job["PandaID"])
    out, log = detail["files"]
    assert (out["status"], out["surl"], out["checksum"], out["size_bytes"]) == (
        "ready",
        f"file:///se/{out['lfn']}",
        "ad:0000000a",
        5,
    )
    assert (log["role"], log["status"], log["endpoint"]) == ("log", "ready", "SE")
    assert detail["row"]["errors"] == []
    assert detail["row"]["ended_at"] is not None


def test_finished_with_an_error_code_is_finished(server, pilot, queue):
    """Codes do not decide."""
    pilot.submit(computingSite=queue)
    job = pilot.acquire(site_name=queue)
    end(pilot, job, "finished", pilot_error_code=1305)
    server.judge()

    assert pilot.status(job["PandaID"]) == "finished"


def test_a_missing_output_overrules_finished(server, pilot, queue):
    """ddm 200 says which."""
    pilot.submit(computingSite=queue, **SPEC)
    job = pilot.acquire(site_name=queue)
    end(pilot, job, "finished", job_output_report="{}")
    server.judge()

    (error,) = pilot.job(job["PandaID"])["row"]["errors"]
    assert (error["component"], error["code"]) == ("ddm", 200)
    assert f"out.{job['PandaID']}.root" in error["diag"]


def test_a_reason_of_the_pilot_is_not_covered_by_ddm_200(server, pilot, queue):
    """Where it gave one."""
    pilot.submit(computingSite=queue, **SPEC)
    job = pilot.acquire(site_name=queue)
    end(pilot, job, "failed", pilot_error_code=1099, pilot_error_diag="no input", job_output_report="")
    server.judge()

    (error,) = pilot.job(job["PandaID"])["row"]["errors"]
    assert (error["component"], error["code"]) == ("pilot", 1099)


def test_a_failed_job_is_retried_up_to_its_limit(server, pilot, queue):
    """As new jobs with the next attempt number, linked to their parents, with files of their own."""
    first_id = pilot.submit(computingSite=queue, maxAttempt=3, jobName="work", **SPEC)
    seen = []
    for attempt_nr in (1, 2, 3):
        job = pilot.acquire(site_name=queue)
        seen.append(job["PandaID"])
        assert (job["attemptNr"], job["jobName"]) == (attempt_nr, "work")
        assert job["logFile"] == f"log.{job['PandaID']}.tgz"
        end(pilot, job, "failed", trans_exit_code=7)
        server.judge()

    assert pilot.envelope(v1.ACQUIRE_JOBS, site_name=queue)["message"] == "No jobs in PanDA"
    attempts = pilot.job(seen[1])["attempts"]
    assert [attempt["job_id"] for attempt in attempts] == seen
    assert [attempt["parent_id"] for attempt in attempts] == [None, *seen[:-1]]
    assert {attempt["first_id"] for attempt in attempts} == {first_id}
    assert [attempt["status"] for attempt in attempts] == ["failed"] * 3
    assert len({pilot.job(job_id)["files"][1]["guid"] for job_id in seen}) == 3


def test_a_retry_that_no_pilot_could_work_on_is_not_made(server, pilot, queue):
    """The job's number makes the name too long: that is noted, and the server goes on."""
    job_id = pilot.submit(computingSite=queue, maxAttempt=2, outFiles="x" * 247 + "$PANDAID")
    job = pilot.acquire(site_name=queue)
    server.write(
        lambda write: write.execute("UPDATE sqlite_sequence SET seq = 999999999 WHERE name = 'jobs'")
    )
    end(pilot, job, "failed", trans_exit_code=7)
    server.judge()

    detail = pilot.job(job_id)
    assert (detail["row"]["status"], len(detail["attempts"])) == ("failed", 1)
    assert "no next attempt: outFiles" in detail["history"][-1]["note"]
    refused = pilot.envelope(
        v1.SUBMIT,
        jobs=json.dumps(
            [{"computingSite": queue, "transformation": "x", "outFiles": "x" * 247 + "$PANDAID"}]
        ),
    )
    assert "outFiles" in refused["message"]


def test_a_report_nested_without_end(server, pilot, queue):
    """Is no report; the server goes on, whichever call brought the nesting."""
    deep = "[" * 100_000
    job_id = pilot.submit(computingSite=queue, **SPEC)
    end(pilot, pilot.acquire(site_name=queue), "finished", job_output_report='{"x": ' + deep)
    server.judge()
    assert pilot.status(job_id) == "failed"

    assert "deserialize" in pilot.envelope(v1.SUBMIT, jobs=deep)["message"]
    headers = {**pilot.credentials, "Content-Type": "application/json"}
    assert pilot.raw("POST", "/api/v1/job/submit", deep.encode(), headers)[0] == 500


def test_a_finished_job_is_not_retried(server, pilot, queue):
    """Nor one that was closed or cancelled."""
    pilot.submit(computingSite=queue, maxAttempt=5)
    pilot.submit(computingSite=queue, maxAttempt=5)
    end(pilot, pilot.acquire(site_name=queue), "finished")
    end(pilot, pilot.acquire(site_name=queue), "failed", job_sub_status="pilot_closed")
    server.judge()

    assert pilot.envelope(v1.ACQUIRE_JOBS, site_name=queue)["message"] == "No jobs in PanDA"


def test_a_late_report_of_an_ended_job_changes_nothing(server, pilot, queue):
    """It is filed and dropped."""
    job_id = pilot.submit(computingSite=queue, **SPEC)
    job = pilot.acquire(site_name=queue)
    pilot.data(v1.KILL, job_ids=[job_id])

    assert end(pilot, job, "finished", job_output_report=report(job))["command"] == "tobekilled"
    server.judge()
    assert pilot.status(job_id) == "cancelled"
    assert pilot.job(job_id)["files"][0]["status"] == "unknown"


def test_a_retry_by_hand_goes_beyond_the_limit(server, pilot, queue):
    """Once for each job, and for ended jobs only."""
    job_id = pilot.submit(computingSite=queue)
    assert pilot.ui(f"jobs/{job_id}/retry", "POST")[0] == 409
    end(pilot, pilot.acquire(site_name=queue), "failed")
    server.judge()

    status, document = pilot.ui(f"jobs/{job_id}/retry", "POST")
    assert status == 200
    job = pilot.acquire(site_name=queue)
    assert (job["PandaID"], job["attemptNr"]) == (document["data"]["job_id"], 2)
    status, document = pilot.ui(f"jobs/{job_id}/retry", "POST")
    assert (status, document["error"]["code"]) == (409, "not-retried")
    assert str(job["PandaID"]) in document["error"]["message"]


def test_a_user_retries_own_jobs_only(server, pilot, queue):
    """Others' are refused."""
    job_id = pilot.submit(computingSite=queue)
    pilot.data(v1.KILL, job_ids=[job_id])
    with server.client("user") as user:
        assert user.ui(f"jobs/{job_id}/retry", "POST")[0] == 409


@pytest.fixture
def quiet(tmp_path):
    """A server whose clock may be turned far without disturbing other tests."""
    with local_server(tmp_path) as running, running.client("pilot") as pilot:
        yield running, pilot


@pytest.mark.parametrize(
    ("status", "limit_s", "code"),
    [("sent", 1800, 102), ("starting", 7200, 100), ("running", 7200, 100)],
)
def test_a_silent_job_is_failed_and_retried(quiet, status, limit_s, code):
    """After the limit of its state, not before."""
    server, pilot = quiet
    pilot.submit(maxAttempt=2)
    job = pilot.acquire()
    if status != "sent":
        pilot.data(v1.UPDATE_JOB, job_id=job["PandaID"], attempt_nr=1, job_status=status)

    server.clock.turn_on(limit_s - 60)
    assert server.watch() == 0
    server.clock.turn_on(120)
    assert server.watch() == 1

    row = pilot.job(job["PandaID"])["row"]
    assert (row["status"], [error["code"] for error in row["errors"]]) == ("failed", [code])
    assert pilot.acquire()["attemptNr"] == 2


def test_a_heartbeat_keeps_a_job_alive(quiet):
    """The limit counts from the last update."""
    server, pilot = quiet
    pilot.submit()
    job_id = pilot.acquire()["PandaID"]
    for _ in range(3):
        pilot.data(v1.UPDATE_JOB, job_id=job_id, attempt_nr=1, job_status="running")
        server.clock.turn_on(7000)
        assert server.watch() == 0


@pytest.mark.parametrize(
    ("label", "priority", "limit_s"),
    [("user", 0, 3 * 3600), ("managed", 900, 3 * 3600), ("managed", 0, 48 * 3600)],
)
def test_a_holding_job_that_no_one_ends(quiet, label, priority, limit_s):
    """Code 103 after the limit of its kind."""
    server, pilot = quiet
    pilot.submit(prodSourceLabel=label, currentPriority=priority)
    job_id = pilot.acquire(prod_source_label=label)["PandaID"]
    pilot.data(v1.UPDATE_JOB, job_id=job_id, attempt_nr=1, job_status="holding")

    server.clock.turn_on(limit_s - 60)
    assert server.watch() == 0
    server.clock.turn_on(120)
    assert server.watch() == 1
    assert pilot.job(job_id)["row"]["errors"][0]["code"] == 103


def test_a_holding_job_with_an_error_text_failed_its_recovery(quiet):
    """Code 101."""
    server, pilot = quiet
    pilot.submit(prodSourceLabel="user")
    job_id = pilot.acquire(prod_source_label="user")["PandaID"]
    pilot.data(
        v1.UPDATE_JOB, job_id=job_id, attempt_nr=1, job_status="holding", pilot_error_diag="will be back"
    )
    server.clock.turn_on(3 * 3600 + 60)

    assert server.watch() == 1
    assert 101 in [error["code"] for error in pilot.job(job_id)["row"]["errors"]]


def test_a_job_waits_for_three_weeks_at_most(quiet):
    """Then it is cancelled."""
    server, pilot = quiet
    job_id = pilot.submit()
    server.clock.turn_on(20 * 86400)
    assert server.watch() == 0
    server.clock.turn_on(2 * 86400)
    assert server.watch() == 1
    assert pilot.status(job_id) == "cancelled"


def test_a_killed_job_whose_pilot_is_gone_is_not_retried(quiet):
    """It is cancelled when its heartbeats stop."""
    server, pilot = quiet
    pilot.submit(maxAttempt=5)
    job_id = pilot.acquire()["PandaID"]
    pilot.data(v1.UPDATE_JOB, job_id=job_id, attempt_nr=1, job_status="running")
    pilot.data(v1.KILL, job_ids=[job_id])
    server.clock.turn_on(7300)
    server.watch()

    assert pilot.status(job_id) == "cancelled"
    assert len(pilot.job(job_id)["attempts"]) == 1


def test_a_worker_known_to_have_ended_is_noted(quiet):
    """supErrorCode 2 beside the lost heartbeat."""
    server, pilot = quiet
    pilot.submit()
    job_id = pilot.acquire(harvester_id="H", worker_id=5)["PandaID"]
    pilot.data(v1.UPDATE_WORKER_STATUS, harvester_id="H", worker_id=5, status="finished")
    server.clock.turn_on(1900)
    server.watch()

    rows = server.on_loop(
        lambda app: app.store.read(
            lambda connection: connection.execute(
                "SELECT sup_error_code FROM jobs WHERE job_id = ?", (job_id,)
            ).fetchall()
        )
    )
    assert rows == [(2,)]
