"""Rows of the transition table: DIAGNOSING, STAGING_OUT and ARCHIVING, where a payload's results become the job's.

Pure. How long outputs may wait is `holding`.
"""

import msgspec

from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.moves import Handler, Rows, Step, close, enter, finish_up, ignore, one_stop, stay
from picard_pilot.model import events as ev
from picard_pilot.model import instructions as do
from picard_pilot.model.files import FilePlace
from picard_pilot.model.states import State


def _diagnosed(case: Case, event: ev.Diagnosed, at: float) -> Step:
    # Who stopped the payload is the cause; what the payload then did is the symptom.
    stopped = (case.stop.fault,) if case.stop is not None and _stop_counts(case) else ()
    case = msgspec.structs.replace(case, outcome=event.outcome, faults=stopped + case.faults + event.faults)
    if not case.job.outputs or case.unwanted or (case.faults and not event.keep_outputs):
        return finish_up(case, at)
    return enter(case, State.STAGING_OUT, at)


def _stop_counts(case: Case) -> bool:
    """A stop decides the verdict when the server wants the job dead, or when the payload did not end well.

    A payload that had already ended well, or that ended well within its grace, did its work: the slot's end
    does not take that away.
    """
    if case.stop is None or case.unwanted:
        return case.stop is not None
    return case.exit is None or case.exit.exit_code != 0


def _output_stored(case: Case, event: ev.OutputStored, at: float) -> Step:
    file = event.file
    spared = case.spared + event.spared
    if case.job.log is not None and file.lfn == case.job.log.lfn:
        # Its other places are about to be cleared, and LogStored comes after that.
        return stay(
            case, spared=spared, settled={**case.settled, file.lfn: FilePlace(file.surl, file.endpoint)}
        )
    return stay(case, spared=spared, stored={**case.stored, file.lfn: file})


def _output_diverted(case: Case, event: ev.OutputDiverted, at: float) -> Step:
    known = case.touched.get(event.lfn, ())
    places = tuple(dict.fromkeys((*known, *event.left, event.to)))
    return stay(case, touched={**case.touched, event.lfn: places})


def _output_registering(case: Case, event: ev.OutputRegistering, at: float) -> Step:
    return stay(case, settled={**case.settled, event.lfn: event.at})


def _output_place_cleared(case: Case, event: ev.OutputPlaceCleared, at: float) -> Step:
    left = tuple(place for place in case.touched.get(event.lfn, ()) if place.surl != event.surl)
    return stay(case, touched={**case.touched, event.lfn: left})


def _outputs_held(case: Case, event: ev.OutputsHeld, at: float) -> Step:
    since = at if case.held_since is None else case.held_since
    return enter(case, State.HOLDING, at, held=event, held_since=since, suspended_from=case.state)


def _outputs_stored(case: Case, event: ev.OutputsStored, at: float) -> Step:
    return finish_up(case, at)


def _stage_out_failed(case: Case, event: ev.StageOutFailed, at: float) -> Step:
    return finish_up(case, at, event.faults)


def stop_storing(case: Case, event: ev.StopRequested, at: float) -> Step:
    """Only the server's kill ends a stage-out: for any other reason the results are worth keeping."""
    stopped = msgspec.structs.replace(case, stop=one_stop(case.stop, event.stop))
    if not stopped.unwanted:
        return stopped, ()
    closing, then = finish_up(stopped, at, (event.stop.fault,))
    return closing, (do.CancelWork(), *then)


def stop_late(case: Case, event: ev.StopRequested, at: float) -> Step:
    """There is nothing left that a stop could end; it is only noted."""
    return stay(case, stop=one_stop(case.stop, event.stop))


def _log_stored(case: Case, event: ev.LogStored, at: float) -> Step:
    return close(case, at, log=event.file)


def _log_failed(case: Case, event: ev.LogFailed, at: float) -> Step:
    return close(case, at, faults=(*case.faults, event.fault))


def log_stored_early(case: Case, event: ev.LogStored, at: float) -> Step:
    """The log of a job whose outputs wait, or waited when it left: this archive counts, it is never stored again."""
    return stay(case, log=event.file)


ABOUT_PLACES: dict[type[ev.Event], Handler] = {
    ev.OutputStored: _output_stored,
    ev.OutputDiverted: _output_diverted,
    ev.OutputRegistering: _output_registering,
    ev.OutputPlaceCleared: _output_place_cleared,
}
"""The log has places as well, also while the outputs wait."""

ROWS: Rows = {
    (State.DIAGNOSING, ev.Diagnosed): _diagnosed,
    (State.DIAGNOSING, ev.StopRequested): stop_late,
    (State.STAGING_OUT, ev.OutputsStored): _outputs_stored,
    (State.STAGING_OUT, ev.OutputsHeld): _outputs_held,
    (State.STAGING_OUT, ev.StageOutFailed): _stage_out_failed,
    (State.STAGING_OUT, ev.LogStored): log_stored_early,
    (State.STAGING_OUT, ev.LogFailed): ignore,
    (State.STAGING_OUT, ev.StopRequested): stop_storing,
    (State.ARCHIVING, ev.LogStored): _log_stored,
    (State.ARCHIVING, ev.LogFailed): _log_failed,
    (State.ARCHIVING, ev.OutputsHeld): _outputs_held,
    (State.ARCHIVING, ev.StopRequested): stop_late,
    **{
        (state, kind): handler
        for state in (State.STAGING_OUT, State.ARCHIVING)
        for kind, handler in ABOUT_PLACES.items()
    },
}
