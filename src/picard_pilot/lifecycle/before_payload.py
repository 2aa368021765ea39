"""Rows of the transition table: RECEIVED, SETTING_UP and STAGING_IN, before there is a payload.

Pure. What each state asks for is `moves.entry`.
"""

import msgspec

from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.moves import Rows, Step, close, could_not, enter, entry, finish_up, stay
from picard_pilot.model import events as ev
from picard_pilot.model import instructions as do
from picard_pilot.model.states import State


def received(event: ev.JobReceived, at: float) -> Step:
    """The first event of every job, which has no case before."""
    case = Case(
        job=event.job,
        queue=event.queue,
        state=State.RECEIVED,
        since=at,
        received_at=at,
        entered={State.RECEIVED: at},
    )
    if event.refusal is not None:
        return close(msgspec.structs.replace(case, faults=(event.refusal,)), at)
    return case, entry(case)


def _admitted(case: Case, event: ev.Admitted, at: float) -> Step:
    return enter(case, State.SETTING_UP, at)


def _prepared(case: Case, event: ev.Prepared, at: float) -> Step:
    if case.job.inputs:
        return enter(case, State.STAGING_IN, at)
    return enter(case, State.LAUNCHING, at)


def _input_staged(case: Case, event: ev.InputStaged, at: float) -> Step:
    staged = {**case.staged, event.lfn: event}
    return stay(case, staged=staged, spared=case.spared + event.spared)


def _inputs_ready(case: Case, event: ev.InputsReady, at: float) -> Step:
    return enter(case, State.LAUNCHING, at)


def _stage_in_failed(case: Case, event: ev.StageInFailed, at: float) -> Step:
    return finish_up(case, at, event.faults)


def _stop_before_payload(case: Case, event: ev.StopRequested, at: float) -> Step:
    stopped = msgspec.structs.replace(case, stop=event.stop)
    closing, then = finish_up(stopped, at, (event.stop.fault,))
    return closing, (do.CancelWork(), *then)


ROWS: Rows = {
    (State.RECEIVED, ev.Admitted): _admitted,
    (State.RECEIVED, ev.Refused): could_not,
    (State.RECEIVED, ev.StopRequested): _stop_before_payload,
    (State.SETTING_UP, ev.Prepared): _prepared,
    (State.SETTING_UP, ev.SetupFailed): could_not,
    (State.SETTING_UP, ev.StopRequested): _stop_before_payload,
    (State.STAGING_IN, ev.InputStaged): _input_staged,
    (State.STAGING_IN, ev.InputsReady): _inputs_ready,
    (State.STAGING_IN, ev.StageInFailed): _stage_in_failed,
    (State.STAGING_IN, ev.StopRequested): _stop_before_payload,
}
