"""A file of the node to a WebDAV storage: under a temporary name, verified there, and moved to its own name.

A storage without MOVE gets the file under its own name at once, which is verified there and removed if it is wrong:
on such a storage a half file can be seen. XRootD's door takes a Destination as it stands, never decoded, and overwrites
whatever `Overwrite` says: it is told the plain name, after another look; names that cannot be told so are stored in
place. A presigned address permits nothing but one PUT; an object store shows
the file when it has all of it.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote_to_bytes

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import (
    FailureClass,
    How,
    Remedy,
    StoreRequest,
    TransferError,
)
from picard_pilot.movers.base import Progress
from picard_pilot.movers.http_address import HttpAddress
from picard_pilot.movers.http_failures import failed, no_answer, refused
from picard_pilot.movers.http_file import Facts, look, read_back
from picard_pilot.movers.measure import Measure, measure
from picard_pilot.movers.open_file import OpenFile
from picard_pilot.movers.store_kit import another_file_stands
from picard_pilot.system.http_transfer import HttpTransfers
from picard_pilot.system.http_trip import Answer, TransferTrouble
from picard_pilot.system.http_wire import number_of

SMALL_BYTES = 1 << 20
"""A stored file up to this size is read back rather than asked for its checksum: one round trip either way, and all
of the storage is in it. XRootD's door runs the slower for each such question."""
READ_BACK_BYTES = 64 << 20
"""A stored file up to this size is read back where the storage says no checksum; a larger one counts by its size."""

_STORED = (200, 201, 202, 204)
_NO_MOVE = (405, 501)
_NO_FOLDER = (404, 409)
_XROOTD = "xrootd"
_UNTELLABLE = re.compile(r"%(?:[01][0-9A-F]|7F|2[356])", re.IGNORECASE)
"""Coded characters that XRootD's door loses in a plain Destination: controls, # % &."""
_QUOTA = re.compile(rb"quota-available-bytes[^>]*>\s*(\d+)\s*<")
_ASK_QUOTA = b'<?xml version="1.0"?><D:propfind xmlns:D="DAV:"><D:prop><D:quota-available-bytes/></D:prop></D:propfind>'


class Sending:
    """The file as it is sent: measured while its bytes pass, however often that begins anew."""

    def __init__(self, source: OpenFile, kinds: tuple[ChecksumKind, ...], progress: Progress) -> None:
        self.source = source
        self._kinds = kinds
        self._progress = progress
        self._running: list[Measure] = []
        self._sent = 0
        self._passed = False
        self.size_bytes = source.size_bytes

    def rewind(self) -> None:
        """Begin at the first byte."""
        os.lseek(self.source.fd, 0, os.SEEK_SET)
        self._running = [measure(kind) for kind in self._kinds]
        self._passed = False

    def read_into(self, block: memoryview, /) -> int:
        """The next bytes; those before have been sent."""
        if self._passed:
            self._progress(self._sent)
        self._sent = self.source.read_into(block)
        self._passed = True
        for running in self._running:
            running.update(block[: self._sent])
        return self._sent

    def results(self) -> dict[ChecksumKind, Checksum]:
        """The checksums of what was sent."""
        return {kind: running.result() for kind, running in zip(self._kinds, self._running, strict=True)}


