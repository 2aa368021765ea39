"""Outputs that no storage takes: how long they may wait, who comes back to them, and how it ends."""

import msgspec
import pytest
from lifecycle_story import START, a_job, good_story, stop, stored

from picard_pilot.diagnosis.faults import fault
from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.holding import HOUR_S, REPORT_RESERVE_S, held_until, moment, next_break, window
from picard_pilot.lifecycle.pilot import Ask, Leave, Leaving, Situation, WaitUntil, decide
from picard_pilot.lifecycle.report import Sender, final_report, update
from picard_pilot.lifecycle.table import step
from picard_pilot.model import events as ev
from picard_pilot.model import instructions as do
from picard_pilot.model.events import Event
from picard_pilot.model.files import FilePlace
from picard_pilot.model.job import Job
from picard_pilot.model.report import JobStatus
from picard_pilot.model.states import Phase, State
from picard_pilot.model.stop import StopKind
from picard_pilot.model.waiting import LATER_PILOT, Waiting, waiting_in

SENDER = Sender(site_name="TEST", node="node1")
DOWN = fault("STAGEOUTFAILED", "output out0.root cannot be stored", rule="test", evidence=("A: contact",))
UNTIL = START + 1000
TO_STAGE_OUT = good_story()[: [type(event) for event in good_story()].index(ev.Diagnosed) + 1]


def held(again_at: float | None = None) -> ev.OutputsHeld:
    return ev.OutputsHeld(
        faults=(DOWN,), where="node1:/work/PanDA_Pilot-4711", until=UNTIL, again_at=again_at
    )


def walk(*events: Event) -> tuple[Case, list[do.Instruction]]:
    """The case after stage-out began and these events, one second apart, and the last instructions."""
    case: Case | None = None
    then: tuple[do.Instruction, ...] = ()
    for second, event in enumerate((*TO_STAGE_OUT, *events)):
        case, then = step(case, event, START + second)
    assert case is not None
    return case, list(then)


@pytest.mark.parametrize(
    ("label", "priority", "hours"),
    [
        ("user", 1000, 3),
        ("panda", None, 3),
        (None, None, 3),
        ("somebody's", 0, 3),
        ("managed", None, 48),
        ("managed", 800, 48),
        ("managed", 801, 3),
        ("prod_test", 900, 3),
        ("install", 100, 48),
    ],
)
def test_the_servers_windows(label: str | None, priority: int | None, hours: int) -> None:
    """Three hours for users and urgent production, 48 for other production; the report needs some of it."""
    job = Job(job_id=1, attempt_nr=1, label=label, priority=priority)
    assert window(job).seconds == hours * HOUR_S
    assert held_until(job, START) == START + hours * HOUR_S - REPORT_RESERVE_S


def breaks(
    wall_s: float | None, window_s: float = 48 * HOUR_S, leaves_after_s: float | None = None
) -> list[float]:
    """The breaks of a job whose storage never comes back, in hours after the failure."""
    found: list[float] = []
    now = START
    while (
        at := next_break(
            first_held_at=START,
            now=now,
            wall_s=wall_s,
            until=START + window_s,
            leaves_at=None if leaves_after_s is None else START + leaves_after_s,
        )
    ) is not None:
        found.append((at - START) / HOUR_S)
        now = at + 60
    return found


@pytest.mark.parametrize(
    ("wall_s", "more", "expected"),
    [
        (20 * HOUR_S, {}, [0.5, 2, 6]),
        (3 * HOUR_S, {}, [0.5, 2]),
        (HOUR_S, {}, [0.5]),
        (600.0, {}, []),
        (None, {}, []),
        (20 * HOUR_S, {"window_s": 3 * HOUR_S}, [0.5, 2]),
        (20 * HOUR_S, {"leaves_after_s": 3 * HOUR_S}, [0.5, 2]),
        (20 * HOUR_S, {"leaves_after_s": 1000.0}, []),
    ],
)
def test_the_breaks_that_a_job_earns(
    wall_s: float | None, more: dict[str, float], expected: list[float]
) -> None:
    """It must have computed as long as it waits, within the server's window and the pilot's life."""
    assert breaks(wall_s, **more) == expected


