"""The lifecycle machine: the good way, each way to fail, and each way to be stopped."""

import pytest
from lifecycle_story import BAD_EXIT, STAGED, START, STARTED, a_job, exited, good_story, stop, stored

from picard_pilot.diagnosis.faults import fault
from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.fold import fold
from picard_pilot.lifecycle.report import Sender, final_report, update
from picard_pilot.lifecycle.table import NoSuchTransition, entry, step
from picard_pilot.model import events as ev
from picard_pilot.model import instructions as do
from picard_pilot.model.events import Event
from picard_pilot.model.report import JobStatus
from picard_pilot.model.states import Phase, State
from picard_pilot.model.stop import StopKind

SENDER = Sender(site_name="TEST", node="node1")


def walk(events: list[Event]) -> tuple[Case, list[do.Instruction]]:
    """The case after the events, one second apart, and the instructions of the last one."""
    case: Case | None = None
    then: tuple[do.Instruction, ...] = ()
    for second, event in enumerate(events):
        case, then = step(case, event, START + second)
    assert case is not None
    return case, list(then)


def until(kind: type[Event]) -> list[Event]:
    """The good story up to and with the first event of a kind."""
    story = good_story()
    return story[: [type(event) for event in story].index(kind) + 1]


def test_a_good_job_passes_all_phases_and_finishes() -> None:
    """The brief's six words come in their order, and then `finished`."""
    case: Case | None = None
    phases: list[Phase] = []
    for second, event in enumerate(good_story()):
        case, _ = step(case, event, START + second)
        if not phases or phases[-1] is not case.phase:
            phases.append(case.phase)
    assert phases == [
        Phase.STARTING,
        Phase.SETUP,
        Phase.STAGEIN,
        Phase.RUNNING,
        Phase.STAGEOUT,
        Phase.FINISHING,
        Phase.FINISHED,
    ]


def test_each_step_asks_for_the_next_thing() -> None:
    """The coarse instructions of the good way, in order, `Tell` aside."""
    asked: list[str] = []
    case: Case | None = None
    for second, event in enumerate(good_story()):
        case, then = step(case, event, START + second)
        asked += [type(one).__name__ for one in then if not isinstance(one, do.Tell)]
    assert asked == [
        "Admit",
        "Prepare",
        "StageIn",
        "Launch",
        "Watch",
        "Diagnose",
        "StageOut",
        "StoreLog",
        "Report",
        "CleanUp",
    ]


def test_a_job_without_files_skips_staging() -> None:
    """No inputs, outputs or log: from setup to the payload and from its end to the report."""
    case, then = walk(good_story(a_job(inputs=0, outputs=0, log=False))[:5])
    assert case.state is State.DIAGNOSING
    case, then = walk(good_story(a_job(inputs=0, outputs=0, log=False))[:6])
    assert case.state is State.CLOSING
    assert then == [do.Report()]


def test_a_description_that_cannot_be_used_is_reported_at_once() -> None:
    """Nothing is set up for it, but the server is told."""
    refusal = fault("BADOUTPUTFILENAME", "outFiles: '../x' is not a bare name", rule="wire")
    case, then = walk([ev.JobReceived(job=a_job(), queue="TEST", refusal=refusal)])
    assert then == [do.Report()]
    report = final_report(case, SENDER)
    assert (report.status, report.pilot_error_code) == (JobStatus.FAILED, 1371)
    assert "outFiles" in (report.pilot_error_diag or "")


def test_a_bad_exit_fails_the_job_and_keeps_the_payload_record() -> None:
    """The verdict stands beside the payload's own exit code, and the outputs are not stored."""
    case, _ = walk([*until(ev.PayloadStarted), exited(7), ev.Diagnosed(faults=(BAD_EXIT,))])
    assert case.state is State.ARCHIVING
    report = final_report(case, SENDER)
    assert (report.trans_exit_code, report.pilot_error_code) == (7, 1305)


