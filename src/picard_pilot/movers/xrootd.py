"""The XRootD mover: root:// and roots://, through the client library that the PyPI package `xrootd` brings.

Reading through a redirector needs nothing of its own: the library is sent on, and goes on at another replica when a
server dies in mid-file. Bytes are checked end to end by the catalogue's checksum; page checksums are not asked for.
"""

import errno
import sys
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    FileFacts,
    How,
    Opened,
    OpenRequest,
    Remedy,
    Removed,
    RemoveRequest,
    Side,
    StatRequest,
    StoreRequest,
    TransferContext,
    TransferError,
    TransferFailure,
    Transferred,
)
from picard_pilot.movers.base import Progress, SiteMover
from picard_pilot.movers.measure import compare, measure
from picard_pilot.movers.open_file import OpenFile
from picard_pilot.movers.part_file import PartFile
from picard_pilot.movers.troubles import Blaming
from picard_pilot.movers.xrootd_address import SCHEMES, Address
from picard_pilot.movers.xrootd_client import (
    CHECKSUM_BROKE,
    MISSING,
    client,
    failure,
    flags,
    found_again,
    introduce,
    no_servers,
    server_said,
    set_up,
    start,
)
from picard_pilot.movers.xrootd_stream import PIECE_BYTES, ServerFile, measuring

CHECKSUMS_AT_ONCE = 2
"""Questions for checksums under way in one worker. A server has few places for them (four by default, for all its
clients), and makes whoever finds none wait in steps of five seconds."""

CHECKSUM_LIMIT_S = 60
CHECKSUM_SLOWEST_BYTES_PER_S = 50_000_000
"""How long a server may take to compute a checksum: it reads the whole file again."""

ASK_AGAIN_S = 1.1
"""Servers remember a checksum with the file's time in whole seconds; after the second they compute it anew."""

READ_BACK_BYTES = 256 << 20
"""A stored file up to this size is read back where the server knows no checksums; a larger one counts by its size."""

CLEAN_UP_LIMIT_S = 5
"""For removing a temporary file after a failure: a server that is sick would keep us for nothing."""


