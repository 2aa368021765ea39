"""A file's bytes from and to an XRootD server, several pieces under way at once, in order, measured as they pass.

Names, checksums and what may be overwritten are the business of `movers.xrootd`.
"""

import os
from collections import deque
from collections.abc import Callable
from typing import Any

from picard_pilot.model.transfer import Side
from picard_pilot.movers.base import Progress
from picard_pilot.movers.open_file import OpenFile
from picard_pilot.movers.troubles import Blaming
from picard_pilot.movers.xrootd_address import Address
from picard_pilot.movers.xrootd_client import Pending, client, failure, flags, found_again, no_servers, start

PIECE_BYTES = 1 << 20
PIECES_AT_ONCE = 4
"""The library's own 8 MiB times 4 is no faster, and eight files at once would take 300 MB."""

MODE = 0o644


class ServerFile:
    """A file open at a server, as a context. Everything raises TransferError."""

    def __init__(self, address: Address, lfn: str) -> None:
        self._address = address
        self._lfn = lfn
        self._file: Any = client.File()
        self._open = False

    def __enter__(self) -> "ServerFile":
        return self

    def __exit__(self, *_: object) -> None:
        """Close without waiting: a reader has what it wanted, and the answer of a sick server would only delay.

        Left to the library's destructor it would wait for the answer, and hold the interpreter meanwhile.
        """
        if self._open:
            self._open = False
            start(self._file.close)

    def open_to_read(self, *, look_again: bool = False) -> int:
        """Open; the size in bytes, which comes with the answer.

        With `look_again` a redirector that did not find the file is made to ask its servers once more.
        """
        status, _ = self._file.open(self._address.url, flags.OpenFlags.READ)
        if look_again and no_servers(status) and found_again(self._address):
            self._file = client.File()
            status, _ = self._file.open(self._address.url, flags.OpenFlags.READ)
        self._must(status, f"opening {self._lfn}")
        self._open = True
        status, facts = self._file.stat()
        self._must(status, f"looking at {self._lfn}")
        return int(facts.size)

    def open_new(self) -> None:
        """Make the file, with its folders; one that is never closed is removed by the server."""
        made = flags.OpenFlags
        how = made.NEW | made.MAKEPATH | made.POSC
        status, _ = self._file.open(self._address.url, how, MODE)
        self._must(status, f"making {self._lfn}", storing=True)
        self._open = True

    def read(self, size_bytes: int, take: Callable[[memoryview], None]) -> None:
        """Give the first `size_bytes` to `take`, in order and as far as there are so many."""
        if 0 < size_bytes <= PIECE_BYTES:  # without a callback it is quicker, and a small file counts by that
            status, data = self._file.read(0, size_bytes)
            self._must(status, f"reading {self._lfn}")
            take(memoryview(data))
            return
        under_way: deque[Pending] = deque()
        offset = 0
        try:
            while offset < size_bytes or under_way:
                while offset < size_bytes and len(under_way) < PIECES_AT_ONCE:
                    count = min(PIECE_BYTES, size_bytes - offset)
                    under_way.append(start(self._file.read, offset, count))
                    offset += count
                piece = under_way[0]
                self._must(piece.wait(), f"reading {self._lfn}")
                under_way.popleft()
                take(memoryview(piece.response))
        finally:
            _settle(under_way)

    def write(self, source: OpenFile, take: Callable[[memoryview], None]) -> None:
        """Write all of `source`, from its beginning; what is written goes to `take`."""
        under_way: deque[Pending] = deque()
        doing = f"writing {self._lfn}"
        offset = 0
        try:
            while True:
                with Blaming(f"reading {self._lfn} on the {Side.NODE}", self._address.surl, Side.NODE):
                    data = os.pread(source.fd, PIECE_BYTES, offset)
                if not data:
                    break
                source.passed_bytes = offset + len(data)
                source.must_not_outgrow()
                if len(under_way) == PIECES_AT_ONCE:
                    self._must(under_way[0].wait(), doing, storing=True)
                    under_way.popleft()
                under_way.append(start(self._file.write, data, offset, len(data), kept=data))
                offset += len(data)
                take(memoryview(data))
            while under_way:
                self._must(under_way[0].wait(), doing, storing=True)
                under_way.popleft()
        finally:
            _settle(under_way)

    def close(self) -> None:
        """Close and wait: a server may say only now that it could not keep the bytes."""
        self._open = False
        self._must(start(self._file.close).wait(), f"closing {self._lfn}", storing=True)

    def _must(self, status: Any, doing: str, *, storing: bool = False) -> None:
        if status is None or not status.ok:
            raise failure(status, self._address, doing=doing, storing=storing)


def _settle(under_way: "deque[Pending]") -> None:
    """After a failure the other pieces end as well; till then the library writes into what it was given."""
    for piece in under_way:
        piece.wait()


def measuring(*takers: Callable[[memoryview], None], progress: Progress) -> Callable[[memoryview], None]:
    """One taker of pieces that gives each to all of these, and says that it passed."""

    def take(data: memoryview) -> None:
        for each in takers:
            each(data)
        progress(len(data))

    return take
