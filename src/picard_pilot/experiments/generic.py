"""The generic experiment: runs the job's command as it stands, for anybody without software of their own.

It downloads no transformations and starts no shell.
"""

import os
import shutil
from pathlib import Path

from picard_pilot.experiments.base import Experiment
from picard_pilot.experiments.report_files import read_reports
from picard_pilot.experiments.words import LineError, split
from picard_pilot.model.bundle import Bundle, Command, Outcome
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.job import Job
from picard_pilot.model.policy import Refusal
from picard_pilot.model.site import Site

_QUOTE = "Quote it ('...'), or let a script do what needs a shell: the parameters are never given to one."


class Generic(Experiment):
    """The command is `transformation` followed by `jobPars`, split into words and started without a shell."""

    name = "generic"

    def check(self, job: Job, site: Site) -> Refusal | None:
        """Refuse what could not be started: no program, an address, open quotes, shell operators, NUL bytes."""
        if not job.transformation.strip():
            return Refusal(
                error="NOTDEFINED",
                field="transformation",
                says="The job names no program: its field transformation is empty",
                next_step="Set transformation to the command that should run.",
            )
        if job.transformation.strip().partition("://")[0].lower() in ("http", "https", "ftp", "root", "davs"):
            return Refusal(
                error="TRFDOWNLOADFAILURE",
                field="transformation",
                says="The job's transformation is an address, and the generic experiment downloads no programs",
                next_step="Give a command, or bring the program as an input file and name that.",
            )
        for field, text in (("transformation", job.transformation), ("jobPars", job.parameters)):
            try:
                split(text)
            except LineError as error:
                says = f"The job's {field} cannot be split into arguments: {error}"
                return Refusal(error="CONVERSIONFAILURE", field=field, says=says, next_step=_QUOTE)
        return None

    def command(self, job: Job, site: Site, bundle: Bundle) -> Command:
        """The words of the job's line; a bare program name is looked up in PATH, then in the job's directory."""
        words = (*split(job.transformation), *split(job.parameters))
        path = (
            self.environment(job, site, bundle).get("PATH")
            or site.queue.environment.get("PATH")
            or os.environ.get("PATH")
        )
        return Command(argv=(_program(words[0], path, bundle.directory), *words[1:]))

    def outcome(self, job: Job, bundle: Bundle, exit: PayloadExit) -> Outcome:
        """What `jobReport.json` and `payload_error_report.json` say, if the payload wrote them."""
        return read_reports(bundle)


def _program(name: str, path: str | None, directory: str) -> str:
    """The program's absolute path. One with a slash in it is taken as it stands, from the job's directory."""
    if "/" in name:
        return name
    found = shutil.which(name, path=path)
    if found is not None:
        return str(Path(directory, found))
    beside = Path(directory, name)
    return str(beside) if beside.is_file() else name
