"""The file that takes what movers print, in trouble: no transfer depends on it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from worker_kit import bad, good, request, run, worker

from picard_pilot.data import worker_log
from picard_pilot.testing.mover_kit import CONTENT


@pytest.mark.parametrize("mover", ["Raising", "Printing"])
def test_a_full_disk_under_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mover: str) -> None:
    """What a mover prints is lost; its answer, good or bad, arrives all the same."""
    monkeypatch.setattr(worker_log, "open_regular", lambda *_: os.open("/dev/full", os.O_WRONLY))

    async def test() -> None:
        async with worker(tmp_path) as started:
            result = await started.transfer(request(tmp_path, mover=mover))
            if mover == "Raising":
                assert "ZeroDivisionError: a bug in a mover" in bad(result).says
            else:
                assert good(result).size_bytes == len(CONTENT)

    run(test())


def test_what_movers_print_is_kept(tmp_path: Path) -> None:
    """Both streams, half characters too, and the traceback of a mover that raised."""

    async def test() -> None:
        async with worker(tmp_path) as started:
            good(await started.transfer(request(tmp_path, mover="Printing")))
            bad(await started.transfer(request(tmp_path, mover="Raising")))

    run(test())
    said = (tmp_path / "worker.log").read_text()
    assert said.count("chatter on stdout \\udcff\n") == said.count("chatter on stderr \\udcff\n") == 10_000
    assert "ZeroDivisionError: a bug in a mover" in said


def a_directory(path: Path) -> None:
    """A folder stands there."""
    path.mkdir()


def nowhere(path: Path) -> None:
    """There is no folder for it."""
    path.symlink_to("nowhere/at/all")


@pytest.mark.parametrize("spoil", [a_directory, nowhere, os.mkfifo])
def test_a_log_that_cannot_be_opened(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """Nothing is kept of what movers print, and the files arrive."""
    spoil(tmp_path / "worker.log")

    async def test() -> None:
        async with worker(tmp_path) as started:
            good(await started.transfer(request(tmp_path, mover="Printing")))

    run(test())
