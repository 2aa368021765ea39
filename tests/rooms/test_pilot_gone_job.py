"""The end of a job's directory, on file systems that keep what is open."""

import signal
from pathlib import Path

import msgspec
import pytest
from pilot_kit import work_for
from slot_kit import ToldSlot

from picard_pilot.journal.file import Journal
from picard_pilot.model import events as ev
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.states import State
from picard_pilot.payload import jobdir
from picard_pilot.pilot import signals
from picard_pilot.testing.clock import VirtualClock


def test_the_pilot_has_nothing_open_in_a_directory_that_it_removes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On NFS a file that is removed while it is open becomes another one, `.nfs...`, and keeps its directory."""
    slot = ToldSlot(tmp_path, monkeypatch)
    slot.output_bytes, slot.runs_s = 100, 60.0
    kept: list[str] = []

    def remove(bundle: Bundle, last: str | None = None) -> list[str]:
        for descriptor in Path("/proc/self/fd").iterdir():
            try:
                target = str(descriptor.readlink())
            except FileNotFoundError:
                continue  # the listing's own, or another thread's
            if target.startswith(bundle.directory):
                kept.append(target)
        return really_remove(bundle, last)

    really_remove = jobdir.remove
    monkeypatch.setattr(jobdir, "remove", remove)
    assert slot.run() == 0
    assert slot.report[1].status == "finished"
    assert kept == [] and not list(tmp_path.glob("PanDA_Pilot-*"))


def test_what_happens_to_a_job_that_is_over_is_not_written_down(tmp_path: Path) -> None:
    """A signal may come while the directory is being removed: its journal is closed then."""
    clock = VirtualClock()
    work = work_for(tmp_path, clock)
    work.case = msgspec.structs.replace(work.case, state=State.FINISHED)
    work.journal = Journal(tmp_path / "journal.jsonl", "p1", clock.now_utc)
    work.journal.close()
    assert work.record(ev.StopRequested(stop=signals.stop_for(signal.SIGTERM, 10.0))) == ()
    assert work.case.state is State.FINISHED and (tmp_path / "journal.jsonl").read_bytes() == b""
