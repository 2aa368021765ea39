"""Asking for jobs, sleepless: growing, jittered pauses, and patience that ends."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pilot_kit import ToldDispatcher, parts_for

from picard_pilot.model.job import Job
from picard_pilot.model.orders import Acquired, BadJob
from picard_pilot.pilot.supervisor import Supervisor
from picard_pilot.testing.clock import VirtualClock


def run_until_it_leaves(
    directory: Path, prepare: Any = None, hours: float = 4, **settings: Any
) -> tuple[int | None, ToldDispatcher, float]:
    """Exit code (None if it is still there), what was asked, and when it left, of a pilot on a virtual clock."""

    async def scenario() -> tuple[int | None, ToldDispatcher, float]:
        clock = VirtualClock()
        dispatcher = ToldDispatcher(clock)
        if prepare:
            prepare(dispatcher)
        pilot = asyncio.create_task(Supervisor(parts_for(clock, dispatcher, directory, **settings)).run([]))
        for _ in range(int(hours * 3600)):
            await clock.advance(1)
            if pilot.done():
                return pilot.result(), dispatcher, clock.monotonic()
        pilot.cancel()
        await asyncio.wait([pilot])
        return None, dispatcher, clock.monotonic()

    return asyncio.run(scenario())


def test_an_empty_queue_is_asked_with_growing_pauses_and_then_left(tmp_path: Path) -> None:
    """60 s by default, some requests in between, the last one at the end."""
    code, dispatcher, left_at = run_until_it_leaves(tmp_path)
    times = [when for when, _ in dispatcher.asked]
    assert code == 82
    assert 60 <= left_at <= 62
    assert 4 <= len(times) <= 9
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[0] < 6 and max(pauses) > 2 * min(pauses)
    assert times[-1] >= 59


@pytest.mark.parametrize("patience_s", [0.0, 600.0])
def test_the_patience_is_a_setting(tmp_path: Path, patience_s: float) -> None:
    """Zero means: ask once."""
    code, dispatcher, left_at = run_until_it_leaves(tmp_path, queue_patience_s=patience_s)
    assert code == 82
    assert patience_s <= left_at <= patience_s + 2
    assert (len(dispatcher.asked) == 1) == (patience_s == 0)


def test_a_server_that_is_gone_is_waited_for_and_then_left(tmp_path: Path) -> None:
    """79 after an hour; about one request a minute, never in step."""
    code, dispatcher, left_at = run_until_it_leaves(
        tmp_path, lambda dispatcher: setattr(dispatcher, "down", True)
    )
    assert code == 79
    assert 3600 <= left_at <= 3602
    assert 40 <= len(dispatcher.asked) <= 150


def test_a_description_that_cannot_be_read_is_reported_and_the_pilot_goes_on(tmp_path: Path) -> None:
    """The job is failed with its field named; one that has no number at all is only in the log."""

    def broken(dispatcher: ToldDispatcher) -> None:
        bad = BadJob(
            job_id=9, attempt_nr=2, field="outFiles", why="is not a bare name", evidence="'../x'", code=1371
        )
        nameless = BadJob(
            job_id=None, attempt_nr=None, field="PandaID", why="is missing", evidence="", code=1311
        )
        dispatcher.jobs.append(Acquired(bad=(bad, nameless)))

    code, dispatcher, _ = run_until_it_leaves(tmp_path, broken)
    assert code == 0
    final = [update for _, update in dispatcher.told if update.final]
    assert [(one.job_id, one.attempt_nr, one.pilot_error_code) for one in final] == [(9, 2, 1371)]
    assert "outFiles: is not a bare name" in (final[0].pilot_error_diag or "")
    assert not list(tmp_path.glob("PanDA_Pilot-*"))


def test_a_job_without_a_directory_is_reported_failed(tmp_path: Path) -> None:
    """The work directory is gone: the job lives in memory for as long as it takes to say so, and is the last one."""
    gone = tmp_path / "gone"

    def one_job(dispatcher: ToldDispatcher) -> None:
        dispatcher.jobs.append(Acquired(jobs=(Job(job_id=9, attempt_nr=1),)))

    code, dispatcher, _ = run_until_it_leaves(gone, one_job)
    assert code == 66
    final = [update for _, update in dispatcher.told if update.final]
    assert [(one.job_id, one.pilot_error_code) for one in final] == [(9, 1199)]
