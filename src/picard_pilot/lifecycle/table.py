"""The transition table: for each state and event, the function that says what becomes of the case.

Pure: no loop, no clock, no file. `step` is the only way in; the instructions that a state asks for again after
a restart are in `entry`. The picture is in ARCHITECTURE.md.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.holding import too_late
from picard_pilot.model import events as ev
from picard_pilot.model import instructions as do
from picard_pilot.model.fault import Fault
from picard_pilot.model.states import State
from picard_pilot.model.stop import Stop, StopKind

Step = tuple[Case, tuple[do.Instruction, ...]]
Handler = Callable[[Case, Any, float], Step]


class NoSuchTransition(Exception):
    """An event arrived in a state that has no row for it; carries both and the case."""

    def __init__(self, case: Case | None, event: ev.Event) -> None:
        """`case` is None when the very first event is not JobReceived."""
        where = "nothing" if case is None else f"job {case.job.job_id} in state {case.state}"
        super().__init__(f"{type(event).__name__} has no row for {where}")
        self.case = case
        self.event = event


def step(case: Case | None, event: ev.Event, at: float) -> Step:
    """The next case and what is to be done now. `at` is the event's time (seconds since 1970, UTC).

    Raises NoSuchTransition when the table has no row for this event in this state.
    """
    if case is None:
        if not isinstance(event, ev.JobReceived):
            raise NoSuchTransition(None, event)
        return _received(event, at)
    handler = TABLE.get((case.state, type(event)))
    if handler is None:
        raise NoSuchTransition(case, event)
    return handler(case, event, at)


def entry(case: Case) -> tuple[do.Instruction, ...]:
    """What the present state asks for, also after a crash: each of these is safe to repeat."""
    match case.state:
        case State.STOPPING:
            grace_s = case.stop.grace_s if case.stop else 0.0
            return (do.Watch(), do.StopPayload(grace_s=grace_s))
        case State.HOLDING if case.waiting:
            return _while_waiting(case)
        case state:
            return _ENTRY[state]


_ENTRY: dict[State, tuple[do.Instruction, ...]] = {
    State.RECEIVED: (do.Tell(), do.Admit()),
    State.SETTING_UP: (do.Tell(), do.Prepare()),
    State.STAGING_IN: (do.Tell(), do.StageIn()),
    State.LAUNCHING: (do.Launch(),),
    State.RUNNING: (do.Tell(), do.Watch()),
    State.DIAGNOSING: (do.Tell(), do.Diagnose()),
    State.STAGING_OUT: (do.StageOut(),),
    State.ARCHIVING: (do.Tell(), do.StoreLog()),
    State.CLOSING: (do.Report(),),
    State.FINISHED: (do.CleanUp(),),
    State.FAILED: (do.CleanUp(),),
    State.HOLDING: (),
}


def _while_waiting(case: Case) -> tuple[do.Instruction, ...]:
    """Outputs wait: the server hears it, the log leaves if it can, and this pilot may come back to them."""
    assert case.held is not None
    has_log = case.job.log is not None and case.log is None
    archive = (do.StoreLog(),) if has_log and case.suspended_from is State.STAGING_OUT else ()
    again = () if case.held.again_at is None else (do.AwaitBreak(until=case.held.again_at),)
    return (do.Tell(), do.LastWord(), *archive, *again)


def _move(case: Case, state: State, at: float, **changes: Any) -> Case:
    """The case in another state, with the time spent in the old one added up."""
    spent = dict(case.spent)
    spent[case.state] = spent.get(case.state, 0.0) + max(0.0, at - case.since)
    entered = case.entered if state in case.entered else {**case.entered, state: at}
    return msgspec.structs.replace(case, state=state, since=at, spent=spent, entered=entered, **changes)


def _enter(case: Case, state: State, at: float, **changes: Any) -> Step:
    moved = _move(case, state, at, **changes)
    return moved, entry(moved)


def _stay(case: Case, **changes: Any) -> Step:
    return (msgspec.structs.replace(case, **changes) if changes else case), ()


def _ignore(case: Case, event: ev.Event, at: float) -> Step:
    return case, ()


def _finish_up(case: Case, at: float, faults: tuple[Fault, ...] = ()) -> Step:
    """Nothing more to compute or store but the log: archive it if the job has one, then close."""
    case = msgspec.structs.replace(case, faults=case.faults + faults)
    if case.job.log is None or case.log is not None:
        return _close(case, at)
    return _enter(case, State.ARCHIVING, at)


def _close(case: Case, at: float, **changes: Any) -> Step:
    return _enter(case, State.CLOSING, at, ended_at=at, **changes)


# RECEIVED, SETTING_UP, STAGING_IN: before the payload


def _received(event: ev.JobReceived, at: float) -> Step:
    case = Case(
        job=event.job,
        queue=event.queue,
        state=State.RECEIVED,
        since=at,
        received_at=at,
        entered={State.RECEIVED: at},
    )
    if event.refusal is not None:
        return _close(msgspec.structs.replace(case, faults=(event.refusal,)), at)
    return case, entry(case)


def _admitted(case: Case, event: ev.Admitted, at: float) -> Step:
    return _enter(case, State.SETTING_UP, at)


def _prepared(case: Case, event: ev.Prepared, at: float) -> Step:
    if case.job.inputs:
        return _enter(case, State.STAGING_IN, at)
    return _enter(case, State.LAUNCHING, at)


def _input_staged(case: Case, event: ev.InputStaged, at: float) -> Step:
    return _stay(case, staged={**case.staged, event.lfn: event})


def _inputs_ready(case: Case, event: ev.InputsReady, at: float) -> Step:
    return _enter(case, State.LAUNCHING, at)


def _could_not(case: Case, event: ev.Refused | ev.SetupFailed | ev.LaunchFailed, at: float) -> Step:
    return _finish_up(case, at, (event.fault,))


def _stage_in_failed(case: Case, event: ev.StageInFailed, at: float) -> Step:
    return _finish_up(case, at, event.faults)


def _stop_before_payload(case: Case, event: ev.StopRequested, at: float) -> Step:
    stopped = msgspec.structs.replace(case, stop=event.stop)
    closing, then = _finish_up(stopped, at, (event.stop.fault,))
    return closing, (do.CancelWork(), *then)


# LAUNCHING, RUNNING, STOPPING: the payload


def _started(case: Case, event: ev.PayloadStarted, at: float) -> Step:
    return _enter(case, State.RUNNING, at, payload=event)


def _started_while_stopping(case: Case, event: ev.PayloadStarted, at: float) -> Step:
    noted = msgspec.structs.replace(case, payload=event)
    return noted, entry(noted)


def _stop_launching(case: Case, event: ev.StopRequested, at: float) -> Step:
    # The launch is under way and cannot be taken back; its end arrives as PayloadStarted or LaunchFailed.
    return _move(case, State.STOPPING, at, stop=event.stop), ()


def _stop_running(case: Case, event: ev.StopRequested, at: float) -> Step:
    moved = _move(case, State.STOPPING, at, stop=event.stop)
    return moved, (do.Tell(), do.StopPayload(grace_s=event.stop.grace_s))


def _stop_again(case: Case, event: ev.StopRequested, at: float) -> Step:
    """A second request can shorten the grace, never lengthen it."""
    stop = _cause(case.stop, event.stop)
    return msgspec.structs.replace(case, stop=stop), (do.StopPayload(grace_s=stop.grace_s),)


def _cause(first: Stop | None, second: Stop) -> Stop:
    """What two requests come to: the first cause stays, unless the server kills; the shorter grace counts."""
    if first is None:
        return second
    cause = second if second.kind is StopKind.SERVER_KILL else first
    return msgspec.structs.replace(cause, grace_s=min(first.grace_s, second.grace_s))


def _exited(case: Case, event: ev.PayloadExited, at: float) -> Step:
    return _enter(case, State.DIAGNOSING, at, exit=event.exit)


def _lost(case: Case, event: ev.PayloadLost, at: float) -> Step:
    return _enter(case, State.DIAGNOSING, at, faults=(*case.faults, event.fault))


# DIAGNOSING, STAGING_OUT, ARCHIVING: the results


def _diagnosed(case: Case, event: ev.Diagnosed, at: float) -> Step:
    # Who stopped the payload is the cause; what the payload then did is the symptom.
    stopped = (case.stop.fault,) if case.stop is not None and _stop_counts(case) else ()
    case = msgspec.structs.replace(case, outcome=event.outcome, faults=stopped + case.faults + event.faults)
    if not case.job.outputs or case.unwanted or (case.faults and not event.keep_outputs):
        return _finish_up(case, at)
    return _enter(case, State.STAGING_OUT, at)


def _stop_counts(case: Case) -> bool:
    """A stop decides the verdict when the server wants the job dead, or when the payload did not end well.

    A payload that had already ended well, or that ended well within its grace, did its work: the slot's end
    does not take that away.
    """
    if case.stop is None or case.unwanted:
        return case.stop is not None
    return case.exit is None or case.exit.exit_code != 0


def _output_stored(case: Case, event: ev.OutputStored, at: float) -> Step:
    return _stay(case, stored={**case.stored, event.file.lfn: event.file})


def _output_diverted(case: Case, event: ev.OutputDiverted, at: float) -> Step:
    known = case.touched.get(event.lfn, ())
    places = tuple(dict.fromkeys((*known, *event.left, event.to)))
    return _stay(case, touched={**case.touched, event.lfn: places})


def _output_registering(case: Case, event: ev.OutputRegistering, at: float) -> Step:
    return _stay(case, settled={**case.settled, event.lfn: event.at})


def _output_place_cleared(case: Case, event: ev.OutputPlaceCleared, at: float) -> Step:
    left = tuple(place for place in case.touched.get(event.lfn, ()) if place.surl != event.surl)
    return _stay(case, touched={**case.touched, event.lfn: left})


def _outputs_held(case: Case, event: ev.OutputsHeld, at: float) -> Step:
    since = at if case.held_since is None else case.held_since
    return _enter(case, State.HOLDING, at, held=event, held_since=since, suspended_from=case.state)


def _outputs_stored(case: Case, event: ev.OutputsStored, at: float) -> Step:
    return _finish_up(case, at)


def _stage_out_failed(case: Case, event: ev.StageOutFailed, at: float) -> Step:
    return _finish_up(case, at, event.faults)


def _stop_storing(case: Case, event: ev.StopRequested, at: float) -> Step:
    """Only the server's kill ends a stage-out: for any other reason the results are worth keeping."""
    stopped = msgspec.structs.replace(case, stop=_cause(case.stop, event.stop))
    if not stopped.unwanted:
        return stopped, ()
    closing, then = _finish_up(stopped, at, (event.stop.fault,))
    return closing, (do.CancelWork(), *then)


