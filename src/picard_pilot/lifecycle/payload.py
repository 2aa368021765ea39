"""Rows of the transition table: LAUNCHING, RUNNING and STOPPING, while there is a payload.

Pure. How a payload is started and ended is the room of that name.
"""

import msgspec

from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.moves import Rows, Step, could_not, enter, entry, move, one_stop
from picard_pilot.model import events as ev
from picard_pilot.model import instructions as do
from picard_pilot.model.states import HAS_PAYLOAD, State


def _started(case: Case, event: ev.PayloadStarted, at: float) -> Step:
    return enter(case, State.RUNNING, at, payload=event)


def _started_while_stopping(case: Case, event: ev.PayloadStarted, at: float) -> Step:
    noted = msgspec.structs.replace(case, payload=event)
    return noted, entry(noted)


def _stop_launching(case: Case, event: ev.StopRequested, at: float) -> Step:
    # The launch is under way and cannot be taken back; its end arrives as PayloadStarted or LaunchFailed.
    return move(case, State.STOPPING, at, stop=event.stop), ()


def _stop_running(case: Case, event: ev.StopRequested, at: float) -> Step:
    moved = move(case, State.STOPPING, at, stop=event.stop)
    return moved, (do.Tell(), do.StopPayload(grace_s=event.stop.grace_s))


def _stop_again(case: Case, event: ev.StopRequested, at: float) -> Step:
    """A second request can shorten the grace, never lengthen it."""
    stop = one_stop(case.stop, event.stop)
    return msgspec.structs.replace(case, stop=stop), (do.StopPayload(grace_s=stop.grace_s),)


def _exited(case: Case, event: ev.PayloadExited, at: float) -> Step:
    if case.disowned:
        return _gone(msgspec.structs.replace(case, exit=event.exit), at)
    then = enter(case, State.DIAGNOSING, at, exit=event.exit)
    return (_with_orphaned_time(then[0], event.exit.wall_s), then[1]) if case.resumed else then


def _with_orphaned_time(case: Case, wall_s: float) -> Case:
    """A payload that outlived its pilot used the node in the meantime too: its launcher knows for how long."""
    watched_s = sum(case.spent.get(state, 0.0) for state in HAS_PAYLOAD)
    if wall_s <= watched_s:
        return case
    running_s = case.spent.get(State.RUNNING, 0.0) + wall_s - watched_s
    return msgspec.structs.replace(case, spent={**case.spent, State.RUNNING: running_s})


def _lost(case: Case, event: ev.PayloadLost, at: float) -> Step:
    if case.disowned:
        return _gone(case, at)
    return enter(case, State.DIAGNOSING, at, faults=(*case.faults, event.fault))


def _gone(case: Case, at: float) -> Step:
    """The payload of a job that is not ours any more has ended: there is nothing to diagnose, store or tell."""
    assert case.stop is not None
    return enter(case, State.FAILED, at, ended_at=at, faults=(*case.faults, case.stop.fault))


ROWS: Rows = {
    (State.LAUNCHING, ev.PayloadStarted): _started,
    (State.LAUNCHING, ev.LaunchFailed): could_not,
    (State.LAUNCHING, ev.StopRequested): _stop_launching,
    (State.RUNNING, ev.PayloadExited): _exited,
    (State.RUNNING, ev.PayloadLost): _lost,
    (State.RUNNING, ev.StopRequested): _stop_running,
    (State.STOPPING, ev.PayloadStarted): _started_while_stopping,
    (State.STOPPING, ev.LaunchFailed): could_not,
    (State.STOPPING, ev.PayloadExited): _exited,
    (State.STOPPING, ev.PayloadLost): _lost,
    (State.STOPPING, ev.StopRequested): _stop_again,
}
