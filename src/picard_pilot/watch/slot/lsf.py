"""LSF: the run limit and the run time so far, from `bjobs`; the environment of a job tells neither.

At the run limit LSF sends SIGUSR2, and ends the job ten minutes later.
"""

from collections.abc import Mapping

from picard_pilot.model.slot import Found, Question, SignalGrace, SlotEnd
from picard_pilot.watch.slot.words import number

FORMAT = "runlimit run_time delimiter=';'"
"""`60.0/host;1234 second(s)`: the limit in minutes, the time in seconds."""

GRACE = SignalGrace(signal="SIGUSR2", seconds=600.0, evidence="LSF kills ten minutes after its run limit")

WAVERS_S = 300.0
"""The time so far comes from the node's daemon now and then."""


def look(environ: Mapping[str, str]) -> Found:
    """A question for the batch system."""
    job_id = environ.get("LSB_JOBID")
    if not job_id:
        return Found()
    index = environ.get("LSB_JOBINDEX", "0")
    name = job_id if index in ("", "0") else f"{job_id}[{index}]"

    def read(text: str, now: float) -> Found:
        return read_times(text, now, f"bjobs {name}")

    return Found(
        question=Question(argv=("bjobs", "-noheader", "-o", FORMAT, name), read=read), graces=(GRACE,)
    )


def read_times(text: str, now: float, name: str) -> Found:
    """From one line with limit and time so far; `-` stands for none."""
    line = text.strip().partition("\n")[0]
    limit, _, used = (part.strip() for part in line.partition(";"))
    if not limit or limit == "-":
        return Found()
    minutes, used_s = number(limit.partition("/")[0]), number(used.partition(" ")[0])
    if minutes is None or used_s is None:
        return Found(doubts=(f"{name} says {line[:60]!r}, which is no time",))
    at = now + minutes * 60 - used_s
    evidence = f"{name}: limit; time so far = {line}"
    return Found(ends=(SlotEnd(at=at, name="LSF's run limit", evidence=evidence, wavers_s=WAVERS_S),))
