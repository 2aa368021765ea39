"""A job's line as a program to start: the words of `transformation` and `jobPars`, and why some lines are refused.

Splitting is `experiments.words`; an experiment that starts something else overrides `command`.
"""

from pathlib import Path

from picard_pilot.experiments.words import LineError, split
from picard_pilot.model.job import Job
from picard_pilot.model.policy import Refusal
from picard_pilot.system.files import is_file

_SCHEMES = ("http", "https", "ftp", "root", "davs")
"""A transformation that begins with one of these is a program to be downloaded first."""


def refusal_of(job: Job) -> Refusal | None:
    """Why the job's line cannot be started: no program, an address, open quotes, shell operators, NUL bytes."""
    program = job.transformation.strip()
    if not program:
        return Refusal(
            error="NOTDEFINED",
            field="transformation",
            says="The job names no program: its field transformation is empty",
            next_step="Set transformation to the command that should run.",
        )
    if program.partition("://")[0].lower() in _SCHEMES:
        return Refusal(
            error="TRFDOWNLOADFAILURE",
            field="transformation",
            says="The job's transformation is an address, and this experiment downloads no programs",
            next_step="Give a command, or bring the program as an input file and name that.",
        )
    for field, text in (("transformation", job.transformation), ("jobPars", job.parameters)):
        try:
            words = split(text)
        except LineError as error:
            return Refusal(
                error="CONVERSIONFAILURE",
                field=field,
                says=f"The job's {field} cannot be split into arguments: {error}",
                next_step="Quote it ('...'), or let a script do what needs a shell: jobs are started without one.",
            )
        if field == "transformation" and not (words and words[0]):
            return Refusal(
                error="NOTDEFINED",
                field="transformation",
                says="The job names no program: its transformation is an empty word",
                next_step="Set transformation to the command that should run.",
            )
    return None


def argument_vector(job: Job, path: str | None, directory: str) -> tuple[str, ...]:
    """The words of the job's line; a bare program name is looked up in `path`, then in `directory`.

    Raises LineError (a ValueError) for a line that `refusal_of` would have refused.
    """
    words = (*split(job.transformation), *split(job.parameters))
    return (_program(words[0], path, directory), *words[1:])


def _program(name: str, path: str | None, directory: str) -> str:
    """The program's absolute path. One with a slash in it is taken as it stands, from the job's directory."""
    if "/" in name:
        return name
    from shutil import which  # brings four ways to compress along, 4 ms of a start

    found = which(name, path=path)
    if found is not None:
        return str(Path(directory, found))
    beside = Path(directory, name)
    return str(beside) if is_file(beside) else name