def test_a_signal_is_told_as_128_plus_n() -> None:
    """`trans_exit_code` knows no signals."""
    case, _ = walk([*until(ev.PayloadStarted), exited(None, 9), ev.Diagnosed(faults=(BAD_EXIT,))])
    assert final_report(case, SENDER).trans_exit_code == 137


@pytest.mark.parametrize(
    ("events", "code"),
    [
        (until(ev.JobReceived), ev.Refused),
        (until(ev.Admitted), ev.SetupFailed),
        (until(ev.InputsReady), ev.LaunchFailed),
    ],
)
def test_a_failure_before_the_payload_archives_the_log_and_closes(
    events: list[Event], code: type[Event]
) -> None:
    """Whatever fails, the log is stored and the server is told."""
    broken = fault("SETUPFAILURE", "no", rule="test")
    case, then = walk([*events, code(fault=broken)])
    assert case.state is State.ARCHIVING
    case, then = walk([*events, code(fault=broken), ev.LogStored(file=stored("log.tgz"))])
    assert (case.state, then) == (State.CLOSING, [do.Report()])
    assert final_report(case, SENDER).outputs == (stored("log.tgz"),)


def test_a_signal_while_running_stops_the_payload_and_becomes_the_cause() -> None:
    """The stop is the cause; what the payload did then is its symptom."""
    case, then = walk([*until(ev.PayloadStarted), stop()])
    assert case.state is State.STOPPING
    assert do.StopPayload(grace_s=5.0) in then
    case, _ = walk([*until(ev.PayloadStarted), stop(), exited(None, 15), ev.Diagnosed(faults=(BAD_EXIT,))])
    assert [one.name for one in case.faults] == ["SIGTERM", "PAYLOADEXECUTIONFAILURE"]


def test_a_payload_that_ends_well_within_its_grace_keeps_its_results() -> None:
    """The slot's end does not take away work that is done."""
    case, _ = walk([*until(ev.PayloadStarted), stop(), exited(0), ev.Diagnosed()])
    assert case.state is State.STAGING_OUT
    assert not case.failed


def test_the_server_s_kill_drops_the_results_even_of_a_good_payload() -> None:
    """Nobody wants them any more."""
    killed = stop(StopKind.SERVER_KILL)
    case, _ = walk([*until(ev.PayloadStarted), killed, exited(0), ev.Diagnosed()])
    assert case.state is State.ARCHIVING
    assert final_report(case, SENDER).pilot_error_code == 1144
    case, then = walk([*until(ev.Diagnosed), killed])
    assert case.state is State.ARCHIVING
    assert then[0] == do.CancelWork()


def test_a_signal_during_stage_out_lets_it_go_on() -> None:
    """Outputs are worth keeping: only the pilot's own deadline suspends the job."""
    case, then = walk([*until(ev.Diagnosed), stop()])
    assert (case.state, then) == (State.STAGING_OUT, [])
    case, then = walk([*until(ev.Diagnosed), stop(), ev.Suspended(reason="out of time")])
    assert case.state is State.HOLDING
    assert do.CancelWork() in then
    case, then = walk(
        [*until(ev.Diagnosed), stop(), ev.Suspended(reason="out of time"), ev.Resumed(pilot="p2")]
    )
    assert (case.state, then) == (State.STAGING_OUT, [do.StageOut()])


def test_a_second_stop_shortens_the_grace_and_keeps_the_first_cause() -> None:
    """Never longer; and only the server's kill replaces the cause."""
    case, then = walk([*until(ev.PayloadStarted), stop(grace_s=5), stop(StopKind.LIFETIME, grace_s=1)])
    assert then == [do.StopPayload(grace_s=1)]
    assert case.stop is not None
    assert case.stop.kind is StopKind.SIGNAL
    case, then = walk([*until(ev.PayloadStarted), stop(grace_s=1), stop(StopKind.SERVER_KILL, grace_s=9)])
    assert then == [do.StopPayload(grace_s=1)]
    assert case.unwanted


