"""A site that moves the end of a running job: its batch system is asked again, now and then and before it matters."""

from pathlib import Path
from typing import Any

import pytest
from slot_kit import BEGAN, ToldSlot
from slot_sources_kit import END, HOUR_S

from picard_pilot.model.command import CommandResult, EndedBy


def slurm_s_controller(slot: ToldSlot, monkeypatch: pytest.MonkeyPatch, end: dict[str, float]) -> list[float]:
    """A `squeue` that tells the time until `end["at"]`; when it was asked. The environment tells END for ever."""
    asked: list[float] = []

    async def run(argv: tuple[str, ...], **_: Any) -> CommandResult:
        now = slot.clock.monotonic()
        asked.append(now)
        left = int(end["at"] - now)
        text = f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}\n"
        return CommandResult(ended_by=EndedBy.ITSELF, exit_code=0, stdout_tail=text)

    monkeypatch.setattr("picard_pilot.system.run.run", run)
    slot.environ.update(SLURM_JOB_ID="7", SLURM_JOB_END_TIME=f"{END:.0f}")
    return asked


def test_a_site_gives_a_job_more_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`scontrol update` of a running job: Slurm is asked again before the payload is told that it will be stopped."""
    slot = ToldSlot(tmp_path, monkeypatch)
    asked = slurm_s_controller(slot, monkeypatch, {"at": 3 * HOUR_S})
    slot.runs_s = 2 * HOUR_S
    caplog.set_level("INFO", "picard.slot")
    assert slot.run() == 0
    assert slot.payload.warned_at is None and slot.report[1].status == "finished"
    assert slot.looks[-1].by == "Slurm's time limit"
    assert "by Slurm's time limit (squeue" in caplog.text
    assert len(asked) <= 1 + 2 * HOUR_S / 1800


def test_a_site_takes_time_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is heard within half an hour; the payload is stopped before the new end."""
    slot = ToldSlot(tmp_path, monkeypatch)
    end = {"at": 4 * HOUR_S}
    slurm_s_controller(slot, monkeypatch, end)
    slot.environ["SLURM_JOB_END_TIME"] = f"{BEGAN + 4 * HOUR_S:.0f}"
    slot.output_bytes = 1_000_000
    slot.happens[600.0] = lambda _: end.update(at=1.5 * HOUR_S)
    assert slot.run() == 81
    assert slot.report[1].status == "finished"
    assert (
        slot.payload.stopped_at is not None and 5000 < slot.payload.stopped_at < slot.left_at < 1.5 * HOUR_S
    )


def test_an_answer_that_wavers_moves_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Slurm's controller tells whole seconds: the end that counts stays the environment's, and is said once."""
    slot = ToldSlot(tmp_path, monkeypatch)
    end = {"at": HOUR_S + 20}
    asked = slurm_s_controller(slot, monkeypatch, end)
    slot.happens[2000.0] = lambda _: end.update(at=HOUR_S - 2)
    caplog.set_level("INFO", "picard.slot")
    assert slot.run() == 81
    assert len(asked) == 2  # after half an hour, and before the warning
    assert slot.looks[-1].by == "SLURM_JOB_END_TIME"
    said = [
        record for record in caplog.records if record.name == "picard.slot" and record.levelname == "INFO"
    ]
    assert len(said) == 2  # at the start, and when it is late


def test_a_controller_that_is_gone_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the environment said holds; it is said once why nothing newer is known."""
    slot = ToldSlot(tmp_path, monkeypatch)
    slot.environ.update(SLURM_JOB_ID="7", SLURM_JOB_END_TIME=f"{BEGAN + 3 * HOUR_S:.0f}")
    assert slot.run() == 81
    assert slot.left_at < 3 * HOUR_S
    assert caplog.text.count("squeue: no controller") == 1
