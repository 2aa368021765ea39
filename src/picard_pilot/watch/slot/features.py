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
    Place(
        "JOBFEATURES",
        ("shutdowntime_job", "wall_limit_secs", "jobstart_secs", "cpu_limit_secs", "allocated_cpu"),
    ),
)

MOST_CPU_S = 1000 * LONGEST_S
"""Longer limits mean none."""

CPU_WAVERS_S = 300.0
"""An end by CPU time comes later with each second in which a core waits."""


class Cpu(NamedTuple):
    """CPU time that this slot has spent until a moment (UTC), and the most cores that may spend it."""

    now: float
    spent_s: float
    cores: int


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


def understand(texts: Mapping[str, str], began_at: float, cpu: Cpu | None = None) -> Found:
    """What the keys say; `began_at` is when the slot began (UTC), for features that do not tell the job's start.

    A limit on CPU time is an end only where `cpu` is known: the moment at which it is spent if all cores work.
    """
    ends: list[SlotEnd] = []
    doubts: list[str] = []
    for key in ("shutdowntime", "shutdowntime_job"):
        text = texts.get(key, "").strip()
        at = moment(text)
        if at is not None:
            ends.append(SlotEnd(at=at, name=f"machine/job feature {key}", evidence=f"{key} = {text}"))
        elif text and number(text) != 0:
            doubts.extend(_doubt(key, text).doubts)
    for found in (_wall_limit(texts, began_at), _cpu_limit(texts, cpu)):
        ends.extend(found.ends)
        doubts.extend(found.doubts)
    return Found(ends=tuple(ends), doubts=tuple(doubts))


def _wall_limit(texts: Mapping[str, str], began_at: float) -> Found:
    limit = texts.get("wall_limit_secs", "").strip()
    limit_s = number(limit)
    if limit_s is not None and 0 < limit_s < LONGEST_S:
        began = moment(texts.get("jobstart_secs", ""))
        told = "the start of the session" if began is None else f"jobstart_secs = {began:.0f}"
        at = limit_s + (began_at if began is None else began)
        evidence = f"wall_limit_secs = {limit}, counted from {told}"
        return Found(ends=(SlotEnd(at=at, name="machine/job feature wall_limit_secs", evidence=evidence),))
    return _doubt("wall_limit_secs", limit) if limit and limit_s is None else Found()


def _cpu_limit(texts: Mapping[str, str], cpu: Cpu | None) -> Found:
    limit = texts.get("cpu_limit_secs", "").strip()
    limit_s = number(limit)
    if limit and limit_s is None:
        return _doubt("cpu_limit_secs", limit)
    if cpu is None or limit_s is None or not 0 < limit_s < MOST_CPU_S:
        return Found()
    cores = max(1.0, number(texts.get("allocated_cpu", "")) or cpu.cores)
    evidence = (
        f"cpu_limit_secs = {limit}, of which {cpu.spent_s:.0f} s were spent when this was computed; "
        f"{cores:g} cores spend the rest until then"
    )
    at = cpu.now + max(0.0, limit_s - cpu.spent_s) / cores
    name = "machine/job feature cpu_limit_secs"
    return Found(ends=(SlotEnd(at=at, name=name, evidence=evidence, wavers_s=CPU_WAVERS_S),))


def _doubt(key: str, text: str) -> Found:
    return Found(doubts=(f"the machine/job feature {key} is {text[:40]!r}, which is no time",))
