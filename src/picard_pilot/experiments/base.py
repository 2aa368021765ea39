"""The interface of an experiment: one class whose every hook has a working default.

What a particular experiment does differently lives in its own file; when the hooks are called is up to `pilot`.
"""

import os
from typing import ClassVar

from picard_pilot.experiments.command_line import argument_vector, refusal_of
from picard_pilot.experiments.environment import facts
from picard_pilot.experiments.report_files import read_reports
from picard_pilot.model.bundle import Bundle, Command, Node, Outcome, Preparation
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.job import Job
from picard_pilot.model.policy import (
    Container,
    CredentialNeeds,
    InputPolicy,
    OutputPolicy,
    RecoveryPolicy,
    Refusal,
)
from picard_pilot.model.report import UsageSummary
from picard_pilot.model.rule import Rule
from picard_pilot.model.site import LocalFiles, Site


class Experiment:
    """What an experiment decides about its jobs. Override what differs; the rest works as it is.

    One instance serves a whole pilot. Hooks take values and return values: they change no job, no current
    directory and no environment, and keep nothing between calls. Each runs in a thread of its own, with a time
    limit; one that raises, overruns or returns something else than its type fails the job with the hook's name,
    and the pilot takes no further job. After a crash of the pilot any hook may be called again for the same job,
    also by another pilot on another day, and must then give the same answer.
    """

    api: ClassVar[int] = 1
    """The version of this interface that the class is written for. Every plug-in states it."""
    name: ClassVar[str] = "experiment"
    """The name in logs, reports and `ppilot plugin list`."""
    site_source: ClassVar[str] = "file"
    """Where facts about the queue come from unless the queue or the site says something else."""
    local_patterns: ClassVar[tuple[LocalFiles, ...]] = ()
    """Inputs that are already on the node, as patterns: which names, and the path by their parts. A queue may have
    more of them, which come first; `local_files` is for what no pattern can say."""

    def check(self, job: Job, site: Site) -> Refusal | None:
        """Say why the job cannot be run, or None. Called first; the job's directory stands, and nothing is in it.

        The place for everything that can be judged from the description: it costs the job no attempt at its inputs.
        By default a line is refused that `command` could not start without a shell.
        """
        return refusal_of(job)

    def prepare(self, job: Job, site: Site, node: Node) -> Preparation:
        """Set the job up: find the release, warm a cache. Called once `check` has let the job pass.

        No input is there yet. May be slow, up to the hooks' time limit. May be called again after a crash.
        """
        return Preparation()

    def local_files(self, job: Job) -> dict[str, str]:
        """Inputs that are already on the node, such as database releases on CVMFS: path by LFN.

        Called before stage-in. The files are still verified; one that is missing or wrong is staged in as usual.
        """
        return {}

    def input_policy(self, job: Job, site: Site) -> InputPolicy:
        """How inputs may travel. Called before stage-in."""
        return InputPolicy()

    def credentials(self, job: Job) -> CredentialNeeds:
        """Which of the pilot's credentials the payload must have; none by default. Called before the payload starts."""
        return CredentialNeeds()

    def container(self, job: Job, site: Site) -> Container | None:
        """The container to run in; by default the one that the job names. Called before the payload starts."""
        return Container(image=job.container_name) if job.container_name else None

    def environment(self, job: Job, site: Site, bundle: Bundle) -> dict[str, str]:
        """Variables for the payload, on top of the pilot's environment without its credentials.

        Called before `command`; all inputs are in the job's directory, or in `bundle.turls` where they are read
        directly.
        """
        return facts(job, site, bundle, self.name)

    def command(self, job: Job, site: Site, bundle: Bundle) -> Command:
        """The program to start. Its working directory is the job's, and all inputs are in it but those that are read
        directly: `bundle.turls` has their addresses.

        By default the words of `transformation` and `jobPars`, with the address of an input in place of `{turl:LFN}`;
        a bare program name is looked up in the payload's PATH, then in the job's directory. Not called again once
        the payload has been started.
        """
        variables = {**os.environ, **site.queue.environment, **self.environment(job, site, bundle)}
        return Command(argv=argument_vector(job, variables.get("PATH"), bundle))

    def outcome(self, job: Job, bundle: Bundle, exit: PayloadExit) -> Outcome:
        """Read what the payload reports about itself. Called when it has ended, however it did.

        By default what `jobReport.json` and `payload_error_report.json` say. Every file in the directory is the
        payload's work and may be missing, huge, a link or nonsense.
        """
        return read_reports(bundle)

    def rules(self) -> tuple[Rule, ...]:
        """The experiment's own error rules, tried together with the core's: the most specific wins, the experiment's of
        equal ones. Called when a payload failed (`docs/write-a-rule.md`)."""
        return ()

    def metrics(self, job: Job, bundle: Bundle, usage: UsageSummary) -> dict[str, str]:
        """Short facts for the server's `job_metrics`, such as a leak's slope. Called with the final report."""
        return {}

    def output_policy(self, job: Job, site: Site) -> OutputPolicy:
        """What is stored, and where else it may go. Called before stage-out."""
        return OutputPolicy()

    def recovery_policy(self, job: Job) -> RecoveryPolicy:
        """Whether a job that cannot be brought to its end waits on disk for a later pilot."""
        return RecoveryPolicy()
