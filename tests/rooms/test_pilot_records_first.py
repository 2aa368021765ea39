"""What stands in the journal before anything else is done: a job that has come, and each step of a stage-out."""

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest
from pilot_kit import ToldDispatcher, parts_for
from test_pilot_holding import Night

from picard_pilot.journal import file as journal_file
from picard_pilot.journal.file import JournalFull
from picard_pilot.journal.memory import MemoryJournal
from picard_pilot.journal.record import Record
from picard_pilot.model import events as ev
from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.job import Job
from picard_pilot.model.orders import Acquired
from picard_pilot.model.states import State
from picard_pilot.model.transfer import (
    FileFacts,
    Registered,
    RegisterRequest,
    Removed,
    RemoveRequest,
    Replicas,
    ReplicasRequest,
    StatRequest,
)
from picard_pilot.pilot.stepping import Stepper
from picard_pilot.pilot.supervisor import Supervisor
from picard_pilot.testing.clock import VirtualClock

EIO = OSError(errno.EIO, os.strerror(errno.EIO))


class Sick(MemoryJournal):
    """Takes no record of one kind."""

    kind: type[ev.Event]
    error: Exception

    def append(self, event: ev.Event, at: float | None = None) -> Record:
        """Fail, or remember."""
        if isinstance(event, self.kind):
            raise self.error
        return super().append(event, at)


class Watched:
    """What was asked of storages and catalogue, in order; every storage holds the file that is asked for."""

    def __init__(self, night: Night) -> None:
        self.asked: list[str] = []
        worker: Any = night.storages
        transfer = worker.transfer

        async def noted(request: Any, on_progress: Any = None) -> Any:
            self.asked.append(f"store {request.context.endpoint.name}")
            return await transfer(request, on_progress)

        worker.transfer, worker.replicas, worker.register = noted, self.replicas, self.register
        worker.stat, worker.remove = self.stat, self.remove

    async def replicas(self, request: ReplicasRequest) -> Replicas:
        return Replicas(files=(), catalogue="told")

    async def register(self, request: RegisterRequest) -> Registered:
        self.asked.append("register")
        return Registered(catalogue="told")

    async def stat(self, request: StatRequest) -> FileFacts:
        self.asked.append("stat")
        return FileFacts(
            exists=True, size_bytes=len("precious"), checksum=Checksum(ChecksumKind.ADLER32, "00000001")
        )

    async def remove(self, request: RemoveRequest) -> Removed:
        self.asked.append("remove")
        return Removed(was_there=True)


@pytest.mark.parametrize("error", [EIO, JournalFull("journal")], ids=["sick", "full"])
@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        (ev.OutputDiverted, ["store A"]),
        (ev.OutputRegistering, ["store A", "store B"]),
        (ev.OutputStored, ["store A", "store B", "register"]),
        (ev.OutputPlaceCleared, ["store A", "store B", "register", "stat", "remove"]),
    ],
)
def test_what_cannot_be_written_down_is_not_done(
    tmp_path: Path, kind: type[ev.Event], asked: list[str], error: Exception
) -> None:
    """No byte to the alternative, no word to the catalogue, no copy removed; this pilot leaves at once."""
    night = Night(tmp_path, lambda name, now: name == "B")
    watched = Watched(night)
    work = night.work(600)
    journal = Sick("p1", night.clock.now_utc)
    assert isinstance(work.journal, MemoryJournal)
    journal.records, journal.kind, journal.error = work.journal.records, kind, error
    work.journal = journal
    ended, code = night.run(work, alternative=True, movers={"default": ("told",)}, register_outputs=True)
    assert watched.asked == asked
    assert ended < 60
    assert (work.case.state, code) == (State.STAGING_OUT, 69 if isinstance(error, JournalFull) else 66)
    assert (tmp_path / "PanDA_Pilot-5" / "out").read_text() == "precious"


class Killed(BaseException):
    """Kill -9."""


def test_a_job_that_has_come_is_on_record_before_anything_is_loaded_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To load what works on jobs takes a tenth of a second, in which a pilot may be killed: until the record stands,
    nobody but the server knows of the job, which waits half an hour for a word."""

    def killed_here(stepper: Stepper) -> None:
        raise Killed

    monkeypatch.setattr(Stepper, "performer", property(killed_here))
    dispatcher = ToldDispatcher(clock := VirtualClock())
    dispatcher.jobs.append(Acquired(jobs=(Job(job_id=5, attempt_nr=1),)))
    with pytest.raises(BaseExceptionGroup) as raised:
        asyncio.run(Supervisor(parts_for(clock, dispatcher, tmp_path)).run([]))
    assert raised.value.subgroup(Killed) is not None
    (record,) = journal_file.read(tmp_path / "PanDA_Pilot-5" / "picard" / journal_file.NAME)
    assert isinstance(record.event, ev.JobReceived)
