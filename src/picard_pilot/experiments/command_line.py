"""A job's line as a program to start: the words of `transformation` and `jobPars`, and why some lines are refused.

Splitting is `experiments.words`; an experiment that starts something else overrides `command`.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from picard_pilot.experiments.words import LineError, split
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.job import Job
from picard_pilot.model.policy import Refusal
from picard_pilot.system.files import is_file

_SCHEMES = ("http", "https", "ftp", "root", "davs")
"""A transformation that begins with one of these is a program to be downloaded first."""


_TURL = re.compile(r"\{turl:([^{}]*)\}")
"""Stands in a word for the address of an input: its TURL where it is read directly, else its name."""


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
        unknown = _strangers(words, {file.lfn for file in job.inputs})
        if unknown:
            return Refusal(
                error="CONVERSIONFAILURE",
                field=field,
                says=f"The job's {field} asks for the address of {unknown[0]!r}, which is none of its inputs",
                next_step="Name an input in {turl:...} exactly as in inFiles.",
            )
    return None


def argument_vector(job: Job, path: str | None, bundle: Bundle) -> tuple[str, ...]:
    """The words of the job's line, `{turl:LFN}` replaced by the address of that input; a bare program name is looked
    up in `path`, then in the job's directory.

    An address is put into a word that was split before: it can never become two. Raises LineError (a ValueError) for
    a line that `refusal_of` would have refused.
    """
    words = (*split(job.transformation), *split(job.parameters))
    program, *rest = (with_addresses(word, bundle.turls) for word in words)
    return (_program(program, path, bundle.directory), *rest)


def with_addresses(word: str, turls: Mapping[str, str]) -> str:
    """The word with the address of each input that it names in `{turl:LFN}`: a TURL, or the name of a file in the job's
    directory."""
    return _TURL.sub(lambda found: turls.get(found[1], found[1]), word)


def _strangers(words: tuple[str, ...], inputs: Collection[str]) -> list[str]:
    """Names in `{turl:...}` that are no inputs."""
    return [lfn for word in words for lfn in _TURL.findall(word) if lfn not in inputs]


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
