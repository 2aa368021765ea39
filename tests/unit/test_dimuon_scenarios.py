"""The demonstration's jobs as data, and the judgement on how they ended."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("rich", reason="the demo extra is not installed")

from picard_pilot.server.views import FileRow, JobDetail, JobError, JobRow
from picard_pilot.settings.read import SettingsTrouble
from picard_pilot.tools.demo_judge import judge
from picard_pilot.tools.scenarios import pi
from picard_pilot.tools.scenarios.table import FAILING, FIRST, FURTHER, StoredInput, chosen
from picard_pilot.wire.jobspec import accept

INPUT = StoredInput(lfn="Zmumu.root", size_bytes=12, adler32="0a1b2c3d")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def job(status: str, errors: tuple[tuple[str, int], ...] = (), files: tuple[FileRow, ...] = ()) -> JobDetail:
    """A job that ended like this."""
    row = JobRow(
        **{"job_id": 1, "attempt_nr": 1, "max_attempt": 1, "parent_id": None, "first_id": 1, "name": "n"},
        **{"queue": "Q", "label": "user", "owner": "o", "priority": 0, "cores": 1, "sub_status": None},
        **{"kill_requested": False, "debug": False, "host": None, "pilot_id": None, "batch_id": None},
        **{"created_at": NOON, "sent_at": NOON, "started_at": NOON, "ended_at": NOON + timedelta(seconds=3)},
        **{"changed_at": NOON, "updated_at": NOON},
        status=status,
        errors=tuple(JobError(component=who, code=code, diag=f"{who} {code}") for who, code in errors),
    )  # type: ignore[arg-type]
    return JobDetail(
        **{"row": row, "transformation": "t", "parameters": "", "resources": {}, "usage": {}, "history": ()},
        **{"attempts": (), "command": None, "metadata": None, "debug_stdout": None, "pilot_log": None},
        event_id=1,
        files=files,
    )  # type: ignore[arg-type]


def stored(path: Path, **known: object) -> FileRow:
    """A file as a report tells of it."""
    facts: dict[str, object] = {
        **{"lfn": path.name, "role": "output", "scope": None, "guid": None, "dataset": None, "endpoint": "E"},
        **{
            "may_be_absent": False,
            "status": "ready",
            "surl": path.as_uri(),
            "size_bytes": None,
            "checksum": None,
        },
        **known,
    }
    return FileRow(**facts)  # type: ignore[arg-type]


@pytest.mark.parametrize("scenario", [FIRST, *FAILING, FURTHER], ids=lambda scenario: scenario.name)
def test_every_spec_is_a_job(scenario: object) -> None:
    """A server takes each one, and its outputs carry the job's number."""
    assert hasattr(scenario, "spec")
    accepted = accept(scenario.spec([INPUT]))
    assert accepted.queue == "PICARD_DEMO"
    assert all("$PANDAID" in output.lfn for output in accepted.job.outputs)
    assert accepted.job.log is not None


def test_jobs_are_chosen_in_order() -> None:
    """The physics first, then the failures that were asked for, then good ones, and never more than asked for."""
    assert [one.name for one in chosen(5, ("exit7", "signal", "missing-input"))] == [
        "dimuon", "exit7", "signal", "missing-input", "pi",
    ]  # fmt: skip
    assert [one.name for one in chosen(4, ("signal", "signal"))] == ["dimuon", "signal", "pi", "pi"]
    assert [one.name for one in chosen(2, ("exit7", "signal"))] == ["dimuon", "exit7"]
    assert [one.name for one in chosen(3, ("none",))] == ["dimuon", "pi", "pi"]


def test_an_unknown_failure_names_the_nearest() -> None:
    """A slip of the hand is met with the right word."""
    with pytest.raises(SettingsTrouble, match="nearest: signal"):
        chosen(5, ("signl",))


def test_a_good_end_needs_its_files(tmp_path: Path) -> None:
    """Finished is not enough: each output is looked up, and its bytes are compared."""
    path = tmp_path / "out put.root"
    path.write_bytes(b"hello")
    good = f"ad:{zlib.adler32(b'hello'):08x}"
    assert judge(FIRST, job("finished", files=(stored(path, size_bytes=5, checksum=good),))).wrong == ()
    md5 = "md5:5d41402abc4b2a76b9719d911017c592"
    assert judge(FIRST, job("finished", files=(stored(path, checksum=md5),))).wrong == ()
    for known, said in (
        ({"checksum": "ad:00000001"}, "its checksum is"),
        ({"checksum": good, "size_bytes": 6}, "it has 5 bytes"),
        ({"surl": None}, "was not stored"),
        ({"surl": "root://elsewhere//x", "checksum": good}, "is no file of this machine"),
        ({"surl": (tmp_path / "gone").as_uri(), "checksum": good}, "not there"),
        ({}, "gives no checksum"),
    ):
        (wrong,) = judge(FIRST, job("finished", files=(stored(path, **known),))).wrong
        assert said in wrong


def test_a_failure_must_be_the_one_that_was_meant() -> None:
    """State, pilot's code and exit status are all compared."""
    exit7 = FAILING[0]
    assert judge(exit7, job("failed", (("pilot", 1305), ("payload", 7)))).wrong == ()
    verdict = judge(exit7, job("failed", (("pilot", 1099), ("payload", 8))))
    assert verdict.wrong == (
        "the pilot's code is 1099, and should be 1305",
        "its payload's status is 8, and should be 7",
    )
    assert judge(exit7, job("finished")).wrong[0] == "it is finished, and should be failed"
    assert judge(FAILING[2], job("failed", (("pilot", 1331),))).wrong == ()


def test_pi_is_found_again(tmp_path: Path) -> None:
    """The small payload writes a number that is near enough, and the same for the same seed."""
    first, second = tmp_path / "1.txt", tmp_path / "2.txt"
    for path in (first, second):
        assert pi.main([str(path), "--seed", "7", "--points", "20000"]) == 0
    assert first.read_text() == second.read_text()
    assert abs(float(first.read_text().split()[2]) - 3.1416) < 0.05