def test_held_outputs_wait_and_the_server_hears_where() -> None:
    """HOLDING, not failed; the log leaves if it can; nobody comes back unless a break was earned."""
    case, then = walk(held())
    assert (case.state, case.phase, case.failed, case.waiting) == (State.HOLDING, Phase.HOLDING, False, True)
    assert then == [do.Tell(), do.LastWord(), do.StoreLog()]
    told = update(case, SENDER)
    assert (told.status, told.phase, told.pilot_error_code) == (JobStatus.HOLDING, Phase.HOLDING, 1137)
    assert told.pilot_error_diag is not None
    for word in ("node1:/work/PanDA_Pilot-4711", "until 2027-01-15 08:16 UTC", "next pilot", "A: contact"):
        assert word in told.pilot_error_diag
    _, then = walk(held(again_at=START + 500))
    assert then[-1] == do.AwaitBreak(until=START + 500)


LEFT = ev.Suspended(reason="the slot ended", where="n:/w")


def test_a_job_that_was_put_down_tells_where() -> None:
    """As one whose outputs wait for a storage does, until somebody goes on with it."""
    case, _ = walk(stop(), LEFT)
    told = update(case, SENDER)
    assert (told.status, told.pilot_error_code) == (JobStatus.HOLDING, stop().stop.fault.code)
    found = waiting_in(told.pilot_error_diag or "")
    assert found == Waiting("n:/w", moment(held_until(case.job, case.since)), LATER_PILOT, "the slot ended")
    case, _ = step(case, ev.Resumed(pilot="p2"), START + 100)
    assert update(case, SENDER).pilot_error_diag is None


def test_a_job_that_was_put_down_before_it_made_anything_says_so() -> None:
    """Nothing is claimed to be safe that is not there."""
    case: Case | None = None
    begun = good_story()[: [type(event) for event in good_story()].index(ev.PayloadStarted) + 1]
    for event in (*begun, stop(), LEFT):
        case, _ = step(case, event, START)
    assert case is not None
    assert (update(case, SENDER).pilot_error_diag or "").startswith("the job waits in n:/w until ")


def test_a_job_that_was_put_down_and_is_done_replaces_what_was_said() -> None:
    """The server keeps a text that no other replaces."""
    out = ev.OutputStored(file=stored("out0.root"), seconds=1.0, reason="r")
    case, _ = walk(
        LEFT, ev.Resumed(pilot="p2"), out, ev.OutputsStored(), ev.LogStored(file=stored("log.tgz"))
    )
    report = final_report(case, SENDER)
    assert (report.status, report.pilot_error_code) == (JobStatus.FINISHED, 0)
    assert report.pilot_error_diag == "the job waited for a later pilot, and is done now"


def test_after_a_break_it_goes_on_and_ends_well() -> None:
    """No trace of the failure stays but the words that replace what was said; the server hears no `running`."""
    out = ev.OutputStored(file=stored("out0.root"), seconds=1.0, reason="r")
    case, then = walk(held(again_at=START + 500), ev.BreakOver())
    assert (case.state, then, case.resumed) == (State.STAGING_OUT, [do.StageOut()], 0)
    assert update(case, SENDER).status is JobStatus.HOLDING
    case, _ = walk(held(), ev.BreakOver(), out, ev.OutputsStored(), ev.LogStored(file=stored("log.tgz")))
    report = final_report(case, SENDER)
    assert (report.status, report.pilot_error_code) == (JobStatus.FINISHED, 0)
    assert report.pilot_error_diag == "the outputs waited for a storage, and are stored now"


def test_a_later_pilot_goes_on_within_the_window_and_ends_it_after() -> None:
    """Past the window it fails with the cause, and the log leaves."""
    case, then = walk(held(), ev.Resumed(pilot="p2"))
    assert (case.state, then, case.resumed) == (State.STAGING_OUT, [do.StageOut()], 1)
    waiting, _ = walk(held())
    case, then = (
        step(waiting, ev.Resumed(pilot="p2"), UNTIL)[0],
        list(step(waiting, ev.Resumed(pilot="p2"), UNTIL)[1]),
    )
    assert (case.state, then) == (State.ARCHIVING, [do.Tell(), do.StoreLog()])
    report = final_report(case, SENDER)
    assert (report.status, report.pilot_error_code) == (JobStatus.FAILED, 1137)
    assert "window closed on 2027-01-15 08:16 UTC" in str(report.pilot_error_diag)


def test_a_log_that_left_early_is_the_log() -> None:
    """It is not stored twice; one that could not leave then leaves at the end."""
    out = ev.OutputStored(file=stored("out0.root"), seconds=1.0, reason="r")
    case, then = walk(held(), ev.LogStored(file=stored("log.tgz")), ev.BreakOver(), out, ev.OutputsStored())
    assert (case.state, then) == (State.CLOSING, [do.Report()])
    assert final_report(case, SENDER).outputs[-1] == stored("log.tgz")
    case, _ = walk(held(), ev.LogFailed(fault=DOWN), ev.BreakOver(), out, ev.OutputsStored())
    assert (case.state, case.failed) == (State.ARCHIVING, False)