def test_a_later_signal_does_not_take_the_servers_kill_back() -> None:
    """Not while the evidence is read either: nobody wants these outputs."""
    events: list[Event] = [*until(ev.PayloadStarted), stop(StopKind.SERVER_KILL), exited(0), stop()]
    case, _ = walk([*events, ev.Diagnosed()])
    assert (case.state, case.failed, case.unwanted) == (State.ARCHIVING, True, True)
    assert final_report(case, SENDER).pilot_error_code == 1144


def test_a_stop_during_the_launch_reaches_the_payload() -> None:
    """The launch cannot be taken back, so the payload is stopped as soon as it is known."""
    case, then = walk([*until(ev.InputsReady), stop()])
    assert (case.state, then) == (State.STOPPING, [])
    case, then = walk([*until(ev.InputsReady), stop(), STARTED])
    assert then == [do.Watch(), do.StopPayload(grace_s=5.0)]


def test_a_lost_payload_is_not_a_failed_one() -> None:
    """Lost with the slot: there is no exit code to report."""
    lost = ev.PayloadLost(fault=fault("KILLSIGNAL", "the launcher is gone", rule="launcher"))
    case, _ = walk([*until(ev.PayloadStarted), lost, ev.Diagnosed()])
    report = final_report(case, SENDER)
    assert (report.trans_exit_code, report.pilot_error_code) == (None, 1200)


def test_an_impossible_event_says_so() -> None:
    """It names the event, the job and the state."""
    case, _ = walk(until(ev.Admitted))
    with pytest.raises(NoSuchTransition, match="LogStored has no row for job 4711 in state setting_up"):
        step(case, ev.LogStored(file=stored("log.tgz")), START)
    with pytest.raises(NoSuchTransition, match="nothing"):
        step(None, ev.Admitted(), START)


def test_the_server_is_told_starting_until_the_payload_runs() -> None:
    """The server's own word knows less than the phase beside it."""
    case, _ = walk(until(ev.InputsReady))
    assert update(case, SENDER).status is JobStatus.STARTING
    case, _ = walk(until(ev.PayloadStarted))
    assert update(case, SENDER).status is JobStatus.RUNNING
    case, _ = walk(until(ev.OutputStored))
    assert (update(case, SENDER).status, update(case, SENDER).phase) == (JobStatus.RUNNING, Phase.STAGEOUT)


def test_the_final_report_holds_every_stored_file_and_the_times() -> None:
    """Outputs with their places, payload time, and the end that the journal knows."""
    case, _ = walk(good_story())
    report = final_report(case, SENDER)
    assert [file.lfn for file in report.outputs] == ["out0.root", "log.tgz"]
    assert report.status is JobStatus.FINISHED
    assert report.end_time == case.ended_at
    assert report.usage.cpu_time_s == 3
    assert case.staged["in1.root"] == STAGED[1]


def test_a_resumed_case_asks_again_for_what_its_state_needs() -> None:
    """From every point of the good story, a later pilot gets the state's own instructions."""
    story = good_story()
    for cut in range(1, len(story) + 1):
        before = fold([(event, START + second) for second, event in enumerate(story[:cut])])
        assert before is not None
        after, then = step(before, ev.Resumed(pilot="p2"), START + 100)
        assert after.state is before.state
        assert then == entry(after)


def test_a_later_pilot_tells_no_other_batch_id() -> None:
    """A real server answers a changed one that has letters in it with an error for ever."""
    slot = Sender(site_name="TEST", node="node2", batch_id="77.head")
    case, _ = walk(until(ev.PayloadStarted))
    assert update(case, slot).batch_id == "77.head"
    case, _ = walk([*good_story()[:-1], ev.Resumed(pilot="p2")])
    assert update(case, slot).batch_id is None
    assert final_report(case, slot).batch_id is None
