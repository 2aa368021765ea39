"""An experiment's answers at the pilot's border: what nobody could work with fails the job, and names the hook."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pilot_kit import ToldDispatcher, parts_for

from picard_pilot.experiments.base import Experiment
from picard_pilot.model.bundle import Bundle, Node, Outcome, Preparation
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.job import Job
from picard_pilot.model.orders import Acquired
from picard_pilot.model.policy import Refusal
from picard_pilot.model.report import Update
from picard_pilot.model.rule import Rule, Where
from picard_pilot.model.site import Site
from picard_pilot.pilot.supervisor import Supervisor
from picard_pilot.testing.clock import VirtualClock


class Odd(Experiment):
    """Works, but for what its subclasses do."""

    name = "odd"
    api = 1


class RefusesOddly(Odd):
    """Names an error of its own making."""

    def check(self, job: Job, site: Site) -> Refusal | None:
        return Refusal(error="NOSUCHERROR", field="jobPars", says="no", next_step="none")


class PreparesOddly(Odd):
    """Notes the name of a file that is no text."""

    def prepare(self, job: Job, site: Site, node: Node) -> Preparation:
        return Preparation(notes=("found \udcff",))


class RaisesOddly(Odd):
    """Raises what cannot even be shown."""

    def prepare(self, job: Job, site: Site, node: Node) -> Preparation:
        class Unspeakable(Exception):
            def __str__(self) -> str:
                raise ValueError

        raise Unspeakable


class RulesOddly(Odd):
    """Has a rule with an open bracket."""

    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule(
                error="PAYLOADEXECUTIONFAILURE", where=Where.STDERR, when="(", says="x", advice="x",
                sample="(", counter_sample="x", is_pattern=True,
            ),
        )  # fmt: skip


class NamesOddly(Odd):
    """Has a rule for an error that nobody knows."""

    def rules(self) -> tuple[Rule, ...]:
        return (msgspec.structs.replace(RulesOddly().rules()[0], when="x", error="NOSUCHERROR"),)


class ReadsOddly(Odd):
    """Takes half of a character out of the payload's report."""

    def outcome(self, job: Job, bundle: Bundle, exit: PayloadExit) -> Outcome:
        return Outcome(exe_error_diag="\ud800")


def ran(directory: Path, experiment: Experiment, program: str) -> tuple[int, Update]:
    """The exit code of a pilot with this experiment and one job, and the job's final report."""

    async def scenario() -> tuple[int, Update]:
        dispatcher = ToldDispatcher(clock := VirtualClock())
        dispatcher.jobs.append(Acquired(jobs=(Job(job_id=9, attempt_nr=1, transformation=program),)))
        parts: Any = msgspec.structs.replace(parts_for(clock, dispatcher, directory), experiment=experiment)
        async with asyncio.timeout(60):
            code = await Supervisor(parts).run([])
        return code, next(update for _, update in dispatcher.told if update.final)

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("kind", "hook", "why"),
    [
        (RefusesOddly, "check", "NOSUCHERROR"),
        (PreparesOddly, "prepare", "half of a character"),
        (RaisesOddly, "prepare", "Unspeakable"),
        (RulesOddly, "rules", "no regular expression"),
        (NamesOddly, "rules", "NOSUCHERROR"),
        (ReadsOddly, "outcome", "half of a character"),
    ],
)
def test_an_answer_that_nobody_can_work_with(
    tmp_path: Path, kind: type[Experiment], hook: str, why: str
) -> None:
    """The job is failed with plug-in and hook named, the directory is gone, and no further job is taken."""
    code, report = ran(tmp_path, kind(), "/bin/false")
    assert code == 65
    assert report.pilot_error_code == 1110
    assert f"the hook {hook} of the experiment odd failed" in (report.pilot_error_diag or "")
    assert why in (report.pilot_error_diag or "")
    assert not list(tmp_path.glob("PanDA_Pilot-*"))
