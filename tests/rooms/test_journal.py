"""The journal on a real disk: what was acknowledged is there after any crash."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picard_pilot.journal.file import Journal, JournalDamaged, JournalFull, JournalTaken, read
from picard_pilot.journal.record import DamagedRecord, from_line, to_line
from picard_pilot.lifecycle.fold import fold
from picard_pilot.model import events as ev
from picard_pilot.model.job import Job
from picard_pilot.model.states import State

EVENTS: list[ev.Event] = [
    ev.JobReceived(job=Job(job_id=1, attempt_nr=1, parameters="ünï\x7f"), queue="Q"),
    ev.Admitted(),
    ev.Prepared(),
]


def written(path: Path) -> Path:
    journal = Journal(path, "p1", lambda: 1000.0)
    for event in EVENTS:
        journal.append(event)
    journal.close()
    return path


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    """Events, their order, time and writer; and they fold to the same case."""
    records = read(written(tmp_path / "j"))
    assert [record.event for record in records] == EVENTS
    assert [record.seq for record in records] == [1, 2, 3]
    case = fold((record.event, record.at) for record in records)
    assert case is not None
    assert case.state is State.LAUNCHING


def test_a_later_pilot_goes_on_in_the_same_file(tmp_path: Path) -> None:
    """Sequence numbers go on, and time never runs backwards even if the clock did."""
    path = written(tmp_path / "j")
    journal = Journal(path, "p2", lambda: 5.0)
    record = journal.append(ev.Resumed(pilot="p2"))
    journal.close()
    assert (record.seq, record.at, record.by) == (4, 1000.0, "p2")
    assert len(read(path)) == 4


@pytest.mark.parametrize("in_reserve", [False, True])
def test_a_pilot_that_was_believed_dead_writes_nothing_into_what_another_one_has_written(
    tmp_path: Path, in_reserve: bool
) -> None:
    """Not over it either, also where the journal lies in blocks that were set aside."""
    path, reserve = tmp_path / "j", tmp_path / "reserve"
    first = Journal(path, "p1", lambda: 1000.0)
    first.append(EVENTS[0])
    if in_reserve:
        reserve.write_bytes(b"\0" * 4096)
        first.move_into(reserve)
    first.append(EVENTS[1])
    second = Journal(path, "p2", lambda: 1000.0)
    second.append(ev.Resumed(pilot="p2"))
    before = path.read_bytes()
    with pytest.raises(JournalTaken, match="another pilot goes on with this job"):
        first.append(EVENTS[2])
    assert path.read_bytes() == before
    second.append(EVENTS[2])
    assert [record.by for record in read(path)] == ["p1", "p1", "p2", "p2"]
    for journal in (first, second):
        journal.close()


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 10_000))
def test_a_torn_end_loses_only_the_torn_record(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """Wherever the file ends, every record that is whole is read, and appending goes on behind it."""
    path = written(tmp_path_factory.mktemp("torn") / "j")
    whole = path.read_bytes()
    cut %= len(whole) + 1
    path.write_bytes(whole[:cut])
    kept = whole[:cut].count(b"\n")
    assert [record.event for record in read(path)] == EVENTS[:kept]
    journal = Journal(path, "p2", lambda: 2000.0)
    journal.append(ev.Resumed(pilot="p2") if kept else EVENTS[0])
    journal.close()
    assert len(read(path)) == kept + 1


def test_a_last_line_with_wrong_bytes_is_torn_too(tmp_path: Path) -> None:
    """Blocks can reach the disk out of order."""
    path = written(tmp_path / "j")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + b"\0" * (len(lines[-1]) - 1) + b"\n")
    assert len(read(path)) == 2


def test_damage_in_the_middle_is_not_passed_over(tmp_path: Path) -> None:
    """The error names the file and the line."""
    path = written(tmp_path / "j")
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(JournalDamaged, match=r"j, line 1: the line does not fit its checksum"):
        read(path)


def test_a_record_of_a_newer_pilot_is_refused_not_misread() -> None:
    """Its version is named."""
    import binascii

    body = b'{"v":99,"seq":1,"at":1.0,"by":"x","event":{"event":"Admitted"}'
    line = b'%s,"crc":"%08x"}' % (body, binascii.crc32(body))
    with pytest.raises(DamagedRecord, match="version 99"):
        from_line(line)


def test_the_last_record_of_a_newer_pilot_is_not_cut_off_as_torn(tmp_path: Path) -> None:
    """It is whole: an older pilot leaves the job to one that understands it."""
    import binascii

    path = written(tmp_path / "j")
    body = b'{"v":1,"seq":4,"at":1.0,"by":"x","event":{"event":"FromTomorrow"}'
    path.write_bytes(path.read_bytes() + b'%s,"crc":"%08x"}\n' % (body, binascii.crc32(body)))
    whole = path.read_bytes()
    with pytest.raises(JournalDamaged, match="line 4: the line is not a record"):
        Journal(path, "p2", lambda: 2000.0)
    assert path.read_bytes() == whole


def test_a_line_is_json(tmp_path: Path) -> None:
    """Readable with any tool, one record a line."""
    import json

    for line, record in zip(
        written(tmp_path / "j").read_bytes().splitlines(), read(tmp_path / "j"), strict=True
    ):
        assert json.loads(line)["seq"] == record.seq
        assert to_line(record) == line + b"\n"


def staged(number: int) -> ev.InputStaged:
    """An input's event."""
    return ev.InputStaged(
        lfn=f"in{number}", size_bytes=1, how="copy", surl="s", endpoint="E", seconds=0.0, reason="test"
    )


