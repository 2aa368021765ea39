"""The rules of update_job: states, attempts, commands, limits of fields; over real TLS."""

import json
import uuid

import pytest

from picard_pilot.wire import v1

DATABASE_ERROR = {"success": True, "message": "Database error", "data": {"StatusCode": 30}}


@pytest.fixture
def job(pilot):
    """A job that was given to the pilot."""
    return Sent(pilot)


class Sent:
    """A job after its dispatch, and short words for what a pilot says about it."""

    def __init__(self, pilot, **spec):
        self.pilot = pilot
        # A queue of its own, so that no other test's job is given out.
        queue = uuid.uuid4().hex
        self.id = pilot.submit(computingSite=queue, **spec)
        self.acquired = pilot.acquire(site_name=queue)
        assert self.acquired["PandaID"] == self.id

    def says(self, status, **fields):
        """The data of the answer to an update with the right attempt number."""
        return self.envelope(status, **fields)["data"]

    def envelope(self, status, **fields):
        """The whole answer."""
        values = {"job_id": self.id, "job_status": status, "attempt_nr": 1, **fields}
        return self.pilot.envelope(v1.UPDATE_JOB, **values)

    @property
    def row(self):
        """The job as the server shows it."""
        return self.pilot.job(self.id)["row"]

    @property
    def status(self):
        """Its status."""
        return self.row["status"]


def test_a_heartbeat_is_answered_with_nothing_to_do(job):
    """The text NULL."""
    assert job.says("running") == {"StatusCode": 0, "command": "NULL"}
    assert job.status == "running"


def test_running_after_starting_and_starting_after_running(job):
    """The job never goes back."""
    job.says("starting")
    assert job.status == "starting"
    job.says("running")
    job.says("starting")
    assert job.status == "running"


def test_the_phases_stand_in_the_history(job):
    """Each change of status or phase once, with host and time."""
    for phase in ("starting", "setup", "setup", "stagein"):
        job.says("starting", job_sub_status=phase, node="node1")
    job.says("running", job_sub_status="running")

    history = job.pilot.job(job.id)["history"]
    assert [(change["status"], change["sub_status"]) for change in history] == [
        ("activated", None),
        ("sent", None),
        ("starting", "starting"),
        ("starting", "setup"),
        ("starting", "stagein"),
        ("running", "running"),
    ]
    assert history[2]["host"] == "node1"
    assert all(change["at"].endswith("Z") for change in history)


def test_finished_is_stored_as_holding_until_the_adder_has_judged(server, job):
    """The pilot never reaches a final state itself."""
    assert job.says("finished") == {"StatusCode": 0, "command": "NULL"}
    server.judge()

    history = [change["status"] for change in job.pilot.job(job.id)["history"]]
    assert history[-2:] == ["holding", "finished"]


def test_after_the_end_every_update_is_told_to_stop(server, job):
    """And changes nothing."""
    job.says("finished")
    server.judge()

    assert job.says("running")["command"] == "tobekilled"
    assert job.says("failed", pilot_error_code=1305)["command"] == "tobekilled"
    server.judge()
    assert job.status == "finished"
    assert job.row["errors"] == []


def test_a_repeated_final_update_is_already_done(server, job):
    """While the job is holding with an accepted report."""
    with_poison = {"job_id": job.id, "job_status": "finished"}
    job.pilot.envelope(v1.UPDATE_JOB, **with_poison)
    server.judge()

    assert job.status == "holding"
    assert job.says("finished")["command"] == "alreadydone"
    assert job.says("running")["command"] == "alreadydone"


def test_a_missing_attempt_number_poisons_the_final_update(server, job):
    """Its report is filed under attempt 0 and dropped; the job stays holding, whatever comes later."""
    assert job.pilot.envelope(v1.UPDATE_JOB, job_id=job.id, job_status="running")["data"]["command"] == "NULL"
    job.pilot.envelope(v1.UPDATE_JOB, job_id=job.id, job_status="finished")
    server.judge()
    job.says("finished")
    server.judge()

    assert job.status == "holding"


