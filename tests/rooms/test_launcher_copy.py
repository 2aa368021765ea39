"""A launch directory that was copied: what is asked of the copy never touches the original's payload."""

import asyncio
import shutil
from pathlib import Path

import pytest
from launch_kit import payload
from process_kit import DEADLINE_S, go

from picard_pilot.payload import launcher
from picard_pilot.payload.launch import Exited, Lost, UndeterminedLaunch
from picard_pilot.system import proc
from picard_pilot.system.shim import protocol


def test_a_copy_of_a_directory_does_not_touch_the_payload_of_the_original(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock is free, and the processes that bear its mark are not what a dead launcher left behind."""
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    spec = payload(original, "while [ ! -e go ]; do sleep 0.05; done; exit 3")

    async def scenario() -> None:
        handle = await launcher.launch(spec)
        shutil.copytree(original, copy, ignore=shutil.ignore_patterns(protocol.CONTROL_FILE))
        assert launcher.runs_in_original(copy / "launch")
        assert not launcher.runs_in_original(original / "launch")
        with monkeypatch.context() as hasty:
            hasty.setattr(launcher, "SETTLE_S", 0.2)
            with pytest.raises(UndeterminedLaunch, match="copy"):
                await launcher.find(copy / "launch")
        assert proc.is_running(handle.main)
        (original / "go").touch()
        ended = await asyncio.wait_for(launcher.wait(handle), DEADLINE_S)
        assert isinstance(ended, Exited) and ended.exit.exit_code == 3
        assert not launcher.runs_in_original(copy / "launch")
        assert isinstance(await launcher.find(copy / "launch"), Lost)

    go(scenario())
