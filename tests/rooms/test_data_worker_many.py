"""Many transfers of one worker that end at the same moment: nothing of them is begun again."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from worker_kit import bad, good, request, run, worker

from picard_pilot.data.worker import TransferWorker
from picard_pilot.data.worker_protocol import READS_AT_ONCE
from picard_pilot.model.transfer import FailureClass, FetchRequest, TransferFailure, Transferred
from picard_pilot.testing.mover_kit import CONTENT, gone, until

NAMES = [f"file{number}" for number in range(READS_AT_ONCE)]


def limited(asked: FetchRequest) -> FetchRequest:
    """The same with a size, so that the time limit follows from it."""
    return msgspec.structs.replace(asked, size_bytes=len(CONTENT))


def asked_for(
    client: TransferWorker, folder: Path, moving: set[str]
) -> list[asyncio.Task[Transferred | TransferFailure]]:
    """One endless transfer for each name; those under way in the worker are noted in `moving`."""

    def hear(name: str) -> asyncio.Task[Transferred | TransferFailure]:
        asked = limited(request(folder, name, "Slow"))
        return asyncio.create_task(client.transfer(asked, lambda _: moving.add(name)))

    return [hear(name) for name in NAMES]


async def nothing_moves(client: TransferWorker, folder: Path) -> None:
    """Whatever still moved one of the files could complete it now, and does not while another one passes."""
    signs: list[int] = []
    other = asyncio.create_task(client.transfer(request(folder, "other", "Slow"), signs.append))
    await until(lambda: bool(signs))
    for name in NAMES:
        (folder / "node" / f"{name}.release").touch()
    seen = len(signs)
    await until(lambda: len(signs) >= seen + 2)
    (folder / "node" / "other.release").touch()
    good(await other)
    assert not any((folder / "node" / name).exists() for name in NAMES)


def test_all_that_is_cancelled_at_once_stays_cancelled(tmp_path: Path) -> None:
    """A job is killed in the middle of its stage-in: no new worker is asked for what nobody wants any more."""

    async def work() -> None:
        async with worker(tmp_path) as client:
            moving: set[str] = set()
            tasks = asked_for(client, tmp_path, moving)
            await until(lambda: moving == set(NAMES))
            first = client.pid or 0
            for task in tasks:
                task.cancel()
            for task in tasks:
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert gone(first)
            assert client.pid is None
            await nothing_moves(client, tmp_path)

    run(work())


def test_all_that_times_out_at_once_is_not_asked_again(tmp_path: Path) -> None:
    """A storage freezes under eight transfers; after their verdicts nothing of them moves."""

    async def work() -> None:
        async with worker(tmp_path, base_s=2.0, slowest_bytes_per_s=1e9) as client:
            client.warm_up()
            await until(lambda: client.pid is not None)
            tasks = asked_for(client, tmp_path, set())
            for task in tasks:
                assert bad(await task).kind is FailureClass.TIMEOUT
            await nothing_moves(client, tmp_path)

    run(work())