class HttpStore:
    """One store. `cannot_move` holds the storages that were seen to have no MOVE, for the life of the process."""

    def __init__(
        self,
        transfers: HttpTransfers,
        address: HttpAddress,
        request: StoreRequest,
        progress: Progress,
        cannot_move: set[str],
    ) -> None:
        self._transfers = transfers
        self._address = address
        self._lfn = request.lfn
        self._kind = request.measure
        self._progress = progress
        self._cannot_move = cannot_move
        self._sent: dict[ChecksumKind, Checksum] = {}
        self._is_xrootd = False

    def store(self, source: OpenFile) -> tuple[How, Checksum]:
        """Put the file where it belongs. Raises TransferError."""
        address = self._address
        if address.is_signed:
            return How.COPY, self._put(source, address.url, self._sending(source))
        there = self._look(address.url)
        if self._is_xrootd and "%3F" in address.url.upper():
            raise failed(
                address,
                FailureClass.SPECIFICATION,
                Remedy.MISTAKE,
                f"{self._lfn} is refused: XRootD knows no file names with a question mark",
            )
        if there is not None:
            return How.ALREADY_THERE, self._same_content(source, there)
        if address.origin not in self._cannot_move:
            stored = self._put_and_move(source)
            if stored is not None:
                return stored
            if not self._is_xrootd:
                self._cannot_move.add(address.origin)
        return self._put_in_place(source)

    def _put_and_move(self, source: OpenFile) -> tuple[How, Checksum] | None:
        """None where the storage cannot move."""
        temporary = self._address.beside()
        with self._removing(temporary):
            found = self._put(source, temporary, self._sending(source))
            self._verify(source, temporary, found)
            destination = self._destination()
            there = self._look(self._address.url) if self._is_xrootd else None
            if there is not None or destination is None:
                self._remove(temporary)
                return (How.ALREADY_THERE, self._same_content(source, there)) if there else None
            headers = {"Destination": destination, "Overwrite": "F"}
            try:
                answer = self._ask("MOVE", temporary, headers=headers)
            except TransferTrouble as trouble:
                if self._look(self._address.url) is None:
                    raise no_answer(trouble, self._address, doing=f"renaming {self._lfn}") from None
                return How.COPY, self._same_content(source)
            if answer.status in _STORED:
                return How.COPY, found
            there = None if answer.status in _NO_MOVE else self._look(self._address.url)
            if there is None and answer.status not in _NO_MOVE:
                raise refused(answer, self._address, doing=f"renaming {self._lfn}", storing=True)
            self._remove(temporary)
        if there is None:
            return None
        return How.ALREADY_THERE, self._same_content(source, there)  # it came while we wrote

    def _destination(self) -> str | None:
        """The final name as the storage wants to be told it; None where it cannot be."""
        coded = self._address.url
        if not self._is_xrootd:
            return coded
        plain = unquote_to_bytes(coded).decode("latin-1")  # header lines are bytes, one character each
        return None if _UNTELLABLE.search(coded) else plain

    def _put_in_place(self, source: OpenFile) -> tuple[How, Checksum]:
        url = self._address.url
        sending = self._sending(source)
        with self._removing(url):
            answer = self._upload(url, sending, {"If-None-Match": "*"})
            if answer.status != 412:
                self._must_be_taken(answer)
                found = self._found(source, sending)
                self._verify(source, url, found)
                return How.COPY, found
        return How.ALREADY_THERE, self._same_content(source)

    @contextmanager
    def _removing(self, url: str) -> Iterator[None]:
        """Remove what was left under this name by a failure, unless the storage does not even answer."""
        try:
            yield
        except TransferError as error:
            if error.failure.kind not in (FailureClass.TIMEOUT, FailureClass.CONTACT, FailureClass.RESOLVE):
                self._remove(url)
            raise

    def _remove(self, url: str) -> None:
        try:
            self._ask("DELETE", url)
        except TransferTrouble as trouble:
            sys.stderr.write(f"{self._lfn}: a temporary file may stay on {self._address.host}: {trouble}\n")

    # the bytes

    def _sending(self, source: OpenFile) -> Sending:
        kinds = dict.fromkeys((self._kind, ChecksumKind.ADLER32))  # adler32 costs next to nothing
        return Sending(source, tuple(kinds), self._progress)

    def _put(self, source: OpenFile, url: str, sending: Sending) -> Checksum:
        answer = self._upload(url, sending, {})
        if answer.status in _NO_FOLDER and not self._address.is_signed and self._make_folders():
            answer = self._upload(url, sending, {})
        self._must_be_taken(answer)
        return self._found(source, sending)

    def _found(self, source: OpenFile, sending: Sending) -> Checksum:
        source.must_be_unchanged()
        self._sent = sending.results()
        return self._sent[self._kind]

    def _must_be_taken(self, answer: Answer) -> None:
        if answer.status not in _STORED:
            raise refused(answer, self._address, doing=f"storing {self._lfn}", storing=True)

    def _upload(self, url: str, sending: Sending, headers: dict[str, str]) -> Answer:
        address = self._address
        try:
            return self._transfers.upload(
                url, address.access, sending, headers=headers, waiting=self._progress
            )
        except TransferTrouble as trouble:
            if trouble.trouble == "request":
                sending.source.must_be_unchanged()
            if trouble.trouble == "reset":
                raise self._perhaps_full(trouble, sending.size_bytes) from None
            raise no_answer(trouble, address, doing=f"storing {self._lfn}") from None

    def _perhaps_full(self, trouble: TransferTrouble, size_bytes: int) -> TransferError:
        """XRootD just cuts the connection when its disk is full, so the free space is asked for."""
        free_bytes = self._free_bytes()
        if free_bytes is not None and free_bytes >= size_bytes:
            return no_answer(trouble, self._address, doing=f"storing {self._lfn}")
        room = (
            "it says nothing about its free space" if free_bytes is None else f"{free_bytes} bytes are free"
        )
        return failed(
            self._address,
            FailureClass.SPACE,
            Remedy.NEXT,
            f"storing {self._lfn} at {self._address.host}: the connection was cut while {size_bytes} bytes "
            f"were sent; the storage is {'full' if free_bytes is not None else 'perhaps full'} ({room})",
            code="http reset",
        )

    def _free_bytes(self) -> int | None:
        if self._address.is_signed:
            return None
        for folder in self._address.folders():
            try:
                answer = self._ask("PROPFIND", folder, body=_ASK_QUOTA, headers={"Depth": "0"})
            except TransferTrouble:
                return None
            if answer.status != 404:
                said = _QUOTA.search(answer.body)
                return number_of(said.group(1).decode()) if said else None
        return None

    def _make_folders(self) -> bool:
        """MKCOL of the folders that are missing; False where none was."""
        missing = []
        for folder in self._address.folders():
            status = self._make_folder(folder)
            if status not in _NO_FOLDER:
                break
            missing.append(folder)
        made = status in _STORED
        for folder in reversed(missing):
            made = self._make_folder(folder) in _STORED or made
        return made

    def _make_folder(self, folder: str) -> int:
        try:
            return self._ask("MKCOL", folder).status
        except TransferTrouble as trouble:
            raise no_answer(trouble, self._address, doing=f"making the folder of {self._lfn}") from None

    # what is there

    def _ask(self, method: str, url: str, **more: Any) -> Answer:
        return self._transfers.ask(method, url, self._address.access, **more)

    def _look(self, url: str, *kinds: ChecksumKind, size_bytes: int = 0) -> Facts | None:
        found = look(
            self._transfers,
            self._address,
            *kinds,
            url=url,
            size_bytes=size_bytes,
            progress=self._progress,
        )
        self._is_xrootd = found.server.startswith(_XROOTD)
        return found if found.exists else None

    def _verify(self, source: OpenFile, url: str, found: Checksum) -> None:
        """Compare what the storage has with what was sent."""
        if source.size_bytes <= SMALL_BYTES:
            return self._must_come_back(url, found)
        kinds = dict.fromkeys((self._kind, ChecksumKind.ADLER32))
        there = self._look(url, *kinds, size_bytes=source.size_bytes)
        if there is None or there.size_bytes not in (None, source.size_bytes):
            seen = "no file" if there is None else f"{there.size_bytes} bytes"
            raise self._differs(f"{seen} there, {source.size_bytes} bytes here")
        for kind, value in there.checksums.items():
            if kind in self._sent:
                if self._sent[kind].value != value:
                    raise self._differs(f"{kind} {value} there, {self._sent[kind].value} here")
                return None
        if source.size_bytes > READ_BACK_BYTES:
            sys.stderr.write(
                f"{self._lfn}: {self._address.host} says no checksum, so its size alone was verified\n"
            )
            return None
        return self._must_come_back(url, found)

    def _must_come_back(self, url: str, found: Checksum) -> None:
        back = read_back(self._transfers, self._address, url, found.kind, self._progress)
        if back != found:
            raise self._differs(f"{back.value if back else 'nothing'} came back, {found.value} was sent")

    def _differs(self, seen: str) -> TransferError:
        return failed(
            self._address,
            FailureClass.CHECKSUM,
            Remedy.REPEAT,
            f"what {self._address.host} stored of {self._lfn} is not what was sent: {seen}",
        )

    def _same_content(self, source: OpenFile, there: Facts | None = None) -> Checksum:
        """The common checksum of source and target; a `FILEEXISTS` failure where they differ."""
        url = self._address.url
        there = there or self._look(url)
        if there is not None and there.size_bytes in (None, source.size_bytes):
            found = source.read_through(self._kind, self._progress)
            if source.size_bytes > SMALL_BYTES:
                known = self._look(url, self._kind, size_bytes=source.size_bytes)
                if known is not None and known.checksums.get(self._kind) == found.value:
                    return found
            # A file that was overwritten may have an old checksum; what it gives back decides.
            if read_back(self._transfers, self._address, url, self._kind, self._progress) == found:
                return found
        raise another_file_stands(
            self._lfn,
            self._address.shown,
            there_bytes=None if there is None else there.size_bytes,
            here_bytes=source.size_bytes,
        )
