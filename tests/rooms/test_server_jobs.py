"""Submitting, giving out, asking about, killing and steering jobs; over real TLS."""

import json
import uuid

import msgspec
import pytest

from picard_pilot.wire import v1
from picard_pilot.wire.jobdict import BrokenJob, job_from_dict, read_jobs


def no_jobs(client, queue, **parameters):
    """Whether a request gets the one answer for having nothing."""
    envelope = client.envelope(v1.ACQUIRE_JOBS, site_name=queue, **parameters)
    return envelope == {"success": False, "message": "No jobs in PanDA", "data": None}


def test_what_was_submitted_is_what_a_pilot_gets(pilot, queue):
    """Through the job dictionary into a typed job."""
    job_id = pilot.submit(
        computingSite=queue,
        transformation="/usr/bin/env",
        jobPars="python3 'a b' $PANDAID",
        coreCount=8,
        minRamCount=2000,
        maxWalltime=3600,
        currentPriority=900,
        inFiles=["data.root"],
        scopeIn=["demo"],
        fsize=[123],
        checksum=["ad:0a1b2c3d"],
        outFiles=["hist.root", "log.$PANDAID.tgz"],
        scopeOut=["user"],
        logFile="log.$PANDAID.tgz",
        scopeLog="user",
        container_name="image",
    )

    job = job_from_dict(pilot.acquire(site_name=queue))

    assert (job.job_id, job.attempt_nr, job.parameters) == (job_id, 1, f"python3 'a b' {job_id}")
    assert (job.requirements.cores, job.requirements.memory_mb, job.requirements.walltime_s) == (
        8,
        2000,
        3600,
    )
    assert job.inputs[0].size_bytes == 123
    assert job.log is not None
    assert job.log.lfn == f"log.{job_id}.tgz"
    assert uuid.UUID(job.log.guid)
    assert job.container_name == "image"


def test_a_dictionary_has_all_that_a_real_one_has(pilot, queue):
    """Absent is the text NULL or an empty list."""
    pilot.submit(computingSite=queue)
    data = pilot.data(v1.ACQUIRE_JOBS, site_name=queue)

    assert data["StatusCode"] == 0
    (job,) = data["jobs"]
    assert (job["jobName"], job["inFiles"], job["coreCount"], job["nSent"]) == ("NULL", "", 1, 1)
    assert "debug" not in job
    assert "container_name" not in job


@pytest.mark.parametrize(
    ("jobs", "says"),
    [
        ("{", "Failed to deserialize jobs"),
        ("{}", "must be a list"),
        ("[]", "No jobs were submitted"),
        ("[5]", "jobs[0].jobs: must be a list of objects"),
        ('[{"transformation": "x"}]', "jobs[0].computingSite: is missing"),
        ('[{"computingSite": "Q", "transformation": "x", "inFiles": "../x"}]', "jobs[0].inFiles"),
        ('[{"computingSite": "Q", "transformation": "x", "rubbish": 1}]', "jobs[0].rubbish"),
    ],
)
def test_a_bad_submission_is_refused(pilot, jobs, says):
    """With the field and which job of the list."""
    envelope = pilot.envelope(v1.SUBMIT, jobs=jobs)

    assert envelope["success"] is False
    assert says in envelope["message"]


def test_a_submission_is_stored_whole_or_not_at_all(pilot, queue):
    """One bad job of the list and none is there."""
    good = {"computingSite": queue, "transformation": "x"}
    envelope = pilot.envelope(v1.SUBMIT, jobs=json.dumps([good, {**good, "maxAttempt": -1}]))

    assert "jobs[1].maxAttempt" in envelope["message"]
    assert no_jobs(pilot, queue)


def test_several_jobs_in_one_call(pilot, queue):
    """Ids in order, one definition for all."""
    spec = {"computingSite": queue, "transformation": "x"}
    data = pilot.data(v1.SUBMIT, jobs=json.dumps([spec, {**spec, "jobName": "second"}]))

    assert data[0][1] == data[1][1]
    assert data[1][0] == data[0][0] + 1
    assert (data[0][2], data[1][2]) == (f"job.{data[0][0]}", "second")


