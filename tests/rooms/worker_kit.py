"""The transfer worker's client with naughty movers, requests for it, and a deadline for whatever a test does."""

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path

from picard_pilot.data.worker import TransferWorker, WorkerLimits
from picard_pilot.model.transfer import FetchRequest, TransferFailure, Transferred
from picard_pilot.testing.mover_kit import CONTENT, DEADLINE_S, adler32

HERE = str(Path(__file__).parent)


def worker(folder: Path, **limits: float) -> TransferWorker:
    """A worker that finds the movers of this folder."""
    return TransferWorker(
        limits=WorkerLimits(**limits),
        log_path=folder / "worker.log",
        environment={**os.environ, "PYTHONPATH": HERE},
    )


def request(
    folder: Path, name: str = "in", mover: str | None = None, scope: str | None = None
) -> FetchRequest:
    """A request for a file of CONTENT, by the local mover or a naughty one."""
    storage = folder / "storage"
    storage.mkdir(exist_ok=True)
    (folder / "node").mkdir(exist_ok=True)
    (storage / name).write_bytes(CONTENT)
    return FetchRequest(
        lfn=name,
        scope=scope,
        surl=f"file://{storage}/{name}",
        target=str(folder / "node" / name),
        checksum=adler32(CONTENT),
        movers=(f"naughty_movers:{mover}",) if mover else (),
    )


def run(work: Coroutine[object, object, None]) -> None:
    """Run a test's coroutine with a deadline."""

    async def limited() -> None:
        async with asyncio.timeout(3 * DEADLINE_S):
            await work

    asyncio.run(limited())


def good(result: Transferred | TransferFailure) -> Transferred:
    """A transfer that must have worked."""
    assert isinstance(result, Transferred), result
    return result


def bad(result: object) -> TransferFailure:
    """A transfer that must have failed."""
    assert isinstance(result, TransferFailure), result
    return result
