"""Simulated slots, one for each source of an end: output, log and report leave before it, or it is said why not."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from slot_kit import BEGAN, LOG, OUTPUT, ToldSlot
from slot_sources_kit import END, GB, HOUR_S, SOURCES, answers

from picard_pilot.model.command import CommandResult, EndedBy, ProcessId
from picard_pilot.model.events import Event
from picard_pilot.model.site import QueueLimits
from picard_pilot.model.slot import Found, SlotEnd
from picard_pilot.pilot.work import JobWork


@pytest.fixture(params=SOURCES)
def source(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, ToldSlot]:
    """Each source of an end, and a slot that ends by it after an hour."""
    name, prepare = SOURCES[request.param]
    slot = ToldSlot(tmp_path, monkeypatch)
    prepare(slot, monkeypatch)
    return name, slot


def test_output_log_and_report_leave_before_the_end(source: tuple[str, ToldSlot]) -> None:
    """A payload that would go on for ever has written 300 MB, five minutes of this storage's time; it ends well when
    it is stopped. It was warned before, and all that knew of the end knew the same one."""
    name, slot = source
    slot.output_bytes, slot.storage.bytes_s = 300_000_000, 1e6
    code = slot.run()
    told_at, report = slot.report
    assert (report.status, report.pilot_error_code) == ("finished", 0)
    assert code == (68 if "token" in name else 81)
    assert slot.payload.warned_at is not None and slot.payload.stopped_at is not None
    assert slot.payload.warned_at < slot.payload.stopped_at < slot.storage.stored[OUTPUT]
    assert slot.storage.stored[OUTPUT] < slot.storage.stored[LOG] <= told_at <= slot.left_at < HOUR_S
    seen = slot.looks[-1]
    assert name in f"{seen.by}: {seen.evidence}"
    assert seen.ends_at == pytest.approx(END, abs=1.0)
    assert seen.reserve_s > 300


def test_who_ends_badly_is_told_by_whose_word(source: tuple[str, ToldSlot]) -> None:
    """The fault has the number of its kind, the source, and what was read there; the log leaves in time."""
    name, slot = source
    slot.exit_when_stopped = 1
    slot.run()
    told_at, report = slot.report
    assert report.status == "failed"
    assert report.pilot_error_code == (1163 if "token" in name else 1213)
    assert report.pilot_error_diag is not None and "the slot ends at" in report.pilot_error_diag
    assert name in report.pilot_error_diag or name in slot.looks[-1].evidence
    assert slot.storage.stored[LOG] <= told_at <= slot.left_at < HOUR_S


def test_the_lifetime_is_the_pilot_s_own_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else ends the slot then: the payload runs to the end; what it made leaves in the tenth that follows."""
    slot = ToldSlot(tmp_path, monkeypatch, lifetime_s=HOUR_S)
    slot.output_bytes = 1 * GB
    assert slot.run() == 81
    assert slot.payload.stopped_at == HOUR_S
    assert slot.report[1].status == "finished"
    assert HOUR_S < slot.storage.stored[OUTPUT] < slot.report[0] <= slot.left_at < 1.1 * HOUR_S


