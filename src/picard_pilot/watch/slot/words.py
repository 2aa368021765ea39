"""What the sources share: the ways in which batch systems write times and durations, and when our session began.

Which of them says what is in the files beside this one.
"""

import os
from pathlib import Path

from picard_pilot.model.slot import Found, SlotEnd
from picard_pilot.system import proc

YEAR_2001, YEAR_2286 = 1e9, 1e10
"""What is no number between these is no time in seconds since 1970."""

LONGEST_S = 10 * 365 * 86400.0
"""Longer limits mean none."""


def text_of(path: Path | str, most_bytes: int) -> str:
    """The beginning of a file, links followed; of a pipe nothing, since nobody is waited for. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        return file.read(most_bytes).decode("utf-8", "replace")


def number(text: str) -> float | None:
    """A plain number that is not negative; None for everything else."""
    text = text.strip()
    if not text.isascii() or not text.replace(".", "", 1).isdigit():
        return None
    return float(text)


def product(text: str) -> float | None:
    """A plain number or several with stars between them: HTCondor's own default of a time is `10 * 60`."""
    found = 1.0
    for factor in text.split("*"):
        value = number(factor)
        if value is None:
            return None
        found *= value
    return found


def moment(text: str) -> float | None:
    """Seconds since 1970; None for what cannot be one."""
    value = number(text)
    return value if value is not None and YEAR_2001 <= value <= YEAR_2286 else None


def duration_s(text: str) -> float | None:
    """Seconds of `[days-][hours:]minutes:seconds`, or of a plain number of seconds; None for everything else."""
    days, dash, rest = text.strip().rpartition("-")
    parts = [number(part) for part in rest.split(":")]
    if (dash and number(days) is None) or len(parts) > 3 or None in parts:
        return None
    total = (number(days) or 0.0) * 86400 if dash else 0.0
    for place, part in zip((1, 60, 3600), reversed(parts), strict=False):
        total += (part or 0.0) * place
    return total


def end_from_number(name: str, text: str) -> Found:
    """An end that is written as seconds since 1970 under a name; 0 means that there is none."""
    at = moment(text)
    if at is not None:
        return Found(ends=(SlotEnd(at=at, name=name, evidence=f"{name}={text.strip()}"),))
    if number(text) == 0:
        return Found()
    return Found(doubts=(f"{name} says {text[:40]!r}, which is no time",))


def session_began_at() -> float | None:
    """When the batch system started our session (UTC), as far as its leader is ours and still lives."""
    try:
        leader = os.getsid(0)
        if leader <= 0 or Path(f"/proc/{leader}").stat().st_uid != os.geteuid():
            return None
    except OSError:
        return None
    found = proc.identify(leader)
    return None if found is None else proc.started_at(found)
