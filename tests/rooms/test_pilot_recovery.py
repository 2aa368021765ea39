"""What earlier pilots left: which directories are taken up, and which are left as they are."""

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from pilot_kit import DOWN, ToldDispatcher, parts_for

from picard_pilot.diagnosis.faults import fault
from picard_pilot.journal import file as journal_file
from picard_pilot.journal import lease
from picard_pilot.model import events as ev
from picard_pilot.model.job import Job
from picard_pilot.model.orders import Acquired, BadJob, ServerTrouble
from picard_pilot.model.report import Update
from picard_pilot.model.stop import Stop
from picard_pilot.payload import jobdir
from picard_pilot.payload.jobdir import PRIVATE
from picard_pilot.pilot import recovery
from picard_pilot.pilot.lookout import LOOK_AGAIN_S
from picard_pilot.pilot.supervisor import Supervisor
from picard_pilot.testing.clock import VirtualClock

BROKEN = BadJob(job_id=9, attempt_nr=2, field="outFiles", why="is not a bare name", evidence="x", code=1371)


def run(directory: Path, dispatcher: ToldDispatcher, clock: VirtualClock, **settings: object) -> int:
    """The exit code of a pilot that takes up what it finds."""

    async def scenario() -> int:
        parts = parts_for(clock, dispatcher, directory, queue_patience_s=0.0, **settings)
        async with asyncio.timeout(60):
            return await Supervisor(parts).run(recovery.take_up(parts))

    return asyncio.run(scenario())


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The private directory of a job that is over and was kept."""
    dispatcher = ToldDispatcher(clock := VirtualClock())
    dispatcher.jobs.append(Acquired(bad=(BROKEN,)))
    assert run(tmp_path, dispatcher, clock, cleanup=False) == 0
    return tmp_path / "PanDA_Pilot-9" / PRIVATE


def test_a_job_that_is_over_and_was_kept_stays_as_it_is(tmp_path: Path, kept: Path) -> None:
    """Its journal too; and a pilot that had no other job says so."""
    before = (kept / journal_file.NAME).read_bytes()
    dispatcher = ToldDispatcher(clock := VirtualClock())
    assert run(tmp_path, dispatcher, clock, cleanup=False) == 82
    assert (kept / journal_file.NAME).read_bytes() == before


def test_a_removal_that_was_interrupted_is_taken_up_without_a_word_to_the_server(
    tmp_path: Path, kept: Path
) -> None:
    """There is nothing left to tell about the job, in no phase."""
    dispatcher = ToldDispatcher(clock := VirtualClock())
    assert run(tmp_path, dispatcher, clock) == 82
    assert dispatcher.told == []
    assert list(tmp_path.glob("PanDA_Pilot-*")) == []


def test_a_lease_that_is_no_text_counts_as_none(tmp_path: Path, kept: Path) -> None:
    """A payload may have written there."""
    (kept / lease.NAME).write_bytes(b'{"owner":{"pilot":"\xff')
    run(tmp_path, ToldDispatcher(clock := VirtualClock()), clock)
    assert list(tmp_path.glob("PanDA_Pilot-*")) == []


def test_a_journal_that_tells_an_impossible_story_is_left_as_it_is(tmp_path: Path, kept: Path) -> None:
    """With its lease given up, for whoever mends it."""
    journal = kept / journal_file.NAME
    journal.write_bytes(journal.read_bytes() * 2)
    before = journal.read_bytes()
    assert run(tmp_path, ToldDispatcher(clock := VirtualClock()), clock) == 82
    assert journal.read_bytes() == before
    assert lease.read(kept) is None


def left_by(directory: Path, clock: VirtualClock, job_id: int, *events: ev.Event, queue: str = "Q") -> Path:
    """A job that a pilot left in the middle; its private directory. It ends with its report, if taken up."""
    bundle = jobdir.make(directory, job_id, 1)
    journal = journal_file.Journal(Path(bundle.private, journal_file.NAME), "gone", clock.now_utc)
    refusal = fault("SETUPFAILURE", "as the test wants it", rule="test")
    for event in events or (
        ev.JobReceived(job=Job(job_id=job_id, attempt_nr=1), queue=queue),
        ev.Admitted(),
        ev.SetupFailed(fault=refusal),
    ):
        journal.append(event)
    journal.close()
    return Path(bundle.private)


def resumed(private: Path) -> int:
    """How often the job was taken up."""
    records = journal_file.read(private / journal_file.NAME)
    return sum(isinstance(record.event, ev.Resumed) for record in records)


class Neighbours:
    """A pilot that waits for work for two hours, and what happens beside it."""

    def __init__(self, directory: Path, **settings: object) -> None:
        self.clock = VirtualClock()
        self.dispatcher = ToldDispatcher(self.clock)
        self.directory = directory
        self._settings = {"queue_patience_s": 7200.0, "cleanup": False, **settings}

    def run(self, *steps: tuple[float, Callable[[], object]]) -> int:
        """The pilot's exit code; each step is done after so many seconds."""

        async def scenario() -> int:
            parts = parts_for(self.clock, self.dispatcher, self.directory, **self._settings)
            async with asyncio.timeout(60):
                pilot = asyncio.create_task(Supervisor(parts).run([]))
                for seconds, step in steps:
                    await self.clock.advance(seconds)
                    step()
                while not pilot.done():
                    await self.clock.advance(60.0)
                return pilot.result()

        return asyncio.run(scenario())

    @property
    def reported(self) -> list[int]:
        """The jobs whose end was told."""
        return [update.job_id for _, update in self.dispatcher.told if update.phase in ("failed", "finished")]