def test_a_signal_leaves_its_grace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can leave within the graces does; the slot's end is then the signal's, in status.json as well."""
    slot = ToldSlot(tmp_path, monkeypatch)
    slot.output_bytes = 1_000_000
    slot.happens[100.0] = lambda pilot: pilot._on_signal(signal.SIGTERM)
    assert slot.run() == 128 + signal.SIGTERM
    assert slot.report[1].status == "finished"
    assert slot.left_at < 121
    assert slot.looks[-1].by == "SIGTERM"


@pytest.mark.parametrize(
    ("number", "grace_s"), [(signal.SIGUSR2, 600), (signal.SIGTERM, None)], ids=["run limit", "bkill"]
)
def test_a_batch_system_s_own_grace_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, grace_s: int | None
) -> None:
    """LSF kills ten minutes after its run limit: five minutes of this storage's time are there then; after its other
    signals nobody knows, and what cannot leave within our own graces waits on disk."""
    slot = ToldSlot(tmp_path, monkeypatch)
    answers(slot, monkeypatch, "-;0 second(s)\n", LSB_JOBID="7")
    slot.output_bytes, slot.storage.bytes_s = 300_000_000, 1e6
    slot.happens[100.0] = lambda pilot: pilot._on_signal(number)
    assert slot.run() == 128 + number
    if grace_s is None:
        assert slot.storage.stored == {} and slot.left_at < 121
        return
    assert slot.report[1].status == "finished"
    assert 400 < slot.storage.stored[OUTPUT] < slot.storage.stored[LOG] <= slot.left_at < 100 + grace_s - 30


def test_a_second_signal_ends_a_long_grace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends it wants the pilot gone now."""
    slot = ToldSlot(tmp_path, monkeypatch)
    answers(slot, monkeypatch, "-;0 second(s)\n", LSB_JOBID="7")
    slot.output_bytes, slot.storage.bytes_s = 300_000_000, 1e6
    slot.happens = {at: lambda pilot: pilot._on_signal(signal.SIGUSR2) for at in (100.0, 200.0)}
    assert slot.run() == 128 + signal.SIGUSR2
    assert slot.left_at < 202


def test_what_cannot_leave_in_time_waits_and_it_is_said_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A storage that is far slower than it was thought to be: the pilot is gone before the end, the job is on disk."""
    slot = ToldSlot(tmp_path, monkeypatch)
    slot.environ.update(SLURM_JOB_ID="7", SLURM_JOB_END_TIME=f"{END:.0f}")
    slot.storage.bytes_s = 1000.0
    slot.output_bytes = 100_000_000
    slot.run()
    assert slot.left_at < HOUR_S
    assert slot.storage.stored == {}
    assert (
        "had to leave before the job was done"
        in (slot.directory / "PanDA_Pilot-5/picard/journal.jsonl").read_text()
    )
    assert "waits on disk for a later pilot" in caplog.text


def test_a_measured_storage_moves_the_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The more there is to write, the earlier the payload is stopped; a faster storage gives time back."""
    stops = {}
    for size_bytes, assumed in ((100_000_000, 1_000_000), (1 * GB, 1_000_000), (1 * GB, 5_000_000)):
        folder = tmp_path / f"{size_bytes}-{assumed}"
        folder.mkdir()
        slot = ToldSlot(folder, monkeypatch, assumed_rate_bytes=assumed)
        slot.environ.update(SLURM_JOB_ID="7", SLURM_JOB_END_TIME=f"{END:.0f}")
        slot.output_bytes = size_bytes
        slot.run()
        assert slot.report[1].status == "finished"
        stops[size_bytes, assumed] = slot.payload.stopped_at
    assert stops == pytest.approx(
        {(100_000_000, 1_000_000): 3430, (1 * GB, 1_000_000): 2645, (1 * GB, 5_000_000): 3330}, abs=61
    )


def test_a_payload_that_heeds_the_warning_ends_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never stopped, and the pilot takes no further job."""
    slot = ToldSlot(tmp_path, monkeypatch)
    slot.environ.update(SLURM_JOB_ID="7", SLURM_JOB_END_TIME=f"{END:.0f}")
    slot.heeds_warning, slot.output_bytes = True, 1_000_000
    assert slot.run() == 0
    assert slot.payload.stopped_at is None
    assert slot.report[1].status == "finished" and slot.report[1].pilot_error_code == 0


def test_a_warning_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drain file told of an end and is gone again: the notice goes, and the payload is not stopped."""
    slot = ToldSlot(tmp_path, monkeypatch)
    path = tmp_path / "drain"
    slot.settings["drain_file"] = str(path)
    slot.runs_s = 2 * HOUR_S
    at_notice: list[bool] = []
    there = tmp_path / "PanDA_Pilot-5" / "stop_notice.json"
    slot.happens = {
        100.0: lambda _: path.write_text(f"{BEGAN + 1200:.0f}"),
        1090.0: lambda _: (at_notice.append(there.exists()), path.unlink()),
        1160.0: lambda _: at_notice.append(there.exists()),
    }
    assert slot.run() == 0
    assert at_notice == [True, False]
    assert slot.payload.stopped_at is None and slot.report[1].status == "finished"


