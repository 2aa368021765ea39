"""Pilots whose storages are down, on a virtual clock: when each output is tried again, where, and how it ends."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pilot_kit import ToldDispatcher, parts_for

from picard_pilot.diagnosis.faults import fault
from picard_pilot.journal.memory import MemoryJournal
from picard_pilot.lifecycle.table import step
from picard_pilot.model import events as ev
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.files import Checksum, ChecksumKind, FileRole, FileSpec
from picard_pilot.model.job import Job
from picard_pilot.model.orders import Orders
from picard_pilot.model.site import Endpoint, PathRule, Protocol, Queue, Site
from picard_pilot.model.states import State
from picard_pilot.model.transfer import (
    FailureClass,
    FileFacts,
    How,
    Remedy,
    StatRequest,
    StoreRequest,
    TransferFailure,
    Transferred,
)
from picard_pilot.payload import jobdir
from picard_pilot.pilot.supervisor import Supervisor
from picard_pilot.pilot.work import JobWork
from picard_pilot.testing.clock import VirtualClock

HOUR_S = 3600.0
NO_PAUSES = Remedy.NEXT
"""These failures end a round at once, so that only the long breaks are seen."""


class Storages:
    """A worker whose endpoints answer only while `up` says so; every try is noted with its time in seconds."""

    def __init__(self, clock: VirtualClock, up: Callable[[str, float], bool]) -> None:
        self._clock = clock
        self._up = up
        self.tries: list[tuple[float, str]] = []

    def warm_up(self) -> None:
        """It is there."""

    async def transfer(self, request: StoreRequest, on_progress: Any = None) -> Transferred | TransferFailure:
        assert request.context.endpoint is not None
        name, now = request.context.endpoint.name, self._clock.monotonic()
        self.tries.append((now, name))
        await asyncio.sleep(0)
        if not self._up(name, now):
            return TransferFailure(
                kind=FailureClass.CONTACT, says="nobody answers", surl=request.surl, remedy=NO_PAUSES
            )
        return Transferred(
            surl=request.surl,
            size_bytes=request.size_bytes or 0,
            checksum=Checksum(ChecksumKind.ADLER32, "00000001"),
            seconds=1.0,
            how=How.COPY,
            mover="told",
        )

    async def stat(self, request: StatRequest) -> FileFacts:
        return FileFacts(exists=False)


class Night:
    """One pilot with one job whose payload is over and whose outputs wait to be stored."""

    def __init__(self, directory: Path, up: Callable[[str, float], bool], **settings: Any) -> None:
        self.clock = VirtualClock()
        self.dispatcher = ToldDispatcher(self.clock)
        self.storages = Storages(self.clock, up)
        self.directory = directory
        self._settings = settings
        self.left_is_lost: str | None = None

    def work(self, wall_s: float, label: str = "managed", *more: ev.Event, recover: bool = True) -> JobWork:
        """The job, its payload over after `wall_s`, and what happened since; with `recover` a user wants it kept."""
        (self.directory / "PanDA_Pilot-5" / jobdir.PRIVATE).mkdir(parents=True)
        (self.directory / "PanDA_Pilot-5" / "out").write_text("precious")
        job = Job(
            job_id=5,
            attempt_nr=1,
            label=label,
            recover=recover,
            outputs=(FileSpec(lfn="out", role=FileRole.OUTPUT),),
        )
        ended = PayloadExit(exit_code=0, started_at=0.0, ended_at=wall_s, wall_s=wall_s, cpu_user_s=wall_s)
        journal = MemoryJournal("p1", self.clock.now_utc)
        case = None
        for event in (
            ev.JobReceived(job=job, queue="Q"),
            ev.Admitted(),
            ev.Prepared(),
            ev.PayloadStarted(pid=1, start_ticks=1, started_at=0.0),
            ev.PayloadExited(exit=ended),
            ev.Diagnosed(),
            *more,
        ):
            case, _ = step(case, event, journal.append(event).at)
        assert case is not None
        return JobWork(case, jobdir.bundle_of(self.directory / "PanDA_Pilot-5"), journal)

    def run(self, work: JobWork, alternative: bool = False, **facts: Any) -> tuple[float, int]:
        """When the pilot left, in seconds, and with which code; `facts` are further ones of the queue."""
        parts = parts_for(self.clock, self.dispatcher, self.directory, queue_patience_s=0.0, **self._settings)
        queue = Queue(name="Q", panda_resource="Q", endpoints={"pw": ("A",)}, **facts)
        if alternative:
            queue = msgspec.structs.replace(queue, endpoints={"pw": ("A",), "write_alternative": ("B",)})
        endpoints = {
            name: Endpoint(name=name, protocols=(Protocol(prefix=f"told://{name}"),), paths=PathRule.FLAT)
            for name in "AB"
        }
        worker: Any = self.storages
        parts = msgspec.structs.replace(
            parts,
            site=Site(queue=queue, endpoints=endpoints),
            worker=worker,
            left_is_lost=self.left_is_lost,
        )

        async def scenario() -> tuple[float, int]:
            async with asyncio.timeout(60):
                pilot = asyncio.create_task(Supervisor(parts).run([work]))
                while not pilot.done():
                    await self.clock.settle()
                    wake = self.clock.next_wake()
                    if wake is not None and not pilot.done():
                        await self.clock.advance(wake - self.clock.monotonic())
                return self.clock.monotonic(), pilot.result()

        return asyncio.run(scenario())

    @property
    def last(self) -> Any:
        """What the server was told last."""
        return self.dispatcher.told[-1][1]

    def words(self) -> list[str]:
        """What it was told in all, without repetitions."""
        told = [f"{update.status} {update.phase}" for _, update in self.dispatcher.told]
        return [word for place, word in enumerate(told) if place == 0 or word != told[place - 1]]


def never(name: str, now: float) -> bool:
    """All storages are down for good."""
    return False


def after_two_hours(name: str, now: float) -> bool:
    """They come back after two hours."""
    return now >= 2 * HOUR_S


def hours(tries: list[tuple[float, str]]) -> list[tuple[float, str]]:
    return [(round(at / HOUR_S, 2), name) for at, name in tries]


def test_a_job_of_20_hours_meets_the_storage_that_is_back_after_two(tmp_path: Path) -> None:
    """Tried at once, after half an hour, after two: stored, and no CPU second was lost."""
    night = Night(tmp_path, after_two_hours)
    work = night.work(20 * HOUR_S)
    assert night.run(work) == (pytest.approx(2 * HOUR_S, abs=5), 0)
    assert hours(night.storages.tries) == [(0, "A"), (0.5, "A"), (2, "A")]
    assert work.case.state is State.FINISHED
    assert (night.last.status, night.last.pilot_error_code) == ("finished", 0)
    assert night.words() == ["holding holding", "finished finished"]


def test_a_job_of_10_minutes_waits_for_nobody(tmp_path: Path) -> None:
    """Held at once, for a later pilot; this one leaves with its slot."""
    night = Night(tmp_path, never)
    work = night.work(600)
    ended, code = night.run(work)
    assert (ended < 5, code) == (True, 0)
    assert hours(night.storages.tries) == [(0, "A")]
    assert work.case.waiting
    assert (night.last.status, night.last.phase) == ("holding", "holding")
    assert f"outputs are safe in h:{tmp_path}/PanDA_Pilot-5 until" in night.last.pilot_error_diag
    assert (tmp_path / "PanDA_Pilot-5" / "out").exists()


def test_a_storage_that_never_comes_back_gets_three_breaks(tmp_path: Path) -> None:
    """Then the outputs wait for a later pilot; the server hears `holding` once, and no heartbeat."""
    night = Night(tmp_path, never)
    work = night.work(20 * HOUR_S)
    ended, _ = night.run(work)
    assert hours(night.storages.tries) == [(0, "A"), (0.5, "A"), (2, "A"), (6, "A")]
    assert ended == pytest.approx(6 * HOUR_S, abs=5)
    assert work.case.waiting
    assert [update.status for _, update in night.dispatcher.told] == ["holding"]


@pytest.mark.parametrize(
    ("label", "lifetime_s", "expected"),
    [
        ("user", 90 * HOUR_S, [0, 0.5, 2]),
        ("managed", 3 * HOUR_S, [0, 0.5, 2]),
        ("managed", 1000.0, [0]),
    ],
)
def test_no_break_is_longer_than_there_is_time(
    tmp_path: Path, label: str, lifetime_s: float, expected: list[float]
) -> None:
    """Neither than the server's patience with jobs of users, nor than the pilot lives."""
    night = Night(tmp_path, never, lifetime_s=lifetime_s)
    work = night.work(20 * HOUR_S, label)
    night.run(work)
    assert [at for at, _ in hours(night.storages.tries)] == expected
    assert work.case.waiting


