"""Requests to the http mover for its tests: one input, one output, and as whom."""

from pathlib import Path

import msgspec

from picard_pilot.model.transfer import (
    FetchRequest,
    StorageAccess,
    StoreRequest,
    TransferContext,
)
from picard_pilot.testing.faulty_storage import FaultyStorage
from picard_pilot.testing.mover_kit import CONTENT, adler32


def fetch(storage: FaultyStorage, node: Path, **more: object) -> FetchRequest:
    """The input, as its catalogue describes it."""
    described = {"size_bytes": len(CONTENT), "checksum": adler32(CONTENT), **more}
    request = FetchRequest(lfn="in.root", surl=storage.surl("in.root"), target=str(node / "in.root"))
    return msgspec.structs.replace(request, **described)


def store(storage: FaultyStorage, node: Path, **more: object) -> StoreRequest:
    """The output."""
    source = str(node.parent / "out.root")
    return msgspec.structs.replace(
        StoreRequest(lfn="out.root", surl=storage.surl("out.root"), source=source), **more
    )


def with_token(token: str | None) -> TransferContext:
    """Who comes with this token."""
    return TransferContext(access=StorageAccess(token=token))