class XrootdMover(SiteMover):
    """Moves files between the node and storages that speak XRootD's protocol."""

    name: ClassVar[str] = "xrootd"
    schemes: ClassVar[tuple[str, ...]] = SCHEMES

    def __init__(self) -> None:
        set_up()
        self._checksums = threading.Semaphore(CHECKSUMS_AT_ONCE)
        self._not_found: set[str] = set()

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Read one file to the node, measured while its bytes pass."""
        began = time.monotonic()
        address = _address(request.surl, request.context)
        kind = request.checksum.kind if request.checksum else request.measure
        running = measure(kind)
        with (
            Blaming(f"writing {request.lfn} on the {Side.NODE}", address.shown, Side.NODE),
            ServerFile(address, request.lfn) as source,
        ):
            size_bytes = self._open(source, address)
            if request.size_bytes is not None and size_bytes != request.size_bytes:
                raise _other_size(request.lfn, address, size_bytes, request.size_bytes)
            with PartFile(request.target) as part:
                source.read(size_bytes, measuring(part.write, running.update, progress=progress))
                found = running.result()
                compare(
                    lfn=request.lfn,
                    surl=address.shown,
                    size_bytes=part.written_bytes,
                    found=found,
                    said_bytes=size_bytes,
                    said=request.checksum,
                )
                part.replace_target()
        return Transferred(
            surl=request.surl,
            size_bytes=size_bytes,
            checksum=found,
            seconds=time.monotonic() - began,
            how=How.COPY,
            mover=self.name,
        )

    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """Write one file of the node under a temporary name, let the server compute its checksum, rename it."""
        began = time.monotonic()
        address = _address(request.surl, request.context)
        with OpenFile(Path(request.source), request.lfn, address.shown, Side.NODE) as source:
            if self._look(address, request.lfn, look_again=True) is not None:
                how, found = How.ALREADY_THERE, self._same_content(request, address, source, progress)
            else:
                how, found = self._write(request, address, source, progress)
        return Transferred(
            surl=request.surl,
            size_bytes=source.size_bytes,
            checksum=found,
            seconds=time.monotonic() - began,
            how=how,
            mover=self.name,
        )

    def stat(self, request: StatRequest) -> FileFacts:
        """Existence and size; the checksum where the server can say it."""
        address = _address(request.surl, request.context)
        facts = self._look(address, address.name)
        if facts is None:
            return FileFacts(exists=False)
        checksum = None
        if request.measure is not None:
            checksum = self._checksum(address, address.name, request.measure, facts.size, _nobody)
        return FileFacts(exists=True, size_bytes=facts.size, checksum=checksum)

    def remove(self, request: RemoveRequest) -> Removed:
        """Remove one file; a directory is refused, which XRootD would remove as well."""
        address = _address(request.surl, request.context)
        if self._look(address, address.name) is None:
            return Removed(was_there=False)
        status, _ = _server(address).rm(address.asked_for())
        if server_said(status, MISSING):
            return Removed(was_there=False)
        if not status.ok:
            raise failure(status, address, doing=f"removing {address.name}", storing=True)
        return Removed(was_there=True)

    def open_check(self, request: OpenRequest) -> Opened:
        """Open the file where it is and read its first bytes."""
        began = time.monotonic()
        address = _address(request.surl, request.context)
        with ServerFile(address, request.lfn) as source:
            size_bytes = source.open_to_read()
            if request.size_bytes is not None and size_bytes != request.size_bytes:
                raise _other_size(request.lfn, address, size_bytes, request.size_bytes)
            source.read(min(size_bytes, PIECE_BYTES), lambda _: None)
        return Opened(
            surl=request.surl, seconds=time.monotonic() - began, mover=self.name, size_bytes=size_bytes
        )

    def _open(self, source: ServerFile, address: Address) -> int:
        """Open to read; where a redirector did not find the file before, it is made to look again."""
        try:
            size_bytes = source.open_to_read(look_again=address.shown in self._not_found)
        except TransferError as error:
            if error.failure.remedy is Remedy.LATER:
                self._not_found.add(address.shown)
            raise
        self._not_found.discard(address.shown)
        return size_bytes

    def _write(
        self, request: StoreRequest, address: Address, source: OpenFile, progress: Progress
    ) -> tuple[How, Checksum]:
        """Everything between an empty place and the committed file; a temporary file does not stay behind."""
        # Every server that knows a checksum knows adler32.
        kinds = {request.measure, ChecksumKind.ADLER32}
        running = {kind: measure(kind) for kind in kinds}
        takers = [each.update for each in running.values()]
        temporary = address.temporary()
        stays = True
        with ServerFile(temporary, request.lfn) as target:
            target.open_new()
            try:
                target.write(source, measuring(*takers, progress=progress))
                target.close()
                source.must_be_unchanged()
                self._verify(request, temporary, source, running[ChecksumKind.ADLER32].result(), progress)
                if self._look(address, request.lfn) is not None:  # it came while we wrote
                    return How.ALREADY_THERE, self._same_content(request, address, source, progress)
                status, _ = _server(address).mv(temporary.asked_for(), address.asked_for())
                if not status.ok:
                    raise failure(status, address, doing=f"renaming {request.lfn}", storing=True)
                stays = False
            finally:
                if stays:
                    _clean_up(temporary)
        return How.COPY, running[request.measure].result()

    def _verify(
        self, request: StoreRequest, stored: Address, source: OpenFile, found: Checksum, progress: Progress
    ) -> None:
        """Compare size and checksum as the server has them with what was read on the node."""
        # Beside the question for the checksum, since each costs a round trip.
        looking = start(_server(stored).stat, stored.asked_for())
        there = self._checksum(stored, request.lfn, found.kind, source.passed_bytes, progress)
        status = looking.wait()
        if status is None or not status.ok:
            raise failure(status, stored, doing=f"looking at {request.lfn}", storing=True)
        size_bytes = looking.response.size
        if size_bytes == source.passed_bytes:
            if there is None and size_bytes <= READ_BACK_BYTES:
                there = _read_back(stored, request.lfn, found.kind, progress)
            if there is None:
                sys.stderr.write(
                    f"{stored.host} knows no checksums and {request.lfn} is large: its size alone was compared\n"
                )
            if there in (None, found):
                return
        raise TransferError(
            TransferFailure(
                kind=FailureClass.CHECKSUM,
                says=f"what {stored.host} stored of {request.lfn} is not what was sent: {size_bytes} bytes"
                + (f" with {there.kind} {there.value}" if there else "")
                + f" there, {source.passed_bytes} bytes with {found.kind} {found.value} here",
                remedy=Remedy.REPEAT,
                surl=stored.surl.partition("?")[0],
                retry_after_s=0.0,
            )
        )

    def _same_content(
        self, request: StoreRequest, address: Address, source: OpenFile, progress: Progress
    ) -> Checksum:
        """The common checksum of source and what stands at the target; a `FILEEXISTS` failure where they differ."""
        found = source.read_through(request.measure, progress)
        facts = self._look(address, request.lfn)
        if facts is not None and facts.size == source.size_bytes:
            there = self._checksum(address, request.lfn, request.measure, facts.size, progress)
            if there is None or there != found:  # a file that was overwritten may have an old checksum
                there = _read_back(address, request.lfn, request.measure, progress)
            if there == found:
                return found
        seen = "something" if facts is None else f"{facts.size} bytes"
        raise TransferError(
            TransferFailure(
                kind=FailureClass.SPECIFICATION,
                says=f"another file stands where {request.lfn} should be stored "
                f"({seen} there, {source.size_bytes} here); it was not overwritten",
                remedy=Remedy.NEXT,
                surl=address.surl.partition("?")[0],
                errno=errno.EEXIST,
                fault="FILEEXISTS",
            )
        )

    def _look(self, address: Address, lfn: str, *, look_again: bool = False) -> Any:
        """What the server says of a regular file; None where nothing is there.

        With `look_again` it is sure: a redirector asks its servers anew.
        """
        status, facts = _server(address).stat(address.asked_for())
        if look_again and no_servers(status) and found_again(address):
            status, facts = _server(address).stat(address.asked_for())
        if server_said(status, MISSING):
            return None
        if not status.ok:
            raise failure(status, address, doing=f"looking at {lfn}")
        if facts.flags & flags.StatInfoFlags.IS_DIR:
            raise TransferError(
                TransferFailure(
                    kind=FailureClass.SPECIFICATION,
                    says=f"a directory stands at {address.shown}",
                    remedy=Remedy.NEXT,
                    surl=address.surl.partition("?")[0],
                    errno=errno.EISDIR,
                )
            )
        return facts

    def _checksum(
        self, address: Address, lfn: str, kind: ChecksumKind, size_bytes: int, progress: Progress
    ) -> Checksum | None:
        """The checksum as the server knows or computes it; None where it cannot."""
        limit_s = CHECKSUM_LIMIT_S + size_bytes // CHECKSUM_SLOWEST_BYTES_PER_S
        while not self._checksums.acquire(timeout=ASK_AGAIN_S):
            progress(0)
        try:
            for again in (True, False):
                asked_for = address.asked_for(f"cks.type={kind}")
                asked = start(_server(address).query, flags.QueryCode.CHECKSUM, asked_for, limit_s=limit_s)
                status = asked.wait(limit_s, progress)
                if status is not None and status.ok:
                    return _checksum_in(asked.response, kind)
                if not server_said(status, *CHECKSUM_BROKE):
                    raise failure(status, address, doing=f"asking for the checksum of {lfn}")
                if again:
                    # No server tells when its computing is to be asked again; this is a thread of the worker process.
                    time.sleep(ASK_AGAIN_S)
        finally:
            self._checksums.release()
        return None


def _address(surl: str, context: TransferContext) -> Address:
    introduce(context.access)
    return Address(surl, context.access)


def _server(address: Address) -> Any:
    """The server for requests about names; connections are the library's, and stay."""
    return client.FileSystem(address.server)