def _stop_late(case: Case, event: ev.StopRequested, at: float) -> Step:
    return _stay(case, stop=_cause(case.stop, event.stop))


def _log_stored(case: Case, event: ev.LogStored, at: float) -> Step:
    return _close(case, at, log=event.file)


def _log_failed(case: Case, event: ev.LogFailed, at: float) -> Step:
    return _close(case, at, faults=(*case.faults, event.fault))


# CLOSING, HOLDING and the end


def _log_stored_early(case: Case, event: ev.LogStored, at: float) -> Step:
    """The log of a job whose outputs wait, or waited when it left: this archive counts, it is never stored again."""
    return _stay(case, log=event.file)


def _stop_waiting(case: Case, event: ev.StopRequested, at: float) -> Step:
    """What waits on disk waits for a later pilot, unless the server does not want it any more."""
    if case.waiting:
        stopped, then = _stop_storing(case, event, at)
        return msgspec.structs.replace(stopped, suspended_from=None) if then else stopped, then
    return _stop_late(case, event, at)


def _break_over(case: Case, event: ev.BreakOver, at: float) -> Step:
    return _enter(case, case.suspended_from or State.STAGING_OUT, at, suspended_from=None)


def _report_accepted(case: Case, event: ev.ReportAccepted, at: float) -> Step:
    final = State.FAILED if case.failed else State.FINISHED
    return _enter(case, final, at, answer=event.answer)


