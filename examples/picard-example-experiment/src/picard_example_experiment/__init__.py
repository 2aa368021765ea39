"""An experiment whose jobs bring a Python script as an input and sum up their work in `summary.json`.

All other hooks are Picard's defaults.
"""

import json
from pathlib import Path

from picard_pilot.experiments.base import Experiment
from picard_pilot.experiments.report_files import read_bounded
from picard_pilot.experiments.words import split
from picard_pilot.model.bundle import Bundle, Command, Outcome
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.job import Job
from picard_pilot.model.site import Site


class Example(Experiment):
    """`transformation` is the name of the script among the inputs, `jobPars` its arguments."""

    api = 1
    name = "example"

    def command(self, job: Job, site: Site, bundle: Bundle) -> Command:
        """Run the script with Python, unbuffered, so that its output can be followed."""
        return Command(argv=("python3", "-u", job.transformation, *split(job.parameters)))

    def outcome(self, job: Job, bundle: Bundle, exit: PayloadExit) -> Outcome:
        """Read `{"events": 10, "problem": "text or null"}` from summary.json, if it is there and makes sense."""
        text = read_bounded(str(Path(bundle.directory, "summary.json")))
        try:
            summary = json.loads(text or b"{}")
        except (ValueError, RecursionError):
            return Outcome()
        if not isinstance(summary, dict):
            return Outcome()
        events, problem = summary.get("events"), summary.get("problem")
        return Outcome(
            n_events=events if type(events) is int and events >= 0 else None,
            exe_error_code=1 if isinstance(problem, str) else None,
            exe_error_diag=problem if isinstance(problem, str) else None,
        )
