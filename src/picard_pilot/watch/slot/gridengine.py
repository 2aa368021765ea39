"""Grid Engine: the time limits that the job asked for, from `qstat`; its environment tells none.

At the soft limit (`s_rt`) Grid Engine sends SIGUSR1, at the hard one (`h_rt`) SIGKILL. What only the queue's own
configuration limits is not in its answer: such an end comes as a signal, if the job was submitted with `-notify`.
"""

from collections.abc import Mapping

from picard_pilot.model.slot import Found, Question, SlotEnd
from picard_pilot.watch.slot.words import LONGEST_S, duration_s

SIGN = "SGE_TASK_ID"
"""It stands in the environment of each job, `undefined` in one that is no task of an array."""

LIMITS = ("s_rt", "h_rt")
"""The soft one comes first, if there is one."""


def look(environ: Mapping[str, str], began_at: float) -> Found:
    """`began_at` is when the job began (UTC), as far as that is known."""
    job_id = environ.get("JOB_ID")
    if not job_id or not environ.get(SIGN):
        return Found()

    def read(text: str, now: float) -> Found:
        return read_job(text, began_at, f"qstat -j {job_id}")

    return Found(question=Question(argv=("qstat", "-j", job_id), read=read))


def read_job(text: str, began_at: float, name: str) -> Found:
    """From the lines `hard resource_list: h_rt=3600,mem_free=1G`, and `soft ...` of wishes, which are no limits."""
    ends, doubts = [], []
    for line in text.splitlines():
        head, _, rest = line.partition(":")
        if head.strip().lower().replace("_", " ") != "hard resource list":
            continue
        for item in rest.split(","):
            key, _, value = (part.strip() for part in item.partition("="))
            if key not in LIMITS or value.upper() == "INFINITY":
                continue
            limit_s = duration_s(value)
            if limit_s is None:
                doubts.append(f"{name} says {key} = {value[:40]!r}, which is no time")
            elif 0 < limit_s < LONGEST_S:
                evidence = f"{name}: {key} = {value}, counted from the start of the session"
                ends.append(SlotEnd(at=began_at + limit_s, name=f"Grid Engine's {key}", evidence=evidence))
    return Found(ends=tuple(ends), doubts=tuple(doubts))