def test_a_pilot_without_work_finds_what_a_neighbour_left(tmp_path: Path) -> None:
    """Within ten minutes of its death, not only at its own start; the exit code says that there was a job."""
    night = Neighbours(tmp_path)
    left: list[Path] = []
    assert night.run((300, lambda: left.append(left_by(tmp_path, night.clock, 5)))) == 0
    assert night.reported == [5]
    told_at = next(at for at, update in night.dispatcher.told if update.job_id == 5)
    assert 300 <= told_at <= 300 + LOOK_AGAIN_S + 60
    assert resumed(left[0]) == 1


def test_it_takes_up_so_many_in_its_life_as_it_may(tmp_path: Path) -> None:
    """Whether they were left before it started, or later, or at different times."""
    night = Neighbours(tmp_path, max_recoveries=2)
    steps = [(900.0, partial(left_by, tmp_path, night.clock, number)) for number in (5, 6, 7)]
    night.run(*steps)
    assert night.reported == [5, 6]
    assert resumed(tmp_path / "PanDA_Pilot-7" / PRIVATE) == 0


def test_a_pilot_that_shall_not_recover_does_not_look(tmp_path: Path) -> None:
    """Neither at its start nor later."""
    night = Neighbours(tmp_path, recover=False)
    assert night.run((300, partial(left_by, tmp_path, night.clock, 5))) == 82
    assert night.reported == []


def test_what_a_living_neighbour_has_is_seen_without_a_trace(tmp_path: Path) -> None:
    """A pilot looks again and again: it must not write into directories of others each time."""
    night = Neighbours(tmp_path)
    private = left_by(tmp_path, night.clock, 5)
    neighbour = lease.Owner(pilot="n", host="elsewhere", boot_id="c", pid=3, start_ticks=3)
    lease.take(private, neighbour, night.clock.now_utc(), lambda pid, ticks: True)
    before = private.stat().st_mtime_ns
    then = night.clock.now_utc()
    os.utime(private / lease.NAME, (then + 7200, then + 7200))
    assert night.run() == 82
    assert night.reported == []
    assert private.stat().st_mtime_ns == before


