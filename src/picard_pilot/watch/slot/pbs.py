"""PBS and Torque: the time limit from the job's environment, and from `qstat`, which also knows when it was altered.

The environment tells no start: the batch system starts a session for each job, and its leader's start counts.
"""

import time
from collections.abc import Mapping

import msgspec

from picard_pilot.model.slot import Found, Question, SlotEnd
from picard_pilot.watch.slot.words import LONGEST_S, duration_s

VARIABLE = "PBS_WALLTIME"
"""Seconds; Torque sets it."""

WAVERS_S = 300.0
"""The server hears of the time that was used every two minutes or so."""

_LIMIT, _USED, _LEFT, _START = (
    "resource_list.walltime",
    "resources_used.walltime",
    "walltime.remaining",
    "stime",
)


def look(environ: Mapping[str, str], began_at: float) -> Found:
    """`began_at` is when the job began (UTC), as far as that is known."""
    job_id = environ.get("PBS_JOBID")
    if not job_id:
        return Found()

    def read(text: str, now: float) -> Found:
        return read_job(text, now, f"qstat -f {job_id}")

    said = _from_environment(environ.get(VARIABLE), began_at)
    return msgspec.structs.replace(said, question=Question(argv=("qstat", "-f", job_id), read=read))


def _from_environment(given: str | None, began_at: float) -> Found:
    if not given:
        return Found()
    limit_s = duration_s(given)
    if limit_s is None:
        return Found(doubts=(f"{VARIABLE} says {given[:40]!r}, which is no time",))
    if not 0 < limit_s < LONGEST_S:
        return Found()
    evidence = f"{VARIABLE}={given}, counted from the start of the session"
    return Found(ends=(SlotEnd(at=began_at + limit_s, name=VARIABLE, evidence=evidence),))


def read_job(text: str, now: float, name: str) -> Found:
    """From the job's full description, whose lines are `    name = value`."""
    facts = {
        key.strip().lower(): value.strip()
        for key, _, value in (line.partition("=") for line in text.splitlines())
    }
    left_s = duration_s(facts.get(_LEFT, "-"))
    if left_s is not None:
        return _found(now + left_s, f"{name}: Walltime.Remaining = {facts[_LEFT]}")
    limit_s = duration_s(facts.get(_LIMIT, "-"))
    if limit_s is None:
        return Found() if _LIMIT not in facts else Found(doubts=(f"{name}: walltime {facts[_LIMIT][:40]!r}",))
    evidence = f"{name}: Resource_List.walltime = {facts[_LIMIT]}"
    start = _local_time(facts.get(_START, ""))
    if start is not None:
        return _found(start + limit_s, f"{evidence}, {_START} = {facts[_START]}")
    used_s = duration_s(facts.get(_USED, "-"))
    if used_s is None:
        return Found(doubts=(f"{evidence}, but not since when",))
    return _found(now + limit_s - used_s, f"{evidence}, resources_used.walltime = {facts[_USED]}")


def _found(at: float, evidence: str) -> Found:
    end = SlotEnd(at=at, name="the walltime of the PBS job", evidence=evidence, wavers_s=WAVERS_S)
    return Found(ends=(end,))


def _local_time(text: str) -> float | None:
    """From `Mon Nov 23 02:42:14 2026`, in the time zone of the node."""
    try:
        return time.mktime(time.strptime(text))
    except (ValueError, OverflowError):
        return None