@pytest.mark.parametrize("wall_s", [600, 20 * HOUR_S])
def test_an_alternative_comes_before_any_wait(tmp_path: Path, wall_s: float) -> None:
    """A result that is stored elsewhere is better than one that waits, however long the job was."""
    night = Night(tmp_path, lambda name, now: name == "B")
    work = night.work(wall_s)
    ended, code = night.run(work, alternative=True)
    assert (ended < 5, code) == (True, 0)
    assert hours(night.storages.tries) == [(0, "A"), (0, "B")]
    assert work.case.stored["out"].alternative
    assert night.last.metrics["filesAltStageOut"] == "1"


def test_a_pilot_that_shall_not_hold_fails_the_job(tmp_path: Path) -> None:
    """With the cause, at once."""
    night = Night(tmp_path, never, hold_outputs=False)
    work = night.work(20 * HOUR_S)
    ended, _ = night.run(work)
    assert ended < 5
    assert (work.case.state, night.last.status, night.last.pilot_error_code) == (State.FAILED, "failed", 1137)


@pytest.mark.parametrize("wall_s", [600.0, 20 * HOUR_S])
def test_where_nothing_outlives_the_slot_a_job_waits_for_this_pilot_alone(
    tmp_path: Path, wall_s: float
) -> None:
    """A long job gets its breaks; then, and a short one at once, it is failed while the server can still try again."""
    night = Night(tmp_path, never)
    night.left_is_lost = "the directory is in _CONDOR_SCRATCH_DIR"
    ended, _ = night.run(night.work(wall_s))
    assert night.last.status == "failed"
    assert "holding holding" not in night.words() or wall_s > HOUR_S
    assert (ended > HOUR_S) is (wall_s > HOUR_S)