def _suspended(case: Case, event: ev.Suspended, at: float) -> Step:
    moved = _move(case, State.HOLDING, at, suspended_from=case.state, suspended_because=event.reason)
    return moved, (do.CancelWork(), do.Tell())


def _resumed_from_holding(case: Case, event: ev.Resumed, at: float) -> Step:
    waited, back = case.waiting, case.suspended_from or State.CLOSING
    again = msgspec.structs.replace(
        case, suspended_from=None, suspended_because=None, resumed=case.resumed + 1
    )
    if back is State.STAGING_OUT and case.stop is not None and case.unwanted:
        return _finish_up(again, at, (case.stop.fault,))
    if waited and case.held is not None and at >= case.held.until:
        return _finish_up(again, at, too_late(case.held.faults, case.held.until))
    return _enter(again, back, at)


def _resumed(case: Case, event: ev.Resumed, at: float) -> Step:
    again = msgspec.structs.replace(case, resumed=case.resumed + 1)
    return again, entry(again)


_ABOUT_PLACES: dict[type[ev.Event], Handler] = {
    ev.OutputDiverted: _output_diverted,
    ev.OutputRegistering: _output_registering,
    ev.OutputPlaceCleared: _output_place_cleared,
}
"""The log has places as well, also while the outputs wait."""

