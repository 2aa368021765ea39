"""Invariants of the lifecycle machine under random orders of events."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from lifecycle_story import BAD_EXIT, STAGED, START, STARTED, a_job, exited, good_story, stop, stored

from picard_pilot.diagnosis.faults import fault
from picard_pilot.lifecycle import before_payload, closing, payload, results
from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.report import Sender, final_report, update
from picard_pilot.lifecycle.table import TABLE, NoSuchTransition, entry, step
from picard_pilot.model import events as ev
from picard_pilot.model import instructions as do
from picard_pilot.model.events import Event
from picard_pilot.model.files import FilePlace
from picard_pilot.model.states import FINAL, State
from picard_pilot.model.stop import StopKind

BROKEN = fault("STAGEINFAILED", "no", rule="test")
ANYTHING: list[Event] = [
    ev.Resumed(pilot="p2"),
    ev.Admitted(),
    ev.Refused(fault=BROKEN),
    ev.Prepared(),
    ev.SetupFailed(fault=BROKEN),
    *STAGED,
    ev.InputsReady(),
    ev.StageInFailed(faults=(BROKEN,)),
    STARTED,
    ev.LaunchFailed(fault=BROKEN),
    exited(0),
    exited(7),
    exited(None, 9),
    ev.PayloadLost(fault=BROKEN),
    *(stop(kind, grace_s) for kind in StopKind for grace_s in (0.0, 5.0)),
    ev.Diagnosed(),
    ev.Diagnosed(faults=(BAD_EXIT,)),
    ev.OutputStored(file=stored("out0.root"), seconds=1.0, reason="r"),
    ev.OutputDiverted(lfn="out0.root", to=FilePlace("b", "B"), left=(FilePlace("a", "A"),)),
    ev.OutputRegistering(lfn="out0.root", at=FilePlace("b", "B")),
    ev.OutputPlaceCleared(lfn="out0.root", surl="a", says="holds no copy"),
    ev.OutputsStored(),
    *(
        ev.OutputsHeld(faults=(BROKEN,), where="w", until=START + 1000, again_at=again_at)
        for again_at in (None, START + 10)
    ),
    ev.BreakOver(),
    ev.StageOutFailed(faults=(BROKEN,)),
    ev.LogStored(file=stored("log.tgz")),
    ev.LogFailed(fault=BROKEN),
    ev.ReportAccepted(answer="0"),
    ev.Suspended(reason="r"),
]
ENDS_WORK = {
    State.RECEIVED: do.Admit,
    State.SETTING_UP: do.Prepare,
    State.STAGING_IN: do.StageIn,
    State.LAUNCHING: do.Launch,
    State.RUNNING: do.Watch,
    State.DIAGNOSING: do.Diagnose,
    State.STAGING_OUT: do.StageOut,
    State.ARCHIVING: do.StoreLog,
    State.CLOSING: do.Report,
    State.FINISHED: do.CleanUp,
    State.FAILED: do.CleanUp,
}
"""The instruction without which a job would rest in a state for ever."""


def check_step(before: Case | None, event: Event, after: Case, then: tuple[do.Instruction, ...]) -> None:
    """What must hold after every step, whatever happened."""
    if before is not None:
        assert after.job == before.job
        assert before.exit is None or after.exit == before.exit, "the payload's record is never overwritten"
        assert set(before.stored.items()) >= set() and before.stored.keys() <= after.stored.keys()
        assert before.state not in FINAL or after.state is before.state, "nothing leaves a final state"
        assert all(fault in after.faults for fault in before.faults), "no fault is forgotten"
    if before is None or (after.state is not before.state and after.state in ENDS_WORK):
        assert any(isinstance(one, ENDS_WORK[after.state]) for one in then), "every state is worked on"
    if after.state in FINAL:
        assert after.answer is not None, "final only when the server has the report"
        assert (after.state is State.FAILED) == after.failed
    if any(isinstance(one, do.Launch) for one in then):
        assert after.exit is None, "a payload that ended is never started again"
        assert after.state is State.LAUNCHING
    if after.state is State.CLOSING:
        assert after.ended_at is not None
    assert after.unwanted is False or not any(isinstance(one, do.StageOut) for one in then)
    final_report(after, Sender(site_name="T", node="n"))
    update(after, Sender(site_name="T", node="n"))


@settings(max_examples=400, deadline=None)
@given(
    events=st.lists(st.sampled_from(ANYTHING), max_size=40),
    files=st.tuples(st.integers(0, 2), st.integers(0, 1), st.booleans()),
    pauses=st.lists(st.floats(-5, 5000), min_size=41, max_size=41),
)
def test_no_order_of_events_breaks_the_machine(
    events: list[Event], files: tuple[int, int, bool], pauses: list[float]
) -> None:
    """Impossible events are refused and change nothing; all others keep the invariants; clocks may jump back."""
    at = START
    received = ev.JobReceived(job=a_job(*files), queue="T")
    case, then = step(None, received, at)
    check_step(None, received, case, then)
    for event, pause in zip(events, pauses, strict=False):
        at += pause
        try:
            after, then = step(case, event, at)
        except NoSuchTransition:
            continue
        check_step(case, event, after, then)
        assert all(seconds >= 0 for seconds in after.spent.values())
        case = after


@settings(max_examples=200, deadline=None)
@given(
    noise=st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from([ANYTHING[0], *map(stop, StopKind)])), max_size=6
    ),
    bad=st.booleans(),
)
def test_every_job_reaches_its_end_whatever_interrupts_it(noise: list[tuple[int, Event]], bad: bool) -> None:
    """Doing what the machine asks for, with restarts and stops thrown in anywhere, always ends the job."""
    answers: dict[type[do.Instruction], list[Event]] = {
        do.Admit: [ev.Admitted()],
        do.Prepare: [ev.Prepared()],
        do.StageIn: [*STAGED, ev.InputsReady()],
        do.Launch: [STARTED],
        do.Watch: [exited(7 if bad else 0)],
        do.Diagnose: [ev.Diagnosed(faults=(BAD_EXIT,) if bad else ())],
        do.StageOut: [ev.OutputStored(file=stored("out0.root"), seconds=1.0, reason="r"), ev.OutputsStored()],
        do.StoreLog: [ev.LogStored(file=stored("log.tgz"))],
        do.Report: [ev.ReportAccepted(answer="0")],
    }
    case, then = step(None, ev.JobReceived(job=a_job(), queue="T"), START)
    launches = 0
    todo = list(then)
    for count in range(200):
        for when, event in noise:
            if when == count and (case.state, type(event)) in TABLE:
                case, more = step(case, event, START + count)
                todo = list(more) if any(isinstance(one, do.CancelWork) for one in more) else [*todo, *more]
        if case.over:
            break
        if not todo:
            todo = list(entry(case))
        instruction = todo.pop(0)
        launches += isinstance(instruction, do.Launch) and case.payload is None
        for event in answers.get(type(instruction), []):
            if (case.state, type(event)) in TABLE:
                case, more = step(case, event, START + count)
                todo += more
    assert case.over
    assert launches <= 1 + len(noise)
    assert case.failed or not bad


def test_every_state_can_be_left_and_every_event_is_used() -> None:
    """The table has no dead end but the two final states, and no event without a row."""
    assert {state for state, _ in TABLE} == set(State)
    used = {kind for _, kind in TABLE}
    assert used == {kind for kind in ev.Event.__subclasses__() if kind is not ev.JobReceived}
    story_states = set()
    case: Case | None = None
    for event in good_story():
        case, _ = step(case, event, START)
        story_states.add(case.state)
    assert State.FINISHED in story_states


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([*ANYTHING, *good_story()]))
def test_every_event_survives_being_written_and_read(event: Event) -> None:
    """JSON and back gives the same event."""
    again = msgspec.json.decode(msgspec.json.encode(event), type=ev.AnyEvent)
    assert again == event


def test_no_two_phases_have_a_row_for_the_same_event() -> None:
    """The later of two would take the place of the other without a word."""
    phases = (before_payload, payload, results, closing)
    rows = [row for phase in phases for row in phase.ROWS]
    assert len(rows) == len(set(rows)) == len(TABLE)