def test_the_servers_kill_during_a_break_ends_it(tmp_path: Path) -> None:
    """Nobody wants the outputs any more: nothing waits, and nothing is stored."""
    night = Night(tmp_path, never)
    night.dispatcher.answers.append(Orders(commands=("tobekilled",)))
    work = night.work(20 * HOUR_S)
    ended, _ = night.run(work)
    assert ended < HOUR_S
    assert (work.case.state, night.last.pilot_error_code) == (State.FAILED, 1144)


def held_until(until: float) -> ev.OutputsHeld:
    cause = fault("STAGEOUTFAILED", "output out cannot be stored", rule="test")
    return ev.OutputsHeld(faults=(cause,), where="h:/work", until=until)


def test_a_later_pilot_that_comes_too_late_says_so(tmp_path: Path) -> None:
    """The server has given the job up: it fails with the cause, and nothing is stored that nobody would register."""
    night = Night(tmp_path, lambda name, now: True)
    work = night.work(600, "user", held_until(night.clock.now_utc() - 1))
    assert night.run(work)[1] == 0
    assert night.storages.tries == []
    assert (work.case.state, night.last.status, night.last.pilot_error_code) == (State.FAILED, "failed", 1137)
    assert "its window closed on" in night.last.pilot_error_diag


def test_a_later_pilot_that_comes_in_time_stores_the_outputs(tmp_path: Path) -> None:
    """Or, where no storage takes them still, leaves them as they were: the window does not grow."""
    night = Night(tmp_path, lambda name, now: True)
    work = night.work(600, "user", held_until(night.clock.now_utc() + 60))
    night.run(work)
    assert work.case.state is State.FINISHED
    night = Night(tmp_path / "again", never)
    work = night.work(600, "user", held_until(night.clock.now_utc() + 60))
    night.run(work)
    assert work.case.waiting and work.case.held is not None
    assert work.case.held.until <= night.clock.now_utc() + 3 * HOUR_S
    assert work.case.resumed == 1


class Frozen(Storages):
    """A storage that takes a file and never says a word."""

    async def transfer(self, request: StoreRequest, on_progress: Any = None) -> Transferred | TransferFailure:
        await asyncio.Event().wait()
        raise AssertionError


def test_a_pilot_that_must_leave_during_a_stage_out_says_where_the_job_is(tmp_path: Path) -> None:
    """To the journal and to the server, with the window's end: a later pilot, or somebody, has to come for it."""
    night = Night(tmp_path, never, lifetime_s=HOUR_S)
    night.storages = Frozen(night.clock, never)
    work = night.work(20 * HOUR_S)
    night.run(work)
    assert (work.case.state, work.case.left_at) == (State.HOLDING, f"h:{tmp_path}/PanDA_Pilot-5")
    assert work.case.suspended_because is not None
    assert night.last.status == "holding"
    assert f"outputs are safe in h:{tmp_path}/PanDA_Pilot-5 until" in night.last.pilot_error_diag


def test_the_window_counts_from_the_first_holding(tmp_path: Path) -> None:
    """A pilot had to leave during the stage-out, two hours ago: the server has counted since then."""
    night = Night(tmp_path, never)
    start = night.clock.now_utc()
    work = night.work(600, "user", ev.Suspended(reason="the pilot had to leave"))
    night.clock.set_wall(start + 2 * HOUR_S)
    night.run(work)
    assert work.case.waiting and work.case.held is not None
    assert work.case.held.until == pytest.approx(start + 3 * HOUR_S - 300, abs=1)


@pytest.mark.parametrize(
    ("label", "wall_s", "waits"),
    [("user", 600.0, False), ("user", 7 * HOUR_S, True), ("managed", 600.0, True)],
)
def test_who_is_worth_a_wait(tmp_path: Path, label: str, wall_s: float, waits: bool) -> None:
    """A short job of a user, which can be tried again elsewhere, fails at once; a long one and production wait."""
    night = Night(tmp_path, never)
    work = night.work(wall_s, label, recover=False)
    night.run(work)
    held = [type(record.event) for record in work.journal.records].count(ev.OutputsHeld)
    assert bool(held) is waits
    if not waits:
        assert work.case.state is State.FAILED
        assert work.case.faults[0].says.startswith("output out")


def test_a_queue_whose_jobs_cannot_move_keeps_them(tmp_path: Path) -> None:
    """Then a short job of a user is worth a wait as well."""
    night = Night(tmp_path, never)
    work = night.work(600, "user", recover=False)
    night.run(work, jobs_can_move=False)
    assert work.case.waiting and work.case.held is not None
    assert work.case.held.why == "it can run nowhere else"
