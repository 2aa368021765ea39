"""The http mover: WebDAV storages, web servers and presigned addresses, by http://, https://, dav:// and davs://.

A file to the node is `http_file`, one to a storage `http_store`, what a failure means `http_failures`.
"""

import os
import time
from pathlib import Path
from typing import ClassVar

from picard_pilot.model.files import Checksum
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    FileFacts,
    Opened,
    OpenRequest,
    Remedy,
    Removed,
    RemoveRequest,
    Side,
    StatRequest,
    StoreRequest,
    Transferred,
)
from picard_pilot.model.version import VERSION
from picard_pilot.movers.base import Progress, SiteMover
from picard_pilot.movers.http_address import SCHEMES, HttpAddress
from picard_pilot.movers.http_failures import failed, no_answer, refused
from picard_pilot.movers.http_file import fetch_file, first_bytes, look
from picard_pilot.movers.http_store import HttpStore
from picard_pilot.movers.open_file import OpenFile
from picard_pilot.system.http_transfer import HttpTransfers
from picard_pilot.system.http_trip import READ_LIMIT_S, TransferTrouble

USER_AGENT = f"picard-pilot/{VERSION}"


def proxies() -> dict[str, str]:
    """The variables of this process that name proxies, which transfers obey as every other tool does."""
    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}


class HttpMover(SiteMover):
    """Moves files between the node and storages that speak HTTP."""

    name: ClassVar[str] = "http"
    schemes: ClassVar[tuple[str, ...]] = tuple(SCHEMES)

    def __init__(self, read_limit_s: float = READ_LIMIT_S) -> None:
        self._transfers = HttpTransfers(
            user_agent=USER_AGENT, environment=proxies(), read_limit_s=read_limit_s
        )
        self._cannot_move: set[str] = set()

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """GET one file to the node, measured while its bytes pass; a broken connection is resumed."""
        address = HttpAddress(request.surl, request.context.access)
        return fetch_file(self._transfers, address, request, progress, self.name)

    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """PUT one file of the node under a temporary name, verify it there and MOVE it; see `http_store`."""
        began = time.monotonic()
        address = HttpAddress(request.surl, request.context.access)
        with OpenFile(Path(request.source), request.lfn, address.shown, Side.NODE) as source:
            how, found = HttpStore(self._transfers, address, request, progress, self._cannot_move).store(
                source
            )
        return Transferred(
            surl=address.shown,
            size_bytes=source.size_bytes,
            checksum=found,
            seconds=time.monotonic() - began,
            how=how,
            mover=self.name,
        )

    def stat(self, request: StatRequest) -> FileFacts:
        """Existence and size; with `measure` the checksum, where the storage says it."""
        address = HttpAddress(request.surl, request.context.access)
        kinds = () if request.measure is None else (request.measure,)
        found = look(self._transfers, address, *kinds)
        if not found.exists:
            return FileFacts(exists=False)
        value = found.checksums.get(request.measure) if request.measure else None
        checksum = Checksum(request.measure, value) if request.measure and value else None
        return FileFacts(exists=True, size_bytes=found.size_bytes, checksum=checksum)

    def remove(self, request: RemoveRequest) -> Removed:
        """DELETE one file."""
        address = HttpAddress(request.surl, request.context.access)
        doing = f"removing {address.name}"
        try:
            answer = self._transfers.ask("DELETE", address.url, address.access)
        except TransferTrouble as trouble:
            raise no_answer(trouble, address, doing=doing) from None
        if answer.status in (404, 410):
            return Removed(was_there=False)
        if answer.status >= 300:
            raise refused(answer, address, doing=doing, storing=True)
        return Removed(was_there=True)

    def open_check(self, request: OpenRequest) -> Opened:
        """Read the file's first bytes where it is."""
        began = time.monotonic()
        address = HttpAddress(request.surl, request.context.access)
        size_bytes = first_bytes(self._transfers, address, request.lfn)
        if None not in (size_bytes, request.size_bytes) and size_bytes != request.size_bytes:
            raise failed(
                address,
                FailureClass.CHECKSUM,
                Remedy.NEXT,
                f"{request.lfn} has {size_bytes} bytes at {address.host}, "
                f"its catalogue says {request.size_bytes}",
            )
        return Opened(
            surl=address.shown, seconds=time.monotonic() - began, mover=self.name, size_bytes=size_bytes
        )
