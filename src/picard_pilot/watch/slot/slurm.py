"""Slurm: the end of the job, from its environment, else from `squeue`.

Slurm looks at time limits every half minute: a limit of 60 s was seen to come after 82 s.
"""

from collections.abc import Mapping

from picard_pilot.model.slot import Found, Question, SlotEnd
from picard_pilot.watch.slot.words import duration_s, end_from_number

VARIABLE = "SLURM_JOB_END_TIME"
"""Seconds since 1970. Slurm sets it since version 22.05 or so, unless the job has no limit."""

UNLIMITED = ("UNLIMITED", "NOT_SET")


def look(environ: Mapping[str, str]) -> Found:
    """What the environment says; a question for the controller where it does not."""
    job_id = environ.get("SLURM_JOB_ID")
    if not job_id:
        return Found()
    if environ.get(VARIABLE):
        return end_from_number(VARIABLE, environ[VARIABLE])
    argv = ("squeue", "--noheader", "--jobs", job_id, "--format", "%L")

    def read(text: str, now: float) -> Found:
        return read_time_left(text, now, f"squeue --jobs {job_id} --format %L")

    return Found(question=Question(argv=argv, read=read))


def read_time_left(text: str, now: float, name: str) -> Found:
    """From `[days-][hours:]minutes:seconds`, which `squeue` says of a job that runs."""
    words = text.split()
    if not words or words[0] in UNLIMITED:
        return Found()
    left_s = duration_s(words[0])
    if left_s is None:
        return Found(doubts=(f"{name} says {words[0][:40]!r}, which is no time",))
    return Found(ends=(SlotEnd(at=now + left_s, name="Slurm's time limit", evidence=f"{name}: {words[0]}"),))
