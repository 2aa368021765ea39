"""Killing jobs, telling their pilots something, switching debug mode; over real TLS."""

import pytest

from picard_pilot.wire import v1


def given(client, queue, **spec):
    """A job given to a pilot; its id, and how its pilot tells something."""
    job_id = client.submit(computingSite=queue, **spec)
    client.acquire(site_name=queue)

    def tell(status, **fields):
        values = {"job_id": job_id, "job_status": status, "attempt_nr": 1, **fields}
        return client.envelope(v1.UPDATE_JOB, **values)["data"]["command"]

    return job_id, tell


@pytest.mark.parametrize("status", ["activated", "sent", "starting", "holding"])
def test_a_job_that_does_not_run_is_cancelled_at_once(pilot, queue, status):
    """Nobody needs to confirm."""
    if status == "activated":
        job_id = pilot.submit(computingSite=queue)
    else:
        job_id, tell = given(pilot, queue)
        if status != "sent":
            tell(status)
    assert pilot.status(job_id) == status

    assert pilot.data(v1.KILL, job_ids=[job_id, 10**12]) == [True, False]
    assert pilot.status(job_id) == "cancelled"
    assert pilot.data(v1.KILL, job_ids=[job_id]) == [False]


def test_a_running_job_stays_until_its_pilot_confirms(server, pilot, queue):
    """Its next heartbeat is told; reported as failed it becomes cancelled, and is not retried."""
    job_id, tell = given(pilot, queue, maxAttempt=5)
    tell("running")

    assert pilot.data(v1.KILL, job_ids=[job_id]) == [True]
    assert pilot.status(job_id) == "running"
    assert pilot.data(v1.GET_STATUS, job_ids=[job_id])[0]["command"] == "tobekilled"
    assert tell("running") == "tobekilled"
    tell("failed", pilot_error_code=1144)
    server.judge()

    assert pilot.status(job_id) == "cancelled"
    assert len(pilot.job(job_id)["attempts"]) == 1


def test_a_forced_kill_does_not_wait(pilot, queue):
    """Code 9."""
    job_id, tell = given(pilot, queue)
    tell("running")

    assert pilot.data(v1.KILL, job_ids=[job_id], code=9) == [True]
    assert pilot.status(job_id) == "cancelled"


def test_a_user_kills_own_jobs_only(user, pilot, queue):
    """Others' stay."""
    own, other = user.submit(computingSite=queue), pilot.submit(computingSite=queue)

    assert user.data(v1.KILL, job_ids=[own, other]) == [True, False]
    assert pilot.status(other) == "activated"


def test_a_command_stays_until_changed(pilot, queue):
    """Any text up to 250 characters."""
    job_id, tell = given(pilot, queue)
    assert pilot.envelope(v1.SET_COMMAND, job_id=job_id, command="tail -n 20 x")["success"]

    assert [tell("running"), tell("running")] == ["tail -n 20 x", "tail -n 20 x"]
    pilot.envelope(v1.SET_COMMAND, job_id=job_id, command="x" * 250)
    assert tell("running") == "x" * 250
    assert pilot.envelope(v1.SET_COMMAND, job_id=job_id, command="x" * 251)["success"] is False
    pilot.envelope(v1.SET_COMMAND, job_id=job_id, command="softkill")
    assert tell("running") == "softkill"


def test_a_command_for_an_unknown_job(pilot):
    """Is refused."""
    assert pilot.envelope(v1.SET_COMMAND, job_id=10**12, command="x")["success"] is False


def test_debug_mode_comes_with_every_answer(pilot, queue):
    """Together with a command, or with a kill; the flag of the call itself is inverted."""
    job_id, tell = given(pilot, queue)
    envelope = pilot.envelope(v1.SET_DEBUG_MODE, job_id=job_id, mode=True)
    assert (envelope["success"], envelope["message"]) == (False, "Succeeded")

    assert tell("running") == "debug"
    pilot.envelope(v1.SET_COMMAND, job_id=job_id, command="ls")
    assert tell("running") == "debug,ls"
    pilot.data(v1.KILL, job_ids=[job_id])
    assert tell("running") == "debug,tobekilled"


def test_debug_mode_off_again(pilot, queue):
    """And secrets, which come with debug mode, are gone."""
    job_id, _ = given(pilot, queue)
    own = {"job_id": job_id, "job_status": "running", "attempt_nr": 1}
    pilot.call(v1.SET_DEBUG_MODE, job_id=job_id, mode=True)
    assert pilot.data(v1.UPDATE_JOB, **own) == {"StatusCode": 0, "command": "debug", "pilotSecrets": "{}"}

    pilot.call(v1.SET_DEBUG_MODE, job_id=job_id, mode=False)
    assert pilot.data(v1.UPDATE_JOB, **own) == {"StatusCode": 0, "command": "NULL"}


def test_debug_mode_before_the_start(pilot, queue):
    """Then it stands in the job dictionary."""
    job_id = pilot.submit(computingSite=queue)
    pilot.call(v1.SET_DEBUG_MODE, job_id=job_id, mode=True)

    assert pilot.acquire(site_name=queue)["debug"] == "True"


def test_debug_mode_needs_a_job_that_may_still_run(pilot, queue):
    """Refused (with success: true, as the flag is inverted) for ended and unknown ones."""
    job_id, tell = given(pilot, queue)
    tell("holding")
    for refused_id in (job_id, 10**12):
        envelope = pilot.envelope(v1.SET_DEBUG_MODE, job_id=refused_id, mode=True)
        assert envelope["success"] is True
        assert "cannot switch" in envelope["message"]