TABLE: dict[tuple[State, type[ev.Event]], Handler] = {
    (State.RECEIVED, ev.Admitted): _admitted,
    (State.RECEIVED, ev.Refused): _could_not,
    (State.RECEIVED, ev.StopRequested): _stop_before_payload,
    (State.SETTING_UP, ev.Prepared): _prepared,
    (State.SETTING_UP, ev.SetupFailed): _could_not,
    (State.SETTING_UP, ev.StopRequested): _stop_before_payload,
    (State.STAGING_IN, ev.InputStaged): _input_staged,
    (State.STAGING_IN, ev.InputsReady): _inputs_ready,
    (State.STAGING_IN, ev.StageInFailed): _stage_in_failed,
    (State.STAGING_IN, ev.StopRequested): _stop_before_payload,
    (State.LAUNCHING, ev.PayloadStarted): _started,
    (State.LAUNCHING, ev.LaunchFailed): _could_not,
    (State.LAUNCHING, ev.StopRequested): _stop_launching,
    (State.RUNNING, ev.PayloadExited): _exited,
    (State.RUNNING, ev.PayloadLost): _lost,
    (State.RUNNING, ev.StopRequested): _stop_running,
    (State.STOPPING, ev.PayloadStarted): _started_while_stopping,
    (State.STOPPING, ev.LaunchFailed): _could_not,
    (State.STOPPING, ev.PayloadExited): _exited,
    (State.STOPPING, ev.PayloadLost): _lost,
    (State.STOPPING, ev.StopRequested): _stop_again,
    (State.DIAGNOSING, ev.Diagnosed): _diagnosed,
    (State.DIAGNOSING, ev.StopRequested): _stop_late,
    (State.STAGING_OUT, ev.OutputStored): _output_stored,
    (State.STAGING_OUT, ev.OutputsStored): _outputs_stored,
    (State.STAGING_OUT, ev.OutputsHeld): _outputs_held,
    (State.STAGING_OUT, ev.StageOutFailed): _stage_out_failed,
    (State.STAGING_OUT, ev.LogStored): _log_stored_early,
    (State.STAGING_OUT, ev.LogFailed): _ignore,
    (State.STAGING_OUT, ev.StopRequested): _stop_storing,
    (State.ARCHIVING, ev.LogStored): _log_stored,
    (State.ARCHIVING, ev.LogFailed): _log_failed,
    (State.ARCHIVING, ev.OutputsHeld): _outputs_held,
    (State.ARCHIVING, ev.StopRequested): _stop_late,
    (State.CLOSING, ev.ReportAccepted): _report_accepted,
    (State.CLOSING, ev.StopRequested): _stop_late,
    (State.FINISHED, ev.StopRequested): _ignore,
    (State.FAILED, ev.StopRequested): _ignore,
    (State.HOLDING, ev.StopRequested): _stop_waiting,
    (State.HOLDING, ev.LogStored): _log_stored_early,
    (State.HOLDING, ev.LogFailed): _ignore,
    (State.HOLDING, ev.BreakOver): _break_over,
    (State.HOLDING, ev.Resumed): _resumed_from_holding,
    **{
        (state, kind): handler
        for state in (State.STAGING_OUT, State.ARCHIVING, State.HOLDING)
        for kind, handler in _ABOUT_PLACES.items()
    },
    **{(state, ev.Resumed): _resumed for state in State if state is not State.HOLDING},
    **{
        (state, ev.Suspended): _suspended
        for state in State
        if state not in {State.HOLDING, State.FINISHED, State.FAILED}
    },
}