def _checksum_in(answer: bytes, kind: ChecksumKind) -> Checksum | None:
    """The value in an answer `adler32 062c0215`; None for any other answer."""
    words = answer.rstrip(b"\0").decode("ascii", "replace").lower().split()
    if len(words) != 2 or words[0] != kind:
        return None
    return Checksum(kind, words[1].zfill(8) if kind is ChecksumKind.ADLER32 else words[1])


def _read_back(address: Address, lfn: str, kind: ChecksumKind, progress: Progress) -> Checksum:
    """The checksum of what the server gives back."""
    running = measure(kind)
    with ServerFile(address, lfn) as there:
        there.read(there.open_to_read(), measuring(running.update, progress=progress))
    return running.result()


def _clean_up(temporary: Address) -> None:
    """Try to remove a temporary file; one that stays is removed by the server, which never saw it closed."""
    start(_server(temporary).rm, temporary.asked_for(), limit_s=CLEAN_UP_LIMIT_S).wait(CLEAN_UP_LIMIT_S)


def _other_size(lfn: str, address: Address, size_bytes: int, said_bytes: int) -> TransferError:
    return TransferError(
        TransferFailure(
            kind=FailureClass.CHECKSUM,
            says=f"{lfn} has {size_bytes} bytes at {address.host}, its catalogue says {said_bytes}",
            remedy=Remedy.NEXT,
            surl=address.shown,
        )
    )


def _nobody(count: int) -> None:
    """Progress that nobody listens to."""