def test_staged_inputs_reach_the_disk_with_the_next_other_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand inputs cost two waits for the disk, not ten thousand."""
    path = written(tmp_path / "j")
    journal = Journal(path, "p1", lambda: 1000.0)
    waits: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: waits.append(path.read_bytes().count(b"\n")))
    for number in range(10_000):
        journal.append(staged(number))
    assert waits == []
    assert len(read(path)) == 10_003
    journal.append(ev.InputsReady())
    assert waits == [10_004]
    journal.close()


@settings(max_examples=60, deadline=None)
@given(begin=st.integers(0, 3000), size=st.integers(1, 3000))
def test_a_power_cut_among_staged_inputs(
    tmp_path_factory: pytest.TempPathFactory, begin: int, size: int
) -> None:
    """Any part of what was not yet on the disk may be missing, whole blocks in the middle too: what stands before it
    is read, and a later pilot goes on behind that."""
    path = written(tmp_path_factory.mktemp("cut") / "j")
    durable = path.stat().st_size
    journal = Journal(path, "p1", lambda: 1000.0)
    for number in range(20):
        journal.append(staged(number))
    journal.close()
    data = bytearray(path.read_bytes())
    begin = durable + begin % (len(data) - durable)
    end = min(begin + size, len(data))
    data[begin:end] = bytes(end - begin)
    path.write_bytes(bytes(data))
    kept = bytes(data[:begin]).count(b"\n")
    assert [record.event for record in read(path)][:3] == EVENTS
    assert len(read(path)) == kept
    later = Journal(path, "p2", lambda: 2000.0)
    later.append(ev.Resumed(pilot="p2"))
    later.close()
    assert len(read(path)) == kept + 1


def test_damage_before_an_event_that_was_awaited_is_no_power_cut(tmp_path: Path) -> None:
    """That event was on the disk, and so was all before it: somebody has changed the file."""
    path = written(tmp_path / "j")
    journal = Journal(path, "p1", lambda: 1000.0)
    for number in range(3):
        journal.append(staged(number))
    journal.append(ev.InputsReady())
    journal.close()
    path.write_bytes(path.read_bytes().replace(b"in1", b"in9"))
    with pytest.raises(JournalDamaged, match="line 5"):
        read(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_said_and_the_file_stays_whole(tmp_path: Path) -> None:
    """The event that does not fit is refused; all earlier ones stay, and there is room again later."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], check=True)
    try:
        journal = Journal(tmp_path / "j", "p1", lambda: 1.0)
        journal.append(EVENTS[0])
        hog = tmp_path / "hog"
        with hog.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(b"x" * 4096)
        with pytest.raises(JournalFull):
            for _ in range(1000):
                journal.append(ev.Resumed(pilot="p1"))
        count = len(read(tmp_path / "j"))
        assert count == len(journal.records)
        hog.unlink()
        journal.append(ev.Resumed(pilot="p1"))
        journal.close()
        assert len(read(tmp_path / "j")) == count + 1
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
