"""The transition table: for each state and event, the function that says what becomes of the case.

Pure: no loop, no clock, no file. `step` is the only way in; the instructions that a state asks for again after
a restart are in `entry`. The rows stand beside the functions that they name, by phase: `before_payload`, `payload`,
`results`, `closing`. The picture is in ARCHITECTURE.md.
"""

import msgspec

from picard_pilot.lifecycle import before_payload, closing, payload, results
from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.causes import causes_first
from picard_pilot.lifecycle.moves import Rows, Step, entry
from picard_pilot.model import events as ev

__all__ = ["TABLE", "NoSuchTransition", "entry", "step"]

TABLE: Rows = {**before_payload.ROWS, **payload.ROWS, **results.ROWS, **closing.ROWS}


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
        return before_payload.received(event, at)
    handler = TABLE.get((case.state, type(event)))
    if handler is None:
        raise NoSuchTransition(case, event)
    moved, instructions = handler(case, event, at)
    if moved.faults != case.faults:
        moved = msgspec.structs.replace(moved, faults=causes_first(moved.faults))
    return moved, instructions
