"""The limits of a job as text in an update's `pilot_log`, told once, and read back.

A real server shows such a text to people as it is. How much of a limit is used comes with each heartbeat (`usage_now`).
"""

import math
from collections.abc import Iterable

from picard_pilot.model.usage import ToldLimit

HEAD = "limits of the job"
"""The line with which such a text begins."""

LIMIT_CHARACTERS = 1500
"""A dozen limits take 700; the notes of a stage may stand beside them."""

MOST_LIMITS = 20
"""More than there are measures."""

_SEPARATOR = " | "


def compose(limits: Iterable[ToldLimit]) -> str:
    """The text: a line for each limit, `memory | 8388608000 | bytes | queue | maxrss 4000 MB x 2`."""
    lines = [HEAD]
    left = LIMIT_CHARACTERS - len(HEAD)
    for limit in limits:
        fields = (limit.measure, f"{limit.value:.0f}", limit.unit, limit.origin, limit.detail)
        line = _SEPARATOR.join(" ".join(field.replace("|", "/").split()) or "-" for field in fields)
        left -= len(line) + 1
        if left >= 0:
            lines.append(line)
    return "\n".join(lines)


def limits_in(text: str) -> tuple[ToldLimit, ...]:
    """The limits that a `pilot_log` tells, also where another note stands before them; lines that are none are passed
    over."""
    lines = text.splitlines()
    if HEAD not in lines:
        return ()
    found = (_limit(line) for line in lines[lines.index(HEAD) + 1 :][:MOST_LIMITS])
    return tuple(limit for limit in found if limit is not None)


def _limit(line: str) -> ToldLimit | None:
    fields = line.split(_SEPARATOR, 4)
    if len(fields) != 5:
        return None
    measure, number, unit, origin, detail = fields
    try:
        value = float(number)
    except ValueError:
        return None
    if not (math.isfinite(value) and value > 0):
        return None
    return ToldLimit(measure=measure, value=value, unit=unit, origin=origin, detail=detail)
