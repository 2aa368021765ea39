"""The pilot's own deadlines and signals, sleepless: none is missed, whatever the moment."""

import asyncio
import signal
from pathlib import Path

import pytest
from pilot_kit import ToldDispatcher, parts_for

from picard_pilot.model import events as ev
from picard_pilot.model.job import Job
from picard_pilot.model.orders import Acquired
from picard_pilot.pilot.stepping import Stepper
from picard_pilot.pilot.supervisor import Supervisor
from picard_pilot.pilot.work import JobWork
from picard_pilot.testing.clock import VirtualClock


class CreepingClock(VirtualClock):
    """Time passes while somebody looks at it, as it does."""

    creep_s = 0.001

    def monotonic(self) -> float:
        self._now += self.creep_s
        return super().monotonic()


@pytest.mark.parametrize("pause_s", [0.001 * n for n in range(1, 9)])
def test_a_moment_that_passes_while_the_pilot_looks_is_not_waited_for_in_vain(
    tmp_path: Path, pause_s: float
) -> None:
    """Between the decision to wait and the waiting lie some microseconds, in which the pause may end."""

    async def scenario() -> int:
        clock = CreepingClock()
        pilot = asyncio.create_task(
            Supervisor(parts_for(clock, ToldDispatcher(clock), tmp_path, queue_patience_s=pause_s)).run([])
        )
        for _ in range(100):
            await clock.advance(0.1)
            if pilot.done():
                break
        pilot.cancel()
        return await pilot

    assert asyncio.run(scenario()) == 82


def test_a_signal_between_two_steps_of_a_job_stops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM comes when the job's setup has ended and the pilot has not yet heard of it: no task works for the job at
    that moment; its payload is not started all the same."""
    post = Stepper.post

    async def scenario() -> tuple[int, ToldDispatcher]:
        dispatcher = ToldDispatcher(clock := VirtualClock())
        job = Job(job_id=9, attempt_nr=1, transformation="/bin/true")
        dispatcher.jobs.append(Acquired(jobs=(job,)))
        pilot = Supervisor(parts_for(clock, dispatcher, tmp_path))

        def post_and_end(stepper: Stepper, work: JobWork, generation: int, event: ev.Event) -> None:
            post(stepper, work, generation, event)
            if isinstance(event, ev.Prepared):
                pilot._on_signal(signal.SIGTERM)

        monkeypatch.setattr(Stepper, "post", post_and_end)
        async with asyncio.timeout(60):
            return await pilot.run([]), dispatcher

    code, dispatcher = asyncio.run(scenario())
    assert code == 128 + signal.SIGTERM
    final = [update for _, update in dispatcher.told if update.final]
    assert [(one.status, one.pilot_error_code) for one in final] == [("failed", 1201)]
    assert "running" not in dispatcher.phases
