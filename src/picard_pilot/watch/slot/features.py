"""Machine/job features (HSF-TN-2016-02): when the machine will be shut down, and how long the job may run.

Directories or URLs with a file per key. They may change while the job runs: a site announces a shutdown this way.
"""

from collections.abc import Mapping
from typing import NamedTuple

from picard_pilot.model.slot import Found, SlotEnd
from picard_pilot.watch.slot.words import LONGEST_S, moment, number, text_of

MAX_BYTES = 1000
"""A key's file holds one number."""


class Place(NamedTuple):
    """Where one group of keys is."""

    variable: str
    keys: tuple[str, ...]


PLACES = (
    Place("MACHINEFEATURES", ("shutdowntime",)),
    Place("JOBFEATURES", ("shutdowntime_job", "wall_limit_secs", "jobstart_secs")),
)


def wanted(environ: Mapping[str, str]) -> dict[str, str]:
    """The paths or URLs to read, by key; nothing where the site has no features."""
    return {
        key: f"{environ[place.variable].rstrip('/')}/{key}"
        for place in PLACES
        if environ.get(place.variable)
        for key in place.keys
    }


def read_file(path: str) -> str | None:
    """A key in a directory; None where there is none."""
    try:
        return text_of(path, MAX_BYTES)
    except OSError:
        return None


def understand(texts: Mapping[str, str], began_at: float) -> Found:
    """What the keys say; `began_at` is when the slot began (UTC), for features that do not tell the job's start."""
    ends, doubts = [], []
    for key in ("shutdowntime", "shutdowntime_job"):
        text = texts.get(key, "").strip()
        at = moment(text)
        if at is not None:
            ends.append(SlotEnd(at=at, name=f"machine/job feature {key}", evidence=f"{key} = {text}"))
        elif text and number(text) != 0:
            doubts.append(f"the machine/job feature {key} is {text[:40]!r}, which is no time")
    limit = texts.get("wall_limit_secs", "").strip()
    limit_s = number(limit)
    if limit_s is not None and 0 < limit_s < LONGEST_S:
        began = moment(texts.get("jobstart_secs", ""))
        told = "the start of the session" if began is None else f"jobstart_secs = {began:.0f}"
        at = limit_s + (began_at if began is None else began)
        evidence = f"wall_limit_secs = {limit}, counted from {told}"
        ends.append(SlotEnd(at=at, name="machine/job feature wall_limit_secs", evidence=evidence))
    elif limit and limit_s is None:
        doubts.append(f"the machine/job feature wall_limit_secs is {limit[:40]!r}, which is no time")
    return Found(ends=tuple(ends), doubts=tuple(doubts))
