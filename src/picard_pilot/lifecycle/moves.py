"""What the transition table's rows are made of: entering a state, staying in it, closing; what each state asks for.

Pure. Which event leads to which of these is in the rows: `before_payload`, `payload`, `results`, `closing`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from picard_pilot.lifecycle.case import Case
from picard_pilot.model import events as ev
from picard_pilot.model import instructions as do
from picard_pilot.model.fault import Fault
from picard_pilot.model.states import HAS_PAYLOAD, State
from picard_pilot.model.stop import Stop, StopKind

Step = tuple[Case, tuple[do.Instruction, ...]]
Handler = Callable[[Case, Any, float], Step]
Rows = Mapping[tuple[State, type[ev.Event]], Handler]


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


def move(case: Case, state: State, at: float, **changes: Any) -> Case:
    """The case in another state, with the time spent in the old one added up."""
    case = count(case, at)
    entered = case.entered if state in case.entered else {**case.entered, state: at}
    return msgspec.structs.replace(case, state=state, since=at, counted_from=None, entered=entered, **changes)


def count(case: Case, until: float) -> Case:
    """The case with the present state's time up to `until` in `spent`."""
    begun = case.since if case.counted_from is None else case.counted_from
    spent = dict(case.spent)
    spent[case.state] = spent.get(case.state, 0.0) + max(0.0, until - begun)
    return msgspec.structs.replace(case, spent=spent, counted_from=max(begun, until))


def enter(case: Case, state: State, at: float, **changes: Any) -> Step:
    """Into another state, with what it asks for."""
    moved = move(case, state, at, **changes)
    return moved, entry(moved)


def stay(case: Case, **changes: Any) -> Step:
    """The same state, with more known; nothing new is to be done."""
    return (msgspec.structs.replace(case, **changes) if changes else case), ()


def ignore(case: Case, event: ev.Event, at: float) -> Step:
    """The event may come here, and changes nothing."""
    return case, ()


def finish_up(case: Case, at: float, faults: tuple[Fault, ...] = ()) -> Step:
    """Nothing more to compute or store but the log: archive it if the job has one, then close."""
    case = msgspec.structs.replace(case, faults=case.faults + faults)
    if case.job.log is None or case.log is not None:
        return close(case, at)
    return enter(case, State.ARCHIVING, at)


def close(case: Case, at: float, **changes: Any) -> Step:
    """Nothing is left to do but to tell the server."""
    return enter(case, State.CLOSING, at, ended_at=at, **changes)


def disown(case: Case, at: float, stop: Stop) -> Step:
    """Nothing of the job is wanted: end its payload if there may be one, remove the rest."""
    case = msgspec.structs.replace(case, stop=stop, suspended_from=None, suspended_because=None)
    if case.state in HAS_PAYLOAD:
        return enter(case, State.STOPPING, at)
    return enter(case, State.FAILED, at, ended_at=at, faults=(*case.faults, stop.fault))


def could_not(case: Case, event: ev.Refused | ev.SetupFailed | ev.LaunchFailed, at: float) -> Step:
    """Refused, or failed before there was a payload: its fault is the verdict."""
    return finish_up(case, at, (event.fault,))


def one_stop(first: Stop | None, second: Stop) -> Stop:
    """What two requests come to: the first cause stays, unless the server kills; the shorter grace counts."""
    if first is None:
        return second
    if first.kind is StopKind.DISOWNED:
        return first
    cause = second if second.kind is StopKind.SERVER_KILL else first
    return msgspec.structs.replace(cause, grace_s=min(first.grace_s, second.grace_s))