def test_another_queues_job_is_left_with_a_line_that_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, however often the pilot looks."""
    night = Neighbours(tmp_path)
    left_by(tmp_path, night.clock, 5, queue="OTHER")
    with caplog.at_level("INFO", logger="picard.recovery"):
        assert night.run() == 82
    said = [record.getMessage() for record in caplog.records if "is of queue OTHER" in record.getMessage()]
    assert len(said) == 1


def test_a_pilot_for_left_jobs_alone_asks_for_none(tmp_path: Path) -> None:
    """It leaves when they are done."""
    clock = VirtualClock()
    dispatcher = ToldDispatcher(clock)
    left_by(tmp_path, clock, 5)

    async def scenario() -> int:
        parts = parts_for(clock, dispatcher, tmp_path)
        async with asyncio.timeout(60):
            return await Supervisor(parts).run(recovery.take_up(parts), only_left=True)

    assert asyncio.run(scenario()) == 0
    assert dispatcher.asked == []
    assert [update.phase for _, update in dispatcher.told][-1] == "failed"


def test_named_directories_are_taken_up_and_no_others(tmp_path: Path) -> None:
    """Wherever they lie."""
    clock = VirtualClock()
    for number in (5, 6):
        left_by(tmp_path, clock, number)
    (tmp_path / "elsewhere").mkdir()
    left_by(tmp_path / "elsewhere", clock, 7)
    parts = parts_for(clock, ToldDispatcher(clock), tmp_path)
    named = [tmp_path / "PanDA_Pilot-6", tmp_path / "elsewhere" / "PanDA_Pilot-7"]
    assert [work.job_id for work in recovery.take_up(parts, named)] == [6, 7]


@pytest.mark.parametrize(("allowed", "died", "given_up"), [(2, 1, False), (2, 2, True), (0, 0, True)])
def test_a_job_that_brings_down_every_pilot_is_given_up(
    tmp_path: Path, allowed: int, died: int, given_up: bool
) -> None:
    """After so many in a row that took it up and did not put it down, as the settings say."""
    clock = VirtualClock()
    begun = (ev.JobReceived(job=Job(job_id=5, attempt_nr=1), queue="Q"), ev.Admitted())
    left_by(tmp_path, clock, 5, *begun, *(ev.Resumed(pilot=f"p{number}") for number in range(died)))

    async def scenario() -> Stop | None:
        parts = parts_for(clock, ToldDispatcher(clock), tmp_path, recovery_attempts=allowed)
        (work,) = recovery.take_up(parts)
        work.record(ev.Resumed(pilot="me"))
        return await Supervisor(parts)._stepper.performer.too_often(work)

    stop = asyncio.run(scenario())
    assert (stop is not None) is given_up
    if stop is not None:
        assert f"{died + 1} pilots took the job up" in stop.fault.says


class Deaf(ToldDispatcher):
    """Gives jobs and takes no report."""

    async def tell(self, update: Update, *, deadline_s: float | None = None) -> ServerTrouble:
        await super().tell(update, deadline_s=deadline_s)
        return DOWN


def test_the_lease_of_a_job_that_lasts_is_renewed_and_one_that_was_lost_is_respected(tmp_path: Path) -> None:
    """A pilot on another host takes over what was not renewed for two hours, and then this one keeps its hands off."""

    async def scenario() -> tuple[lease.Lease | None, float, bytes, int]:
        dispatcher = Deaf(clock := VirtualClock())
        dispatcher.jobs.append(Acquired(bad=(BROKEN,)))
        private = tmp_path / "PanDA_Pilot-9" / PRIVATE
        pilot = asyncio.create_task(Supervisor(parts_for(clock, dispatcher, tmp_path)).run([]))
        await clock.advance(3 * 3600)
        renewed, now = lease.read(private), clock.now_utc()
        other = lease.Owner(pilot="p2", host="elsewhere", boot_id="c", pid=2, start_ticks=2)
        (private / lease.NAME).unlink()
        lease.take(private, other, now, lambda pid, ticks: True)
        journal = (private / journal_file.NAME).read_bytes()
        await clock.advance(70)
        told = len(dispatcher.told)
        await clock.advance(600)
        assert len(dispatcher.told) == told
        assert lease.read(private) == lease.Lease(owner=other, expires_at=now + lease.LEASE_S)
        assert (private / journal_file.NAME).read_bytes() == journal
        return renewed, now, journal, await pilot

    renewed, now, journal, code = asyncio.run(scenario())
    assert renewed is not None and renewed.expires_at > now + lease.LEASE_S - 120
    assert journal
    assert code == 0