def test_a_log_that_is_still_leaving_when_the_break_is_over() -> None:
    """A slow storage takes it while the outputs are tried again; it is the log all the same."""
    out = ev.OutputStored(file=stored("out0.root"), seconds=1.0, reason="r")
    case, then = walk(held(), ev.BreakOver(), ev.LogStored(file=stored("log.tgz")), out, ev.OutputsStored())
    assert (case.state, then) == (State.CLOSING, [do.Report()])
    case, _ = walk(held(), ev.BreakOver(), ev.LogFailed(fault=DOWN), out, ev.OutputsStored())
    assert (case.state, case.failed) == (State.ARCHIVING, False)


def test_the_log_of_a_good_job_may_wait_too() -> None:
    """Without it the server would fail the job; the outputs are not stored again."""
    out = ev.OutputStored(file=stored("out0.root"), seconds=1.0, reason="r")
    case, then = walk(out, ev.OutputsStored(), held())
    assert (case.state, then) == (State.HOLDING, [do.Tell(), do.LastWord()])
    case, then = walk(out, ev.OutputsStored(), held(), ev.Resumed(pilot="p2"))
    assert (case.state, then) == (State.ARCHIVING, [do.Tell(), do.StoreLog()])


def test_the_servers_kill_ends_the_wait() -> None:
    """Nobody wants the outputs any more; other stops leave them to a later pilot."""
    killed = stop(StopKind.SERVER_KILL)
    case, then = walk(held(again_at=START + 500), killed)
    assert (case.state, then[0]) == (State.ARCHIVING, do.CancelWork())
    assert final_report(case, SENDER).pilot_error_code == 1144
    case, then = walk(held(), stop())
    assert (case.state, then, case.waiting) == (State.HOLDING, [], True)
    case, _ = walk(ev.Suspended(reason="r"), killed, ev.Resumed(pilot="p2"))
    assert (case.state, case.failed) == (State.ARCHIVING, True)


def test_where_an_output_was_tried_is_remembered_until_it_is_cleared() -> None:
    """A later pilot knows where copies may stand."""
    a, b = FilePlace("file:///a/out0.root", "A"), FilePlace("file:///b/out0.root", "B")
    diverted = ev.OutputDiverted(lfn="out0.root", to=b, left=(a,))
    elsewhere = msgspec.structs.replace(stored("out0.root"), surl=b.surl, endpoint="B", alternative=True)
    out = ev.OutputStored(file=elsewhere, seconds=1.0, reason="r")
    case, then = walk(diverted, diverted, out)
    assert (case.touched, then) == ({"out0.root": (a, b)}, [])
    assert final_report(case, SENDER).metrics == {
        "filesNormalStageOut": "0",
        "filesAltStageOut": "1",
        "altTransferred": "1",
    }
    cleared = ev.OutputPlaceCleared(lfn="out0.root", surl=a.surl, says="holds no copy")
    case, _ = walk(diverted, out, cleared)
    assert case.touched == {"out0.root": (b,)}


def test_a_pilot_waits_for_its_own_and_takes_jobs_meanwhile() -> None:
    """Cores are free during a break; it does not leave before, and no further job keeps it from leaving after."""
    now = Situation(
        now=100.0,
        no_job_after=None,
        jobs_taken=1,
        jobs_limit=0,
        jobs_active=0,
        jobs_at_once=1,
        jobs_waiting=1,
        draining=None,
        dry_for_s=None,
        trouble_for_s=None,
        next_ask=0.0,
        queue_patience_s=60.0,
        server_patience_s=60.0,
    )
    assert decide(now) == Ask()
    limited = msgspec.structs.replace(now, jobs_limit=1)
    assert decide(limited) == WaitUntil(None)
    assert decide(msgspec.structs.replace(limited, jobs_waiting=0)) == Leave(Leaving.JOB_LIMIT)


def test_a_job_without_a_log_waits_as_well() -> None:
    """There is only less to do."""
    case: Case | None = None
    for second, event in enumerate([*good_story(a_job(0, 1, log=False))[:6], held()]):
        case, then = step(case, event, START + second)
    assert then == (do.Tell(), do.LastWord())