def test_the_server_hears_how_much_time_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less what stopping, the log and the report take; and heartbeats say it, too."""
    slot = ToldSlot(tmp_path, monkeypatch)
    slot.environ.update(SLURM_JOB_ID="7", SLURM_JOB_END_TIME=f"{END:.0f}")
    slot.runs_s = 2000.0
    slot.run()
    first, *_ = slot.remaining_told
    assert 3600 - 200 < first < 3600 - 30
    told = [int(update.metrics["remainingTime"]) for _, update in slot.dispatcher.told if not update.final]
    assert told == sorted(told, reverse=True) and told[0] <= first and told[-1] <= first - 1990


def test_a_job_that_needs_more_than_is_left_is_run_as_far_as_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The server knew how much was left, and had its reasons; its estimate is often too long."""
    slot = ToldSlot(tmp_path, monkeypatch)
    slot.environ.update(SLURM_JOB_ID="7", SLURM_JOB_END_TIME=f"{END:.0f}")
    slot.walltime_s, slot.runs_s = 86400, 1000.0
    assert slot.run() == 0
    assert slot.report[1].status == "finished"
    assert "may need 86400 s, and" in caplog.text


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("SIGUSR1", "SIGUSR1 sent to 0 processes"),
        ("LOUDLY", "the queue's warning_signal 'LOUDLY' is no signal"),
    ],
)
def test_a_queue_names_the_signal_of_the_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, named: str, says: str
) -> None:
    """Among its parameters; one that does not exist is said, and costs nothing but the signal."""
    slot = ToldSlot(tmp_path, monkeypatch)
    slot.environ.update(SLURM_JOB_ID="7", SLURM_JOB_END_TIME=f"{END:.0f}")
    slot.queue["params"] = {"warning_signal": named}
    launch = slot.payload.launch

    async def with_a_launcher(work: JobWork) -> Event:
        work.launcher = ProcessId(pid=1, start_ticks=1)  # which is gone
        return await launch(work)

    monkeypatch.setattr(slot.payload, "launch", with_a_launcher)
    caplog.set_level("INFO", "picard.slot")
    assert slot.run() == 81
    assert slot.payload.warned_at is not None and slot.report[1].status == "finished"
    assert caplog.text.count(says) == 1


def test_a_stop_that_cannot_wait_comes_with_its_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The administrator gives less time than the reserve is: stopped at the next look, a minute later at most."""
    slot = ToldSlot(tmp_path, monkeypatch)
    path = tmp_path / "drain"
    slot.settings["drain_file"] = str(path)
    slot.happens[100.0] = lambda _: path.write_text(f"{BEGAN + 220:.0f}")
    assert slot.run() == 81
    assert slot.payload.stopped_at is not None and 100 < slot.payload.stopped_at <= 165
    assert (tmp_path / "PanDA_Pilot-5").exists() is False and slot.left_at < 220


def test_a_notice_is_kept_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The administrator changes his mind while payloads are warned: the file tells the new moment."""
    slot = ToldSlot(tmp_path, monkeypatch)
    path, there = tmp_path / "drain", tmp_path / "PanDA_Pilot-5" / "stop_notice.json"
    slot.settings["drain_file"] = str(path)
    told: list[float] = []
    slot.happens = {
        100.0: lambda _: path.write_text(f"{BEGAN + 3000:.0f}"),
        2750.0: lambda _: (
            told.append(json.loads(there.read_text())["slot_ends_at"]),
            path.write_text(f"{END:.0f}"),
        ),
        3350.0: lambda _: told.append(json.loads(there.read_text())["slot_ends_at"]),
    }
    slot.run()
    assert told == pytest.approx([BEGAN + 3000, END], abs=1e-3)