def test_a_wrong_attempt_number_is_told_to_stop(job):
    """And changes nothing, not even for a heartbeat."""
    job.says("running", node="right")

    assert job.says("running", attempt_nr=2, node="wrong")["command"] == "tobekilled"
    assert job.says("finished", attempt_nr=0)["command"] == "tobekilled"
    assert (job.status, job.row["host"]) == ("running", "right")


def test_an_unknown_job_is_told_to_stop(pilot):
    """As a final one."""
    envelope = pilot.envelope(v1.UPDATE_JOB, job_id=10**12, job_status="running")

    assert envelope["data"] == {"StatusCode": 0, "command": "tobekilled"}


@pytest.mark.parametrize("status", ["sent", "activated", "cancelled", "Running", ""])
def test_statuses_that_a_pilot_may_not_send(job, status):
    """StatusCode 50."""
    envelope = job.envelope(status)

    assert (envelope["success"], envelope["data"]) == (False, {"StatusCode": 50})
    assert job.status == "sent"


@pytest.mark.parametrize("status", ["holding", "transferring"])
def test_holding_by_the_pilot_means_more_will_come(server, job, status):
    """Repeats and heartbeats are ignored and do not refresh the time; a final update is accepted."""
    job.says("running")
    job.says(status)
    before = job.row
    server.clock.turn_on(10)
    assert job.says(status)["StatusCode"] == 0
    assert job.says("running", node="elsewhere")["StatusCode"] == 0
    assert job.row == before

    job.says("finished")
    server.judge()
    assert job.status == "finished"


def test_closed_by_the_pilot(server, job):
    """Given back without blame, and no attempt used."""
    job.says("failed", job_sub_status="pilot_closed")
    server.judge()

    assert job.status == "closed"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pilot_timing", "x" * 101),
        ("cpu_consumption_unit", "x" * 129),
        ("scheduler_id", "x" * 129),
        ("pilot_error_code", 2**31),
        ("exe_error_code", -(2**31) - 1),
        ("trans_exit_code", 2**40),
        ("node", "a\0b"),
        ("pilot_log", "a\0b"),
        ("job_output_report", "{}\0"),
        ("job_output_report", "\0"),
    ],
)
def test_one_bad_field_loses_the_whole_update(job, field, value):
    """HTTP 200, success, StatusCode 30, and nothing written."""
    job.says("running", node="before")

    envelope = job.envelope("failed", **{"node": "after", field: value})

    assert envelope == DATABASE_ERROR
    assert (job.status, job.row["host"]) == ("running", "before")


@pytest.mark.parametrize(
    ("field", "length", "shown"),
    [
        ("node", 128, lambda detail: detail["row"]["host"]),
        ("pilot_id", 200, lambda detail: detail["row"]["pilot_id"]),
        ("batch_id", 80, lambda detail: detail["row"]["batch_id"]),
        ("job_sub_status", 80, lambda detail: detail["row"]["sub_status"]),
        ("job_metrics", 500, lambda detail: detail["usage"]["job_metrics"]),
        ("cpu_architecture_level", 20, lambda detail: detail["usage"]["cpu_architecture_level"]),
        ("pilot_log", 4000, lambda detail: detail["pilot_log"]),
    ],
)
def test_long_texts_that_the_server_cuts(job, field, length, shown):
    """The rest of the update is kept."""
    assert job.says("running", **{field: "x" * (length + 5)})["StatusCode"] == 0

    assert shown(job.pilot.job(job.id)) == "x" * length


def test_error_texts_are_cut_at_500(job):
    """Beside their codes."""
    job.says("running", pilot_error_code=1305, pilot_error_diag="p" * 600)

    assert job.row["errors"] == [{"component": "pilot", "code": 1305, "diag": "p" * 500}]


def test_measured_figures(job):
    """Memory in kB as given, input and output divided by 1024 and capped; a malformed time is ignored."""
    job.says(
        "running",
        max_rss=1234.9,
        tot_rchar=4096,
        rate_wbytes=10**20,
        start_time="2026-11-22 10:00:00",
        end_time="2026-22-11 10:00:00",
    )

    usage = job.pilot.job(job.id)["usage"]
    assert (usage["max_rss"], usage["tot_rchar"], usage["rate_wbytes"]) == (1234, 4.0, float(10**10 - 1))
    assert usage["reported_start"] == "2026-11-22 10:00:00"
    assert "reported_end" not in usage


