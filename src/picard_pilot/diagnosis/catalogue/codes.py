"""All rows of the catalogue, by number and by name; numbers and names are those in use on the wire since pilot 1.

Servers, monitors and batch wrappers understand them, so none is changed or used again. How evidence becomes one of
them is not here.
"""

from picard_pilot.diagnosis.catalogue import (
    containers,
    credentials,
    events,
    node,
    payload,
    settings,
    slot,
    software,
    stagein,
    stageout,
)
from picard_pilot.diagnosis.catalogue.row import Code

ROWS: tuple[Code, ...] = tuple(
    sorted(
        (
            *settings.ROWS,
            *credentials.ROWS,
            *node.ROWS,
            *stagein.ROWS,
            *stageout.ROWS,
            *payload.ROWS,
            *software.ROWS,
            *containers.ROWS,
            *slot.ROWS,
            *events.ROWS,
        )
    )
)
"""By number."""

BY_NAME: dict[str, Code] = {row.name: row for row in ROWS}
BY_NUMBER: dict[int, Code] = {row.number: row for row in ROWS}


def causes_of(name: str) -> tuple[str, ...]:
    """The names of all errors of which this one is a symptom, also over others in between.

    Raises KeyError for a name that is not in the catalogue.
    """
    found: dict[str, None] = {}
    waiting = list(BY_NAME[name].symptom_of)
    while waiting:
        cause = waiting.pop(0)
        if cause not in found:
            found[cause] = None
            waiting += BY_NAME[cause].symptom_of
    return tuple(found)