@pytest.mark.parametrize("left_s", [60, 300])
def test_no_job_is_asked_for_when_none_could_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_s: int
) -> None:
    """A pilot that begins in the last minutes of a slot leaves at once, without having asked."""
    slot = ToldSlot(tmp_path, monkeypatch, slot_margin_s=250.0)
    slot.environ.update(SLURM_JOB_ID="7", SLURM_JOB_END_TIME=f"{BEGAN + left_s:.0f}")
    assert slot.run() == 0
    assert slot.dispatcher.asked == []


def test_the_first_question_waits_for_the_batch_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For five seconds; a controller that says nothing does not hold the pilot up any longer."""
    slot = ToldSlot(tmp_path, monkeypatch)
    slot.environ["SLURM_JOB_ID"] = "7"
    slot.runs_s = 10.0

    async def run(argv: tuple[str, ...], **_: Any) -> CommandResult:
        await slot.clock.sleep(9.0)
        return CommandResult(
            ended_by=EndedBy.ITSELF, exit_code=1, stderr_tail="slurm_load_jobs error: no controller"
        )

    monkeypatch.setattr("picard_pilot.system.run.run", run)
    assert slot.run() == 0
    assert slot.dispatcher.asked[0][0] == 5.0


def test_a_drain_file_without_a_time_lets_the_job_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No further job is taken, that is all."""
    slot = ToldSlot(tmp_path, monkeypatch)
    path = tmp_path / "drain"
    slot.settings["drain_file"] = str(path)
    slot.runs_s = 5000.0
    slot.happens[100.0] = lambda _: path.touch()
    assert slot.run() == 0
    assert slot.report[1].status == "finished" and slot.payload.stopped_at is None
    assert len(slot.dispatcher.asked) == 1


def test_an_end_before_the_begin_is_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as that of a slot around this one, whose variables were handed on; it is said."""
    slot = ToldSlot(tmp_path, monkeypatch)
    slot.environ.update(SLURM_JOB_ID="7", SLURM_JOB_END_TIME=f"{BEGAN - 5:.0f}")
    slot.runs_s = 5000.0
    assert slot.run() == 0
    assert slot.report[1].status == "finished" and slot.payload.stopped_at is None
    assert "SLURM_JOB_END_TIME" in caplog.text and "passed over" in caplog.text


def test_a_wall_clock_that_is_set_moves_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day forward or back, the slot has the time that it had when its end was read."""
    for jump_s in (-86400.0, 86400.0):
        folder = tmp_path / str(jump_s)
        folder.mkdir()
        slot = ToldSlot(folder, monkeypatch)
        slot.environ.update(SLURM_JOB_ID="7", SLURM_JOB_END_TIME=f"{END:.0f}")
        slot.happens[600.0] = lambda _, slot=slot, by=jump_s: slot.clock.set_wall(slot.clock.now_utc() + by)
        assert slot.run() == 81
        assert slot.payload.stopped_at == pytest.approx(3600 - 60, abs=61)
        assert slot.left_at < HOUR_S


def test_the_earliest_end_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever says it; a later one from elsewhere changes nothing."""
    slot = ToldSlot(tmp_path, monkeypatch, lifetime_s=2 * HOUR_S)
    slot.environ.update(SLURM_JOB_ID="7", SLURM_JOB_END_TIME=f"{END + 5000:.0f}")
    slot.queue["limits"] = QueueLimits(maxtime_s=3600)
    slot.expiries = lambda _: Found(ends=(SlotEnd(at=END + 60, name="a token", evidence="it says so"),))
    slot.run()
    assert slot.left_at < HOUR_S
    assert "maxtime" in slot.looks[-1].by
