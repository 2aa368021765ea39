"""HTCondor: the limits in the advertisements of job and machine, which lie beside the job.

HTCondor itself has no wall time limit by default; sites, computing elements and glideins each have their own attribute.
"""

from collections.abc import Mapping

import msgspec

from picard_pilot.model.slot import Found, SignalGrace, SlotEnd
from picard_pilot.watch.slot.words import LONGEST_S, moment, product, text_of

JOB_LIMITS: tuple[tuple[str, float, str], ...] = (
    ("AllowedExecuteDuration", 1.0, "JobCurrentStartExecutingDate"),
    ("AllowedJobDuration", 1.0, "JobCurrentStartDate"),
    ("MaxRuntime", 1.0, "JobCurrentStartDate"),
    ("BatchRuntime", 1.0, "JobCurrentStartDate"),
    ("maxWallTime", 60.0, "JobCurrentStartDate"),
    ("MaxWallTimeMins", 60.0, "JobCurrentStartDate"),
)
"""Attribute, its unit in seconds, and from when it counts: HTCondor's own submit commands (the job is held then), what
sites' submit files say, the HTCondor-CE, and what routers and CMS write in minutes."""

MACHINE_ENDS = ("GLIDEIN_ToDie", "GLIDEIN_ToRetire")
"""When a glidein ends, in seconds since 1970; when it takes no further job counts only where no end is given."""

_MOST_VACATE, _JOB_VACATE = "machinemaxvacatetime", "jobmaxvacatetime"
"""Between the signal and the kill."""

MAX_AD_BYTES = 1 << 20
"""An advertisement has some ten kilobytes."""


def look(environ: Mapping[str, str], began_at: float) -> Found:
    """`began_at` is when this slot began (UTC), for a job whose advertisement does not tell its start."""
    job, machine = _read(environ.get("_CONDOR_JOB_AD")), _read(environ.get("_CONDOR_MACHINE_AD"))
    return msgspec.structs.replace(_job(job, began_at, _machine(machine)), graces=_graces(job, machine))


def _graces(job: Mapping[str, str], machine: Mapping[str, str]) -> tuple[SignalGrace, ...]:
    """The machine says how long it waits after a SIGTERM; a job may want less, and may want another signal."""
    offered, wanted = (
        product(ad.get(name, "")) for ad, name in ((machine, _MOST_VACATE), (job, _JOB_VACATE))
    )
    if offered is None:
        return ()
    signal = job.get("killsig", "SIGTERM")
    seconds = offered if wanted is None else min(offered, wanted)
    evidence = f"MachineMaxVacateTime = {machine[_MOST_VACATE]} in the machine's advertisement"
    if seconds < offered:
        evidence = f"JobMaxVacateTime = {job[_JOB_VACATE]} in the job's advertisement"
    return (SignalGrace(signal=signal, seconds=seconds, evidence=evidence),)


def _job(ad: Mapping[str, str], began_at: float, found: Found) -> Found:
    ends, doubts = list(found.ends), list(found.doubts)
    for name, unit_s, since in JOB_LIMITS:
        text = ad.get(name.lower())
        if text is None or text.lower() == "undefined":
            continue
        value = product(text)
        if value is None:
            doubts.append(f"{name} in the job's advertisement is {text[:40]!r}, which is no number")
            continue
        limit_s = value * unit_s
        if not 0 < limit_s < LONGEST_S:
            continue
        began = moment(ad.get(since.lower(), "")) or moment(ad.get("jobcurrentstartdate", ""))
        start = began_at if began is None else began
        told = "the start of the session" if began is None else f"{since} ({start:.0f})"
        evidence = f"{name} = {text} in the job's advertisement, counted from {told}"
        ends.append(SlotEnd(at=start + limit_s, name=name, evidence=evidence))
    return Found(ends=tuple(ends), doubts=tuple(doubts))


def _machine(ad: Mapping[str, str]) -> Found:
    for name in MACHINE_ENDS:
        at = moment(ad.get(name.lower(), ""))
        if at is not None:
            evidence = f"{name} = {ad[name.lower()]} in the machine's advertisement"
            return Found(ends=(SlotEnd(at=at, name=name, evidence=evidence),))
    return Found()


def _read(path: str | None) -> dict[str, str]:
    """An advertisement's plain attributes by their names in lower case; nothing of one that cannot be read."""
    if not path:
        return {}
    try:
        lines = text_of(path, MAX_AD_BYTES).splitlines()
    except OSError:
        return {}
    words = (line.partition("=") for line in lines)
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in words}
