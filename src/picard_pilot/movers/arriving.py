"""A file on its way to the node by any protocol whose bytes pass through us: counted, measured, judged, committed.

How the bytes come is the mover's.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from picard_pilot.model.files import Checksum
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    How,
    Remedy,
    Side,
    TransferError,
    TransferFailure,
    Transferred,
)
from picard_pilot.movers.base import Progress
from picard_pilot.movers.measure import compare, measure
from picard_pilot.movers.part_file import PartFile
from picard_pilot.movers.troubles import Blaming


class ArrivingFile:
    """One file as it arrives. Its methods raise TransferError; without `commit` nothing of it stays."""

    def __init__(
        self,
        request: FetchRequest,
        part: PartFile,
        writing: Blaming,
        *,
        surl: str,
        where: str,
        progress: Progress,
    ) -> None:
        """`surl` is the address as people may see it, `where` what they are told of the place (`at HOST`)."""
        self._request = request
        self._part = part
        self._writing = writing
        self._surl = surl
        self._where = where
        self._progress = progress
        self._running = measure(request.checksum.kind if request.checksum else request.measure)
        self.passed_bytes = 0
        """How much has arrived so far."""
        self._began = time.monotonic()

    def announced(self, size_bytes: int | None) -> None:
        """What the storage says before the first byte, if it does: another size than the catalogue's is refused."""
        said_bytes = self._request.size_bytes
        if None not in (size_bytes, said_bytes) and size_bytes != said_bytes:
            raise self._wrong(f"has {size_bytes} bytes {self._where}, its catalogue says {said_bytes}")

    def write(self, block: memoryview) -> None:
        """The next bytes. A body without an announced length need not end before the node's disk does."""
        self.passed_bytes += len(block)
        said_bytes = self._request.size_bytes
        if said_bytes is not None and self.passed_bytes > said_bytes:
            raise self._wrong(f"goes on behind its {said_bytes} bytes {self._where}")
        with self._writing:
            self._part.write(block)
        self._running.update(block)
        self._progress(len(block))

    def judged(self) -> Checksum:
        """The checksum of what has arrived; it and the size are the catalogue's, where that gives them."""
        found = self._running.result()
        compare(
            lfn=self._request.lfn,
            surl=self._surl,
            size_bytes=self._part.size_bytes(),
            found=found,
            said_bytes=self._request.size_bytes,
            said=self._request.checksum,
        )
        return found

    def commit(self, found: Checksum, mover: str) -> Transferred:
        """The target is this file from now on."""
        size_bytes = self._part.size_bytes()
        self._part.replace_target()
        return Transferred(
            surl=self._surl,
            size_bytes=size_bytes,
            checksum=found,
            seconds=time.monotonic() - self._began,
            how=How.COPY,
            mover=mover,
        )

    def _wrong(self, says: str) -> TransferError:
        return TransferError(
            TransferFailure(
                kind=FailureClass.CHECKSUM,
                says=f"{self._request.lfn} {says}",
                remedy=Remedy.NEXT,
                surl=self._surl,
            )
        )


@contextmanager
def arriving(request: FetchRequest, *, surl: str, where: str, progress: Progress) -> Iterator[ArrivingFile]:
    """The file of `request`, under a temporary name beside its target. What the disk refuses is the node's failure."""
    writing = Blaming(f"writing {request.lfn} on the {Side.NODE}", surl, Side.NODE)
    with writing, PartFile(request.target) as part:
        yield ArrivingFile(request, part, writing, surl=surl, where=where, progress=progress)
