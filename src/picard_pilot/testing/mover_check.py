"""The check of a mover by what shows through the mover itself, for `ppilot plugin check`.

The whole suite, which looks past the mover and ends it in mid-file, is `mover_suite`.
"""

import asyncio
import errno
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import quote

from picard_pilot.data.worker import TransferWorker, WorkerLimits
from picard_pilot.model.transfer import (
    AnyResult,
    FailureClass,
    FetchRequest,
    FileFacts,
    How,
    OpenRequest,
    RemoveRequest,
    Side,
    StatRequest,
    StoreRequest,
    TransferFailure,
    Transferred,
)
from picard_pilot.testing.experiment_suite import Finding
from picard_pilot.testing.mover_kit import CONTENT, adler32

TRANSFER_LIMIT_S = 120.0
"""For one MiB, with the check of a storage that has to be woken."""

NAME = "with blank, 100% Zürich.root"

PLAIN_SCHEMES = ("root", "roots", "xroot", "srm", "gsiftp")
"""Schemes whose addresses take a name by the letter; all others percent-coded."""

NOT_CLEANED = "it cannot remove files: {} is left"


def examine(mover: str, storage: str, limit_s: float = TRANSFER_LIMIT_S) -> tuple[Finding, ...]:
    """Try the mover with this name on a folder of a storage that can be spared, in a real transfer worker.

    Everything goes into a new folder below the address `storage`, and is removed where the mover can remove. Nothing
    that the mover does raises here.
    """

    async def collected() -> tuple[Finding, ...]:
        with tempfile.TemporaryDirectory(prefix="picard-check-") as folder:
            limits = WorkerLimits(base_s=limit_s, stall_s=limit_s)
            async with TransferWorker(limits=limits, log_path=Path(folder, "worker.log")) as worker:
                check = _Check(worker, mover, storage.rstrip("/"), Path(folder))
                return tuple([finding async for finding in check.findings()])

    return asyncio.run(collected())


