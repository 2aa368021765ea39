"""Outputs that somebody changes, removes or replaces while they are stored: whole or not at all, and never wrong."""

import os
from pathlib import Path
from typing import Any

import pytest
from staging_kit import Ground, an_output, with_worker

from picard_pilot.data.outputs import OUTPUT_SIZE_LIMIT_BYTES
from picard_pilot.data.policy import RetryLimits
from picard_pilot.data.walk import Pace
from picard_pilot.data.worker import TransferWorker
from picard_pilot.testing.mover_kit import CONTENT, adler32

HASTY = RetryLimits(longest_pause_s=0.001, tries=3)
NAUGHTY = {"default": ("naughty_movers:Meddled",)}
OTHER_KINDS = ["nothing", "link", "pipe", "folder"]


def stored(ground: Ground, meddle: str) -> tuple[Any, bytes | None, list[str]]:
    """What storing the output came to, what then stands on the storage, and its folder's other files."""
    (ground.directory / "out").write_bytes(CONTENT)
    (ground.folder / "meddle").write_text(meddle)
    found: list[Any] = []

    async def test(worker: TransferWorker) -> None:
        found.append(await ground.stage_out(worker, an_output("out"), pace=Pace(limits=HASTY)))

    with_worker(test)
    there = ground.at("A", "out")
    others = [path.name for path in there.parent.iterdir() if path != there] if there.parent.exists() else []
    return found[0], there.read_bytes() if there.exists() else None, others


@pytest.mark.parametrize("what", ["grow", "shrink"])
def test_one_that_changes_once(tmp_path: Path, what: str) -> None:
    """The half old, half new bytes are thrown away; what it is then is stored, with the checksum of just that."""
    ground = Ground(tmp_path, movers=NAUGHTY)
    result, there, others = stored(ground, f"{what} once")
    now = (ground.directory / "out").read_bytes()
    assert (result.faults, there, others) == ((), now, [])
    assert now != CONTENT
    (event,) = ground.stored
    assert (event.file.size_bytes, event.file.checksum) == (len(now), adler32(now))


def test_one_that_never_comes_to_rest(tmp_path: Path) -> None:
    """Given up, with the node as the place of the trouble; nothing of it stands on the storage."""
    result, there, others = stored(Ground(tmp_path, movers=NAUGHTY), "grow always")
    assert (there, others) == (None, [])
    (fault,) = result.faults
    assert "was changed on the node while it was copied" in " ".join(one.text for one in fault.evidence)


@pytest.mark.parametrize("what", OTHER_KINDS)
def test_one_whose_name_is_taken_away_in_mid_file(tmp_path: Path, what: str) -> None:
    """The file that was opened is the output, whatever its name leads to meanwhile: its bytes are all there."""
    ground = Ground(tmp_path, movers=NAUGHTY)
    result, there, others = stored(ground, f"{what} always")
    assert (result.faults, there, others) == ((), CONTENT, [])
    assert ground.stored[0].file.checksum == adler32(CONTENT)


def replaced(path: Path, what: str) -> None:
    """Something else in place of the output."""
    path.unlink()
    {
        "nothing": lambda: None,
        "link": lambda: path.symlink_to("/etc/hostname"),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }[what]()


@pytest.mark.parametrize("what", OTHER_KINDS)
def test_one_that_is_replaced_before_it_is_opened(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was fit when it was looked at: nothing is waited for, nothing else is stored, and no second try is made."""
    ground = Ground(tmp_path)
    (ground.directory / "out").write_bytes(CONTENT)
    found: list[Any] = []

    async def test(worker: TransferWorker) -> None:
        transfer = worker.transfer

        async def late(request: Any, on_progress: Any = None) -> Any:
            if not found:
                replaced(ground.directory / "out", what)
            found.append(request)
            return await transfer(request, on_progress)

        monkeypatch.setattr(worker, "transfer", late)
        found.append(await ground.stage_out(worker, an_output("out"), pace=Pace(limits=HASTY)))

    with_worker(test)
    (fault,) = found[-1].faults
    assert fault.name in ("MISSINGOUTPUTFILE", "FILEHANDLINGFAILURE", "STAGEOUTFAILED"), fault
    assert not found[-1].can_wait
    assert not ground.at("A", "out").exists()
    assert len(found) == 2, "tried once"


@pytest.mark.parametrize("more_bytes", [1, 500_000_000_000])
def test_a_sparse_file_of_a_terabyte(tmp_path: Path, more_bytes: int) -> None:
    """Refused by its size at once: not one byte of its holes is read."""
    ground = Ground(tmp_path)
    with (ground.directory / "out").open("wb") as file:
        file.truncate(OUTPUT_SIZE_LIMIT_BYTES + more_bytes)
    found: list[Any] = []

    async def test(worker: TransferWorker) -> None:
        found.append(await ground.stage_out(worker, an_output("out")))
        assert worker.pid is None

    with_worker(test)
    assert [fault.name for fault in found[0].faults] == ["OUTPUTFILETOOLARGE"]
    assert not found[0].can_wait
