"""The account of slot time that the server keeps: told by pilots, or by its own log where no pilot lived to tell."""

import msgspec
import pytest

from picard_pilot.model.cost import Cost, Saving
from picard_pilot.model.states import Phase
from picard_pilot.server.costs import CostSummary
from picard_pilot.wire import v1
from picard_pilot.wire.cost import pairs_of


def metrics(**values):
    """The pairs of a final report."""
    return " ".join(f"{key}={value}" for key, value in pairs_of(Cost(**values)).items())


@pytest.fixture
def account(pilot, queue):
    """The summary of this test's queue."""

    def asked(query=""):
        status, document = pilot.ui(f"cost?queue={queue}{query}")
        assert (status, document["schema"]) == (200, "ui.cost/1")
        return msgspec.convert(document["data"], CostSummary)

    return asked


def taken(pilot, queue, **spec):
    """A job that was given to a pilot."""
    job_id = pilot.submit(computingSite=queue, **spec)
    pilot.acquire(site_name=queue)
    return job_id


def tell(pilot, job_id, status, **fields):
    """One update."""
    return pilot.data(v1.UPDATE_JOB, job_id=job_id, attempt_nr=1, job_status=status, **fields)


def test_good_and_lost_time_by_phase_cause_blame_and_attempt(server, pilot, queue, account):
    """One good job on four cores, one whose program failed, one that lost its input: sums and parts agree."""
    good = taken(pilot, queue)
    wall = {Phase.STAGEIN: 10.0, Phase.RUNNING: 100.0}
    tell(
        pilot,
        good,
        "finished",
        core_count=4,
        cpu_consumption_time=300,
        job_metrics=metrics(wall_s=wall, bytes_in=7, bytes_out=9, saved_by=(Saving.RECOVERY,), spared=3),
    )
    failed = taken(pilot, queue)
    tell(pilot, failed, "failed", pilot_error_code=1305, job_metrics=metrics(wall_s={Phase.RUNNING: 50.0}))
    unlucky = taken(pilot, queue)
    tell(pilot, unlucky, "failed", pilot_error_code=1331, job_metrics=metrics(wall_s={Phase.STAGEIN: 5.0}))
    server.judge()
    found = account()
    assert (found.good.jobs, found.good.core_s) == (1, {Phase.STAGEIN: 40.0, Phase.RUNNING: 400.0})
    assert (found.good.cpu_s, found.good.bytes_in, found.good.bytes_out) == (300, 7, 9)
    assert found.lost.core_s == {Phase.STAGEIN: 5.0, Phase.RUNNING: 50.0}
    assert [(one.code, one.name, one.blame, one.part.total_s) for one in found.causes] == [
        (1305, "PAYLOADEXECUTIONFAILURE", "payload", 50.0),
        (1331, "MISSINGINPUTFILE", "storage", 5.0),
    ]
    assert {blame: part.total_s for blame, part in found.blames.items()} == {"payload": 50.0, "storage": 5.0}
    assert [(one.number, one.lost.total_s) for one in found.attempts] == [(1, 55.0)]
    assert [(one.by, one.jobs, one.core_s) for one in found.saved] == [("recovery", 1, 400.0)]
    assert (found.spared, found.told_by_server) == (3, 0)


def test_the_next_attempt_is_an_account_of_its_own(server, pilot, queue, account):
    """So that people see what a retry cost and brought."""
    taken(pilot, queue, maxAttempt=2)
    tell(
        pilot,
        pilot_job(pilot, queue),
        "failed",
        pilot_error_code=1305,
        job_metrics=metrics(wall_s={Phase.RUNNING: 8.0}),
    )
    server.judge()
    again = pilot.acquire(site_name=queue)
    pilot.data(
        v1.UPDATE_JOB,
        job_id=int(again["PandaID"]),
        attempt_nr=2,
        job_status="finished",
        job_metrics=metrics(wall_s={Phase.RUNNING: 9.0}),
    )
    server.judge()
    shares = [(one.number, one.good.total_s, one.lost.total_s) for one in account().attempts]
    assert shares == [(1, 0.0, 8.0), (2, 9.0, 0.0)]


def pilot_job(pilot, queue):
    """The newest job of the queue."""
    _, document = pilot.ui(f"jobs?queue={queue}")
    return document["data"]["rows"][0]["job_id"]


def test_a_pilot_that_was_killed_cost_what_the_log_saw(server, pilot, queue, account):
    """Until its last heartbeat; the watcher's verdict is the cause, and the batch system is whom to ask."""
    job_id = taken(pilot, queue)
    tell(pilot, job_id, "starting", job_sub_status="stagein")
    server.clock.turn_on(1000)
    tell(pilot, job_id, "running", job_sub_status="running", core_count=4)
    server.clock.turn_on(5000)
    tell(pilot, job_id, "running", job_sub_status="running", core_count=4)
    server.clock.turn_on(7300)
    server.watch()
    found = account()
    assert (found.told_by_server, found.lost.jobs) == (1, 1)
    # The calls themselves take their time on a busy machine; the hours of silence do not count.
    assert found.lost.core_s[Phase.STAGEIN] == pytest.approx(4000, rel=0.1)
    assert found.lost.core_s[Phase.RUNNING] == pytest.approx(20_000, rel=0.1)
    (cause,) = found.causes
    assert (cause.component, cause.code, cause.name, cause.blame) == (
        "dispatcher",
        100,
        "LOSTHEARTBEAT",
        "batch",
    )


def test_a_job_that_no_pilot_had_cost_nothing(server, pilot, queue, account):
    """It was killed while it waited."""
    job_id = pilot.submit(computingSite=queue)
    pilot.data(v1.KILL, job_ids=[job_id])
    assert account().lost.jobs == 0


@pytest.mark.parametrize(
    "said",
    ["", "costWall=", "costWall=1.0/2.0", f"costWall={'/'.join(['9' * 400 + '.0'] * 6)}", "bytesIn=-1"],
)
def test_whatever_a_pilot_says_the_sums_stay_sums(server, pilot, queue, account, said):
    """What makes no sense counts as not told: the log's times are taken."""
    job_id = taken(pilot, queue)
    tell(pilot, job_id, "failed", pilot_error_code=1305, job_metrics=said)
    server.judge()
    found = account()
    assert (found.told_by_server, found.lost.jobs) == (1, 1)
    assert 0 <= found.lost.total_s < 3600


def test_numbers_of_many_jobs_never_overflow(server, pilot, queue, account):
    """Ten jobs with the largest numbers that are believed."""
    for _ in range(10):
        job_id = taken(pilot, queue)
        most = Cost(wall_s={Phase.RUNNING: 1e12}, bytes_in=10**15, bytes_out=10**15, spared=10**15)
        said = " ".join(f"{key}={value}" for key, value in pairs_of(most).items())
        tell(pilot, job_id, "finished", job_metrics=said, cpu_consumption_time=2**62)
    server.judge()
    assert account().good.bytes_in == 10**16
