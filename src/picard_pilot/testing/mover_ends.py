"""The half of the mover suite that kills, freezes and cancels a mover in mid-file, inside a real transfer worker.

The calls themselves are tested in `mover_suite`, which is what authors derive from.
"""

import abc
import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from picard_pilot.data.worker import TransferWorker, WorkerLimits
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    StorageAccess,
    StoreRequest,
    TransferContext,
    TransferFailure,
    Transferred,
)
from picard_pilot.testing.mover_kit import CONTENT, DEADLINE_S, Storage, adler32, gone, replace_movers, until
from picard_pilot.testing.paused_mover import AFTER_VARIABLE, PAUSED, VARIABLE


class MoverEnds(abc.ABC):
    """What a mover's tests declare, and the ends in mid-file."""

    mover_path: str
    """The mover's name in the table, or its import path `module:Class`."""
    reads_before_storing: ClassVar[bool] = False
    """The file on the node is read once, with progress, before the first byte is stored: true for programs, which
    cannot measure while the bytes pass."""
    temporary_names: ClassVar[bool] = True
    """A store in progress shows in `Storage.leftovers`. False where the storage shows nothing before the end, or its
    own program answers for that."""
    unknown_names: ClassVar[tuple[str, ...]] = ()
    """Those of `HOSTILE_NAMES` that this kind of storage cannot hold."""

    def context(self, storage: Storage) -> TransferContext:
        """What the mover knows of the site; a suite whose storage wants credentials adds them."""
        return TransferContext(endpoint=storage.endpoint)

    def fetch_request(self, storage: Storage, name: str, folder: Path, **more: object) -> FetchRequest:
        """A request for `CONTENT` under this name, as its catalogue would describe it."""
        described = {"size_bytes": len(CONTENT), "checksum": adler32(CONTENT), **more}
        return FetchRequest(
            lfn=name,
            surl=storage.surl(name),
            target=str(folder / name),
            context=self.context(storage),
            **described,  # type: ignore[arg-type]
        )

    def store_request(self, storage: Storage, name: str, source: Path, **more: object) -> StoreRequest:
        """A request to store a file of the node under this name."""
        return StoreRequest(
            lfn=name,
            surl=storage.surl(name),
            source=str(source),
            context=self.context(storage),
            **more,  # type: ignore[arg-type]
        )

    @pytest.mark.parametrize("direction", ["fetch", "store"])
    @pytest.mark.parametrize("end", ["kill", "freeze", "cancel"])
    def test_an_end_in_mid_file(self, storage: Storage, tmp_path: Path, direction: str, end: str) -> None:
        """Killed, frozen or cancelled in mid-file: nothing under the final name, and the next try works."""
        if direction == "store" and not self.temporary_names:
            pytest.skip("a store in progress does not show on this storage")
        asyncio.run(self._end_in_mid_file(storage, tmp_path, direction, end))

    async def _end_in_mid_file(self, storage: Storage, folder: Path, direction: str, end: str) -> None:
        here = folder / "here"
        here.mkdir()
        request: FetchRequest | StoreRequest
        if direction == "fetch":
            storage.put("file", CONTENT)
            request = self.fetch_request(storage, "file", here, movers=(PAUSED,))
        else:
            (here / "file").write_bytes(CONTENT)
            request = self.store_request(storage, "file", here / "file", movers=(PAUSED,))
        access = self.context(storage).access
        stall_s = 5.0 if end == "freeze" else DEADLINE_S
        async with self.worker(folder, stall_s, access) as worker:
            transfer = asyncio.create_task(worker.transfer(request))
            first = await self._in_mid_file(worker, storage, here, direction)
            if end == "freeze":
                os.kill(first, signal.SIGSTOP)
                failure = await transfer
                assert isinstance(failure, TransferFailure)
                assert failure.kind is FailureClass.TIMEOUT
            elif end == "cancel":
                transfer.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await transfer
            else:
                os.kill(first, signal.SIGKILL)
                await until(lambda: worker.pid not in (None, first))
                os.kill(worker.pid or first, signal.SIGKILL)
                failure = await transfer
                assert isinstance(failure, TransferFailure)
                assert failure.kind is FailureClass.TRANSFER
                assert "signal 9" in failure.says
            assert gone(first)
            final = (here / "file").exists() if direction == "fetch" else storage.read("file") is not None
            assert not final
            done = await worker.transfer(replace_movers(request, (self.mover_path,)))
            assert isinstance(done, Transferred), done
        content = (here / "file").read_bytes() if direction == "fetch" else storage.read("file")
        assert content == CONTENT

    @asynccontextmanager
    async def worker(
        self, folder: Path, stall_s: float, access: StorageAccess
    ) -> AsyncIterator[TransferWorker]:
        """A transfer worker that knows the paused form of the mover under test."""
        after_bytes = len(CONTENT) if self.reads_before_storing else 0
        async with TransferWorker(
            limits=WorkerLimits(stall_s=stall_s),
            access=lambda: access,
            log_path=folder / "worker.log",
            environment={**os.environ, VARIABLE: self.mover_path, AFTER_VARIABLE: f"store:{after_bytes}"},
        ) as worker:
            yield worker

    async def _in_mid_file(self, worker: TransferWorker, storage: Storage, here: Path, direction: str) -> int:
        """Wait until the first bytes are written under a temporary name; the worker's pid."""

        def begun() -> bool:
            if direction == "store":
                return bool(storage.leftovers())
            parts = [path for part in here.glob(".*.part") for path in (part, *part.glob("*"))]
            return any(path.is_file() and path.stat().st_size for path in parts)

        await until(begun)
        assert worker.pid is not None
        return worker.pid
