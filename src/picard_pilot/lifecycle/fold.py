"""From events to a case: what the pilot knows about a job is this fold and nothing else.

Reading the events from disk is `journal`.
"""

from collections.abc import Iterable

from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.table import step
from picard_pilot.model.events import Event


def fold(events: Iterable[tuple[Event, float]]) -> Case | None:
    """The case after all `events` (event, seconds since 1970); None when there are none.

    Raises NoSuchTransition when the events do not tell a possible story.
    """
    case: Case | None = None
    for event, at in events:
        case, _ = step(case, event, at)
    return case
