"""The ATLAS experiment as a plug-in: the outcome from a transform's job report, and the rules of this folder.

All other hooks are the interface's defaults.
"""

from picard_pilot.experiments.atlas.job_report import TransformReport, as_data, events_processed, telling
from picard_pilot.experiments.base import Experiment
from picard_pilot.experiments.report_files import outcome_of, read, words_of
from picard_pilot.model.bundle import Bundle, Outcome
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.job import Job
from picard_pilot.model.rule import Rule


class Atlas(Experiment):
    """Payloads are Athena's transforms, and what pathena and prun wrap."""

    name = "atlas"

    def outcome(self, job: Job, bundle: Bundle, exit: PayloadExit) -> Outcome:
        """As by default, with the first telling line of the step that failed, and the events that steps counted."""
        found = read(bundle, TransformReport)
        report = as_data(found.report)
        line = telling(report)
        known = words_of(found.report.exitMsg) or ""
        more = None if line is None or line.text in known else line.says()
        return outcome_of(found, more=more, n_events=events_processed(report))

    def rules(self) -> tuple[Rule, ...]:
        """Set-up, transforms, Athena, its conditions, and the wrappers of pathena and prun."""
        # Only failures need them: a pilot starts, and good jobs end, without.
        from picard_pilot.experiments.atlas import athena, conditions, setup, transforms, wrappers

        return (*setup.RULES, *transforms.RULES, *athena.RULES, *conditions.RULES, *wrappers.RULES)