def test_managed_jobs_need_the_production_role(user, queue):
    """As on a real server."""
    spec = {"computingSite": queue, "transformation": "x", "prodSourceLabel": "managed"}
    envelope = user.envelope(v1.SUBMIT, jobs=json.dumps([spec]))

    assert "missing production" in envelope["message"]


def test_a_users_jobs_belong_to_the_user(user, pilot, queue):
    """Whatever the spec says."""
    job_id = user.submit(computingSite=queue, prodUserID="somebody else")

    row = pilot.job(job_id)["row"]
    assert (row["owner"], row["label"]) == ("Local User", "user")


def test_ten_megabytes_of_parameters(pilot, queue):
    """Pass both ways."""
    parameters = "x" * 10_000_000
    pilot.submit(computingSite=queue, jobPars=parameters)

    assert pilot.acquire(site_name=queue)["jobPars"] == parameters


def test_the_best_job_first(pilot, queue):
    """By priority, then by PandaID."""
    low, high, high_too = (pilot.submit(computingSite=queue, currentPriority=p) for p in (1, 9, 9))

    assert [pilot.acquire(site_name=queue)["PandaID"] for _ in range(3)] == [high, high_too, low]


def test_every_job_is_given_out_once(pilot, queue):
    """Several in one request if asked so."""
    ids = [pilot.submit(computingSite=queue) for _ in range(5)]

    first = pilot.data(v1.ACQUIRE_JOBS, site_name=queue, n_jobs=3)["jobs"]
    second = pilot.data(v1.ACQUIRE_JOBS, site_name=queue, n_jobs=10)["jobs"]

    assert [job["PandaID"] for job in first + second] == ids
    assert no_jobs(pilot, queue)


@pytest.mark.parametrize("timeout", [10, 1, 0, -5])
def test_a_short_timeout_never_yields_a_job(pilot, queue, timeout):
    """The server keeps ten seconds in hand."""
    pilot.submit(computingSite=queue)

    assert no_jobs(pilot, queue, timeout=timeout)
    assert pilot.acquire(site_name=queue, timeout=11)


@pytest.mark.parametrize(
    ("spec", "limit"),
    [
        ({"minRamCount": 2000}, "memory"),
        ({"maxDiskCount": 2000}, "disk_space"),
        ({"maxWalltime": 2000}, "remaining_time"),
    ],
)
def test_limits_of_the_request(pilot, queue, spec, limit):
    """Upper limits, ignored at zero."""
    pilot.submit(computingSite=queue, **spec)

    assert no_jobs(pilot, queue, **{limit: 1999})
    assert pilot.acquire(site_name=queue, **{limit: 2000})
    pilot.submit(computingSite=queue, **spec)
    assert pilot.acquire(site_name=queue, **{limit: 0})


def test_a_job_without_limits_fits_everywhere(pilot, queue):
    """Unknown needs are no needs."""
    pilot.submit(computingSite=queue)

    assert pilot.acquire(site_name=queue, memory=1, disk_space=1, remaining_time=1)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (None, {"managed", "test", "prod_test", "install"}),
        ("managed", {"managed", "test", "prod_test", "install"}),
        ("user", {"user", "panda", "install"}),
        ("unified", {"managed", "test", "prod_test", "install", "user", "panda"}),
        ("test", {"test"}),
        ("special", {"special"}),
    ],
)
def test_which_labels_a_request_gets(pilot, queue, asked, given):
    """The rules of a real server."""
    for label in ("managed", "test", "prod_test", "install", "user", "panda", "special"):
        pilot.submit(computingSite=queue, prodSourceLabel=label)
    wanted = {} if asked is None else {"prod_source_label": asked}

    jobs = pilot.data(v1.ACQUIRE_JOBS, site_name=queue, n_jobs=10, **wanted)["jobs"]

    assert {job["prodSourceLabel"] for job in jobs} == given


