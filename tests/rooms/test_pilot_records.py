"""What the pilot writes down, on disks that take nothing: the view is lost, or the pilot leaves, and says so."""

import asyncio
import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest
from pilot_kit import ToldDispatcher, parts_for, work_for

from picard_pilot.journal.file import Journal
from picard_pilot.journal.record import Record
from picard_pilot.model import events as ev
from picard_pilot.model.job import Job
from picard_pilot.model.orders import Acquired
from picard_pilot.pilot.status import write_pilot_heartbeat, write_status
from picard_pilot.pilot.supervisor import Supervisor
from picard_pilot.pilot.wiring import CannotStart, find_workdir
from picard_pilot.settings.read import settings_for
from picard_pilot.testing.clock import VirtualClock


def test_a_disk_that_fails_under_a_journal_keeps_the_job_for_a_later_pilot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the medium is no reason to end without a word: the job waits, and no other is taken."""
    append = Journal.append

    def sick(journal: Journal, event: ev.Event, at: float | None = None) -> Record:
        if isinstance(event, ev.Prepared):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return append(journal, event, at)

    monkeypatch.setattr(Journal, "append", sick)

    async def scenario() -> int:
        dispatcher = ToldDispatcher(clock := VirtualClock())
        for job_id in (9, 10):
            job = Job(job_id=job_id, attempt_nr=1, transformation="/bin/true")
            dispatcher.jobs.append(Acquired(jobs=(job,)))
        async with asyncio.timeout(60):
            return await Supervisor(parts_for(clock, dispatcher, tmp_path)).run([])

    assert asyncio.run(scenario()) == 66
    assert [path.name for path in tmp_path.glob("PanDA_Pilot-*")] == ["PanDA_Pilot-9"]


def test_views_that_cannot_be_written_cost_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file system that has become read-only refuses to remove, too, what is not there: it is said, and no more."""
    refused: list[str] = []

    def refuse(path: Path, *_: Any, **__: Any) -> None:
        refused.append(path.name)
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    work = work_for(tmp_path, VirtualClock())
    Path(work.bundle.private).mkdir(parents=True, exist_ok=True)
    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, refuse)
    write_status(work.case, work.bundle, "p1")
    write_pilot_heartbeat(tmp_path, None)
    ours = [f".{name}.{os.getpid()}" for name in ("status.json", "pilot_heartbeat.json")]
    assert refused == [ours[0], ours[0], ours[1], ours[1]]
    assert [record.getMessage() for record in caplog.records] == [
        f"{name} could not be written: {os.strerror(errno.EROFS)}"
        for name in ("status.json", "pilot_heartbeat.json")
    ]


def test_a_work_directory_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    """At once, and not with the first job."""
    named = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    with pytest.raises(CannotStart, match="no work directory"):
        find_workdir(settings_for(workdir=named), {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_work_directory_without_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """As Lustre's without `flock`: no payload could be started there, and each job would fail."""

    def no_locks(fd: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    assert find_workdir(settings_for(workdir=str(tmp_path)), {}) == tmp_path
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(CannotStart, match=r"has no file locks \(.*-o flock"):
        find_workdir(settings_for(workdir=str(tmp_path)), {})
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_does_not_speak_against_its_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have jobs that wait for a pilot."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "open", full)
    assert find_workdir(settings_for(workdir=str(tmp_path)), {}) == tmp_path
