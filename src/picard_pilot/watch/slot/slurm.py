"""Slurm: the end of the job, from its environment, and from `squeue`, which also knows when it was moved.

Slurm looks at time limits every half minute: a limit of 60 s was seen to come after 82 s.
"""

from collections.abc import Mapping

import msgspec

from picard_pilot.model.slot import Found, Question, SlotEnd
from picard_pilot.watch.slot.words import duration_s, end_from_number

VARIABLE = "SLURM_JOB_END_TIME"
"""Seconds since 1970. Newer versions set it, unless the job has no limit; 22.05 was seen not to."""

UNLIMITED = ("UNLIMITED", "NOT_SET")

WAVERS_S = 60.0
"""Its answer is in whole seconds, and may have been on its way for some; nobody moves an end by so little."""


def look(environ: Mapping[str, str]) -> Found:
    """What the environment says, and the question for the controller."""
    job_id = environ.get("SLURM_JOB_ID")
    if not job_id:
        return Found()
    said = end_from_number(VARIABLE, environ[VARIABLE]) if environ.get(VARIABLE) else Found()
    argv = ("squeue", "--noheader", "--jobs", job_id, "--format", "%L")

    def read(text: str, now: float) -> Found:
        return read_time_left(text, now, f"squeue --jobs {job_id} --format %L")

    return msgspec.structs.replace(said, question=Question(argv=argv, read=read))


def read_time_left(text: str, now: float, name: str) -> Found:
    """From `[days-][hours:]minutes:seconds`, which `squeue` says of a job that runs."""
    words = text.split()
    if not words or words[0] in UNLIMITED:
        return Found()
    left_s = duration_s(words[0])
    if left_s is None:
        return Found(doubts=(f"{name} says {words[0][:40]!r}, which is no time",))
    evidence = f"{name}: {words[0]}"
    end = SlotEnd(at=now + left_s, name="Slurm's time limit", evidence=evidence, wavers_s=WAVERS_S)
    return Found(ends=(end,))