def test_a_user_pilot_gets_its_own_jobs_only(user, pilot, queue):
    """And must ask for the label user."""
    pilot.submit(computingSite=queue, prodSourceLabel="user")
    own = user.submit(computingSite=queue)

    assert "non pilot owner" in user.envelope(v1.ACQUIRE_JOBS, site_name=queue)["message"]
    assert user.acquire(site_name=queue, prod_source_label="user")["PandaID"] == own
    assert no_jobs(user, queue, prod_source_label="user")


def test_requests_may_ask_for_a_task_a_user_or_a_resource(pilot, queue):
    """Others' jobs stay."""
    first = pilot.submit(computingSite=queue, taskID=5, resource_type="SCORE", prodUserID="Ada")
    second = pilot.submit(computingSite=queue, taskID=6, resource_type="MCORE", prodUserID="Bob")

    assert no_jobs(pilot, queue, task_id=7)
    assert pilot.acquire(site_name=queue, task_id=6, resource_type="MCORE")["PandaID"] == second
    assert pilot.acquire(site_name=queue, prod_user_id="Ada")["PandaID"] == first


def test_who_asked_is_seen(pilot, queue):
    """Also a pilot that got nothing."""
    pilot.envelope(v1.ACQUIRE_JOBS, site_name=queue, node="slot1@node9", harvester_id="H", worker_id=5)
    job_id = pilot.submit(computingSite=queue)
    pilot.acquire(site_name=queue, node="slot1@node9")

    _, pilots = pilot.ui("pilots?limit=1000")
    (seen,) = [row for row in pilots["data"] if row["queue"] == queue]
    assert (seen["node"], seen["requests"], seen["jobs_given"], seen["last_job_id"]) == (
        "slot1@node9",
        2,
        1,
        job_id,
    )


def test_a_worker_tells_its_status(pilot, queue):
    """Success also for one that nobody knew; any other status is refused."""
    for status in ("started", "finished"):
        envelope = pilot.envelope(
            v1.UPDATE_WORKER_STATUS, worker_id=7, harvester_id=queue, status=status, node_id="n"
        )
        assert envelope["success"] is True
    refused = pilot.envelope(v1.UPDATE_WORKER_STATUS, worker_id=7, harvester_id=queue, status="running")
    assert refused["success"] is False

    _, workers = pilot.ui("workers?limit=1000")
    (seen,) = [row for row in workers["data"] if row["harvester_id"] == queue]
    assert (seen["worker_id"], seen["status"], seen["node_id"]) == ("7", "finished", "n")


def test_status_of_several_jobs(pilot, queue):
    """In the order asked; unknown ones are not found, and their pilots are to stop."""
    job_id = pilot.submit(computingSite=queue)

    assert pilot.data(v1.GET_JOB_STATUS, job_ids=[job_id, 10**12]) == [
        {"job_id": job_id, "status": "activated", "attempt_number": 1},
        {"job_id": 10**12, "status": "not found", "attempt_number": 0},
    ]
    assert pilot.data(v1.GET_STATUS, job_ids=[job_id, 10**12]) == [
        {"status": "activated", "command": "NULL"},
        {"status": "unknown", "command": "tobekilled"},
    ]


def test_a_hostile_description_reaches_the_pilot_as_it_is(server, pilot, queue):
    """A server may hold anything; the pilot's own reading refuses it and knows which job it was."""
    job_id = server.submit_unchecked(
        {"transformation": "x", "inFiles": "../../etc/passwd", "jobPars": "`rm -rf /`"}, queue=queue
    )

    (broken,) = read_jobs(pilot.data(v1.ACQUIRE_JOBS, site_name=queue))

    assert isinstance(broken, BrokenJob)
    assert (broken.job_id, broken.attempt_nr, broken.field) == (job_id, 1, "inFiles")


def test_two_pilots_never_get_the_same_job(server, pilot, queue):
    """Whatever the order of their requests."""
    spec = {"computingSite": queue, "transformation": "x"}
    pilot.data(v1.SUBMIT, jobs=msgspec.json.encode([spec] * 40).decode())
    with server.client("pilot") as other:
        got = [client.acquire(site_name=queue)["PandaID"] for _ in range(20) for client in (pilot, other)]

    assert len(set(got)) == 40
