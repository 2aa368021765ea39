"""The last moments of a slot: who is told how long they are, and what is made of few."""

import signal
from pathlib import Path

import pytest
from slot_kit import ToldSlot
from slot_sources_kit import HOUR_S, advertisement

from picard_pilot.model.site import QueueLimits


@pytest.mark.parametrize(("vacate_s", "payload_s"), [(10, 4.5), (20, 9.0), (30, 10.0)])
def test_a_grace_that_is_shorter_than_ours_is_divided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vacate_s: int, payload_s: float
) -> None:
    """HTCondor kills all after some seconds: a payload that does not heed its signal leaves time for the report."""
    slot = ToldSlot(tmp_path, monkeypatch)
    advertisement(slot, "_CONDOR_MACHINE_AD", f"MachineMaxVacateTime = {vacate_s}\n")
    slot.output_bytes, slot.storage.bytes_s = 300_000_000, 1e6
    slot.happens[100.0] = lambda pilot: pilot._on_signal(signal.SIGTERM)
    assert slot.run() == 128 + signal.SIGTERM
    assert slot.payload.grace_s == pytest.approx(payload_s)
    assert slot.left_at < 100 + vacate_s


def test_a_stopped_job_says_how_long_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was kept, the margin as well: the time between two moments that its log names."""
    slot = ToldSlot(tmp_path, monkeypatch)
    slot.queue["limits"] = QueueLimits(maxtime_s=3600)
    slot.exit_when_stopped = 15
    assert slot.run() == 81
    assert slot.payload.stopped_at == pytest.approx(HOUR_S - 55, abs=1)
    assert "the job was stopped 55 s before" in slot.report[1].pilot_error_diag