def test_what_an_update_does_not_say_stays(job):
    """Null and empty texts say nothing."""
    job.says("running", node="node1", pilot_id="p")
    job.says("running", node=None, pilot_id="")

    assert (job.row["host"], job.row["pilot_id"]) == ("node1", "p")


def test_live_output_up_to_2048_characters(job):
    """A longer one vanishes without an error, and the older text stays."""
    job.says("running", stdout="x" * 2048)
    assert job.says("running", stdout="y" * 2049)["StatusCode"] == 0

    assert job.pilot.job(job.id)["debug_stdout"] == "x" * 2048


def test_metadata_first_one_wins(job):
    """None counts for a failed job."""
    job.says("running", meta_data="first")
    job.says("running", meta_data="second")

    assert job.pilot.job(job.id)["metadata"] == "first"


def test_metadata_of_a_failed_job_is_dropped(job):
    """It counts only with finished."""
    job.says("failed", meta_data="report")

    assert job.pilot.job(job.id)["metadata"] is None


def test_metadata_for_an_unknown_job(pilot):
    """StatusCode 30 and no update."""
    envelope = pilot.envelope(v1.UPDATE_JOB, job_id=10**12, job_status="running", meta_data="x")

    assert envelope["data"]["StatusCode"] == 30
    assert envelope["success"] is True


def test_a_changed_batch_id_with_letters(job):
    """A fault of the real server that our pilot must live with: a database error for ever."""
    job.says("running", batch_id="slurm.17")

    assert job.envelope("running", batch_id="slurm.18") == DATABASE_ERROR
    assert job.says("running", batch_id="slurm.17")["StatusCode"] == 0


def test_a_changed_batch_id_of_digits_is_taken(job):
    """Digits and dots only."""
    job.says("running", batch_id="17.0")

    assert job.says("running", batch_id="18.0")["StatusCode"] == 0


def test_updates_in_bulk_are_answered_in_order(pilot):
    """A list of complete envelopes; a bad one spoils only its own entry."""
    first, second = Sent(pilot), Sent(pilot)
    answer = pilot.envelope(
        v1.UPDATE_JOBS_BULK,
        job_list=[
            {"job_id": first.id, "job_status": "running", "attempt_nr": 1, "meta_data": {"a": 1}},
            {"job_id": "x", "job_status": "running"},
            {"job_id": second.id, "job_status": "nonsense"},
            {"job_id": second.id, "job_status": "starting", "attempt_nr": 1},
        ],
    )

    assert [entry["success"] for entry in answer["data"]] == [True, False, False, True]
    assert (first.status, second.status) == ("running", "starting")


def test_a_bulk_entry_without_status_ends_the_call(pilot):
    """After the earlier ones were applied."""
    first, second = Sent(pilot), Sent(pilot)
    answer = pilot.envelope(
        v1.UPDATE_JOBS_BULK,
        job_list=[
            {"job_id": first.id, "job_status": "running", "attempt_nr": 1},
            {"job_id": second.id},
            {"job_id": second.id, "job_status": "running", "attempt_nr": 1},
        ],
    )

    assert answer["success"] is False
    assert (first.status, second.status) == ("running", "sent")


def test_a_bulk_of_final_updates_is_judged(server, pilot):
    """Like single ones."""
    first, second = Sent(pilot), Sent(pilot)
    jobs = [{"job_id": job.id, "job_status": "finished", "attempt_nr": 1} for job in (first, second)]
    pilot.envelope(v1.UPDATE_JOBS_BULK, job_list=jobs)
    server.judge()

    assert (first.status, second.status) == ("finished", "finished")


def test_the_texts_of_an_update_survive_as_they_are(job):
    """Quotes, other alphabets, escapes."""
    text = 'it\'s "quoted"; -- é 日本 \x1b[31m \n'
    job.says("running", pilot_log=text)

    assert job.pilot.job(job.id)["pilot_log"] == text


def test_a_final_report_is_stored_as_it_came(server, job):
    """Whatever it is; judging comes after."""
    assert job.says("finished", job_output_report=json.dumps({"x": {"guid": "g"}}))["StatusCode"] == 0
    server.judge()

    assert job.status == "failed"
