"""What earlier pilots left: which directories are taken up, and which are left as they are."""

import asyncio
from pathlib import Path

import pytest
from pilot_kit import DOWN, ToldDispatcher, parts_for

from picard_pilot.journal import file as journal_file
from picard_pilot.journal import lease
from picard_pilot.model.orders import Acquired, BadJob, ServerTrouble
from picard_pilot.model.report import Update
from picard_pilot.payload.jobdir import PRIVATE
from picard_pilot.pilot import recovery
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