class _Check:
    """One run: the worker, the mover's name, where on the storage and where on the node."""

    def __init__(self, worker: TransferWorker, mover: str, storage: str, folder: Path) -> None:
        self._worker = worker
        self._movers = (mover,)
        self._storage = f"{storage}/picard-check-{os.urandom(4).hex()}"
        self._here = folder / "here"
        self._here.mkdir()
        self._coded = storage.partition("://")[0].lower() not in PLAIN_SCHEMES

    async def findings(self) -> AsyncIterator[Finding]:
        """All checks, in an order in which each builds on those before it."""
        (self._here / "source").write_bytes(CONTENT)
        (self._here / "other").write_bytes(CONTENT[:-1] + b"x")
        (self._here / "empty").write_bytes(b"")
        first = await self._store("stores a file and says what it measured", "file", "source", _is_content)
        yield first
        if not first.holds:
            return  # all others would say the same again
        yield await self._store("stores it again as already there", "file", "source", _is_already_there)
        yield await self._store(
            "never overwrites another file (errno EEXIST)", "file", "other", _is_in_the_way
        )
        yield await self._fetch("fetches what it stored", "file", _is_content)
        yield await self._wrong_checksum()
        yield await self._fetch("says `missing` for a file that is not there", "absent", _is_missing)
        yield await self._store("stores an empty file", "empty", "empty", lambda a: _size_of(a) == 0)
        yield await self._store("stores a name with blanks and accents", NAME, "source", _is_content)
        yield await self._fetch("fetches a name with blanks and accents", NAME, _is_content)
        yield await self._store("says whose file is missing (the node's)", "none", "nothing", _is_ours)
        yield await self._stat()
        yield await self._open()
        yield await self._at_once()
        left = sorted(path.name for path in self._here.iterdir() if ".part" in path.name)
        yield Finding("leaves nothing else on the node", str(self._here), not left, ", ".join(left))
        yield await self._remove()

    def _surl(self, name: str) -> str:
        return f"{self._storage}/{quote(name) if self._coded else name}"

    async def _store(self, rule: str, name: str, source: str, holds: Callable[[AnyResult], bool]) -> Finding:
        request = StoreRequest(
            lfn=name, source=str(self._here / source), surl=self._surl(name), movers=self._movers
        )
        return _judged(rule, name, await self._worker.transfer(request), holds)

    async def _fetch(self, rule: str, name: str, holds: Callable[[AnyResult], bool]) -> Finding:
        request = FetchRequest(
            lfn=name, surl=self._surl(name), target=str(self._here / "got"), movers=self._movers
        )
        return _judged(rule, name, await self._worker.transfer(request), holds)

    async def _wrong_checksum(self) -> Finding:
        target = self._here / "kept"
        target.write_bytes(b"before")
        request = FetchRequest(
            lfn="file",
            surl=self._surl("file"),
            target=str(target),
            checksum=adler32(b"other"),
            movers=self._movers,
        )
        answer = await self._worker.transfer(request)
        rule = "refuses other bytes than the catalogue describes, and leaves the target alone"
        return _judged(
            rule,
            "file",
            answer,
            lambda found: _is_failure(found, FailureClass.CHECKSUM) and target.read_bytes() == b"before",
        )

    async def _stat(self) -> Finding:
        there = await self._worker.stat(StatRequest(surl=self._surl("file"), movers=self._movers))
        absent = await self._worker.stat(StatRequest(surl=self._surl("absent"), movers=self._movers))
        rule = "looks: size of a file that is there, and that another is not"
        if _cannot(there):
            return Finding(rule, "file", True)
        finding = _judged(
            rule,
            "file",
            there,
            lambda found: isinstance(found, FileFacts) and found.size_bytes == len(CONTENT),
        )
        if not finding.holds:
            return finding
        return _judged(
            rule, "absent", absent, lambda found: isinstance(found, FileFacts) and not found.exists
        )

    async def _open(self) -> Finding:
        request = OpenRequest(lfn="absent", surl=self._surl("absent"), movers=self._movers)
        answer = await self._worker.open_check(request)
        rule = "does not open a file that is not there"
        return _judged(rule, "absent", answer, lambda found: _is_missing(found) or _cannot(found))

    async def _at_once(self) -> Finding:
        rule = "does several at once"
        found = await asyncio.gather(
            *(self._store(rule, f"at once {number}", "source", _is_content) for number in range(4))
        )
        return next((finding for finding in found if not finding.holds), found[0])

    async def _remove(self) -> Finding:
        rule = "removes files, and may be asked twice"
        for name in ("file", "file", NAME, "empty", *(f"at once {number}" for number in range(4))):
            answer = await self._worker.remove(RemoveRequest(surl=self._surl(name), movers=self._movers))
            if _cannot(answer):
                return Finding(rule, self._storage, True, NOT_CLEANED.format(self._storage))
            if isinstance(answer, TransferFailure):
                return Finding(rule, name, False, answer.says)
        return Finding(rule, self._storage, True)


def _judged(rule: str, name: str, answer: AnyResult, holds: Callable[[AnyResult], bool]) -> Finding:
    if holds(answer):
        return Finding(rule, name, True)
    if isinstance(answer, TransferFailure):
        return Finding(rule, name, False, f"{answer.kind} of the {answer.side}: {answer.says}")
    return Finding(rule, name, False, f"it answered {answer!r}")


def _size_of(answer: AnyResult) -> int | None:
    return answer.size_bytes if isinstance(answer, Transferred) else None


def _is_content(answer: AnyResult) -> bool:
    return _size_of(answer) == len(CONTENT) and getattr(answer, "checksum", None) == adler32(CONTENT)


def _is_already_there(answer: AnyResult) -> bool:
    return isinstance(answer, Transferred) and answer.how is How.ALREADY_THERE


def _is_in_the_way(answer: AnyResult) -> bool:
    return isinstance(answer, TransferFailure) and answer.errno == errno.EEXIST


def _is_failure(answer: AnyResult, kind: FailureClass) -> bool:
    return isinstance(answer, TransferFailure) and answer.kind is kind


def _is_missing(answer: AnyResult) -> bool:
    return _is_failure(answer, FailureClass.MISSING)


def _is_ours(answer: AnyResult) -> bool:
    return isinstance(answer, TransferFailure) and answer.side is Side.NODE


def _cannot(answer: AnyResult) -> bool:
    return _is_failure(answer, FailureClass.SPECIFICATION)
