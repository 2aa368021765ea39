"""An experiment's word on recovery stands above the rules: whose outputs wait, how often a job may kill its pilot."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pilot_kit import ToldDispatcher, parts_for
from test_pilot_holding import Night, never
from test_pilot_recovery import left_by

from picard_pilot.experiments.generic import Generic
from picard_pilot.model import events as ev
from picard_pilot.model.job import Job
from picard_pilot.model.policy import RecoveryPolicy
from picard_pilot.model.states import State
from picard_pilot.pilot import recovery
from picard_pilot.pilot.supervisor import Supervisor
from picard_pilot.testing.clock import VirtualClock


def says(monkeypatch: pytest.MonkeyPatch, policy: RecoveryPolicy | None) -> None:
    """Let the experiment have this policy; None: it has a bug."""

    def recovery_policy(experiment: Generic, job: Job) -> RecoveryPolicy:
        if policy is None:
            raise ZeroDivisionError("a bug")
        return policy

    monkeypatch.setattr(Generic, "recovery_policy", recovery_policy)


@pytest.mark.parametrize(
    ("label", "policy", "why"),
    [
        ("managed", RecoveryPolicy(), "production is always kept"),
        ("managed", RecoveryPolicy(keep=False), None),
        ("user", RecoveryPolicy(), None),
        ("user", RecoveryPolicy(keep=True), "its experiment says so"),
        ("user", RecoveryPolicy(movable=False), "it can run nowhere else"),
        ("managed", None, "production is always kept"),
        ("user", None, None),
    ],
)
def test_whose_outputs_wait(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    label: str,
    policy: RecoveryPolicy | None,
    why: str | None,
) -> None:
    """Whatever kind of job it is; where the plug-in fails, the rules decide as if it had said nothing."""
    says(monkeypatch, policy)
    night = Night(tmp_path, never)
    work = night.work(600, label, recover=False)
    night.run(work)
    held = work.case.held
    assert (None if held is None else held.why) == why
    assert work.case.state is (State.FAILED if why is None else State.HOLDING)


@pytest.mark.parametrize(
    ("policy", "died", "given_up"),
    [
        (RecoveryPolicy(max_attempts=1), 1, True),
        (RecoveryPolicy(max_attempts=9), 8, False),
        (RecoveryPolicy(), 2, False),
        (RecoveryPolicy(), 3, True),
        (None, 2, False),
        (None, 3, True),
    ],
)
def test_how_many_pilots_a_job_may_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: RecoveryPolicy | None, died: int, given_up: bool
) -> None:
    """The experiment's number, else that of the settings, which is three here: also where the plug-in fails."""
    says(monkeypatch, policy)
    clock = VirtualClock()
    begun = (ev.JobReceived(job=Job(job_id=5, attempt_nr=1), queue="Q"), ev.Admitted())
    left_by(tmp_path, clock, 5, *begun, *(ev.Resumed(pilot=f"p{number}") for number in range(died)))

    async def scenario() -> Any:
        parts = parts_for(clock, ToldDispatcher(clock), tmp_path, recovery_attempts=3)
        (work,) = recovery.take_up(msgspec.structs.replace(parts, experiment=Generic()))
        work.record(ev.Resumed(pilot="me"))
        return await Supervisor(parts)._stepper.performer.too_often(work)

    assert (asyncio.run(scenario()) is not None) is given_up
