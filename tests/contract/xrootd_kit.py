"""What the tests of the XRootD mover share: requests, short time limits, one mover per test process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

from picard_pilot.model.transfer import FetchRequest, StorageAccess, StoreRequest, TransferContext
from picard_pilot.movers.base import SiteMover
from picard_pilot.plugins.loader import load
from picard_pilot.testing.mover_kit import adler32

LIMIT_S = 3
"""The request limit of tests: long for a busy machine on loopback, short for whoever waits."""

SHORT_LIMITS = {
    "ConnectionWindow": 1,
    "ConnectionRetry": 1,
    "RequestTimeout": LIMIT_S,
    "StreamTimeout": LIMIT_S,
}


@cache
def mover() -> SiteMover:
    """The mover of this process: connections and the client's state are kept between tests, as in a worker."""
    made: SiteMover = load("mover", "xrootd")()
    return made


@contextmanager
def short_limits() -> Iterator[None]:
    """The client's time limits are seconds meanwhile."""
    mover()
    from XRootD import client

    before = {name: client.EnvGetInt(name) for name in SHORT_LIMITS}
    for name, value in SHORT_LIMITS.items():
        client.EnvPutInt(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            client.EnvPutInt(name, value)


_callers = count(1)


def anew(root: str) -> str:
    """The same address by a connection of its own, for limits that are taken when a connection is made."""
    return root.replace("://", f"://caller{next(_callers)}@")


def fetch_request(
    root: str, name: str, folder: Path, data: bytes | None = None, token: str | None = None
) -> FetchRequest:
    """Bring `name` into a folder; `data` is what its catalogue describes."""
    return FetchRequest(
        lfn=name.rpartition("/")[2],
        surl=f"{root}/{name}",
        target=str(folder / "fetched"),
        size_bytes=None if data is None else len(data),
        checksum=None if data is None else adler32(data),
        context=TransferContext(access=StorageAccess(token=token)),
    )


def store_request(root: str, name: str, source: Path, token: str | None = None) -> StoreRequest:
    """Store a file as `name`."""
    return StoreRequest(
        lfn=name.rpartition("/")[2],
        source=str(source),
        surl=f"{root}/{name}",
        context=TransferContext(access=StorageAccess(token=token)),
    )


def large(size_bytes: int) -> bytes:
    """Bytes of which no two pieces are alike."""
    return os.urandom(size_bytes)
