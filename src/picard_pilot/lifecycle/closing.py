"""Rows of the transition table: CLOSING, HOLDING and the end, and what may come in any state: a pilot leaves, another
one takes the job up.

Pure. How long outputs may wait is `holding`.
"""

import msgspec

from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.holding import too_late
from picard_pilot.lifecycle.moves import Rows, Step, count, disown, enter, entry, finish_up, ignore, move
from picard_pilot.lifecycle.results import ABOUT_PLACES, log_stored_early, stop_late, stop_storing
from picard_pilot.model import events as ev
from picard_pilot.model import instructions as do
from picard_pilot.model.states import FINAL, State


def _stop_waiting(case: Case, event: ev.StopRequested, at: float) -> Step:
    """What waits on disk waits for a later pilot, unless the server does not want it any more."""
    if case.waiting:
        stopped, then = stop_storing(case, event, at)
        return msgspec.structs.replace(stopped, suspended_from=None) if then else stopped, then
    return stop_late(case, event, at)


def _break_over(case: Case, event: ev.BreakOver, at: float) -> Step:
    return enter(case, case.suspended_from or State.STAGING_OUT, at, suspended_from=None)


def _report_accepted(case: Case, event: ev.ReportAccepted, at: float) -> Step:
    final = State.FAILED if case.failed else State.FINISHED
    return enter(case, final, at, answer=event.answer)


def _suspended(case: Case, event: ev.Suspended, at: float) -> Step:
    left = {"suspended_because": event.reason, "left_at": event.where}
    moved = move(case, State.HOLDING, at, suspended_from=case.state, **left)
    return moved, (do.CancelWork(), do.Tell())


def _resumed_from_holding(case: Case, event: ev.Resumed, at: float) -> Step:
    waited, back = case.waiting, case.suspended_from or State.CLOSING
    again = msgspec.structs.replace(
        case, suspended_from=None, suspended_because=None, resumed=case.resumed + 1, crashes=0
    )
    if event.stop is not None:
        return disown(msgspec.structs.replace(again, state=back), at, event.stop)
    if back is State.STAGING_OUT and case.stop is not None and case.unwanted:
        return finish_up(again, at, (case.stop.fault,))
    if waited and case.held is not None and at >= case.held.until:
        return finish_up(again, at, too_late(case.held.faults, case.held.until))
    return enter(again, back, at)


def _resumed(case: Case, event: ev.Resumed, at: float) -> Step:
    # What lies between the last sign of the pilot before and this one's coming is nobody's time.
    last_seen = case.since if event.seen_alive_at is None else min(event.seen_alive_at, at)
    counted = count(case, last_seen)
    again = msgspec.structs.replace(
        counted, counted_from=at, resumed=case.resumed + 1, crashes=case.crashes + 1
    )
    if event.stop is not None and not case.over:
        return disown(again, at, event.stop)
    return again, entry(again)


ROWS: Rows = {
    (State.CLOSING, ev.ReportAccepted): _report_accepted,
    (State.CLOSING, ev.StopRequested): stop_late,
    (State.FINISHED, ev.StopRequested): ignore,
    (State.FAILED, ev.StopRequested): ignore,
    (State.HOLDING, ev.StopRequested): _stop_waiting,
    (State.HOLDING, ev.LogStored): log_stored_early,
    (State.HOLDING, ev.LogFailed): ignore,
    (State.HOLDING, ev.BreakOver): _break_over,
    (State.HOLDING, ev.Resumed): _resumed_from_holding,
    **{(State.HOLDING, kind): handler for kind, handler in ABOUT_PLACES.items()},
    **{(state, ev.Resumed): _resumed for state in State if state is not State.HOLDING},
    **{
        (state, ev.Suspended): _suspended
        for state in State
        if state not in FINAL and state is not State.HOLDING
    },
}
