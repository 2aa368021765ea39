"""What the mover suite needs to know of a storage, and its helpers; the tests are `testing.mover_suite`.

Nothing here knows a protocol.
"""

import abc
import asyncio
import hashlib
import resource
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.site import Endpoint
from picard_pilot.model.transfer import FetchRequest, StoreRequest, TransferError, TransferFailure

DEADLINE_S = 20.0
"""How long the suite waits for what should happen at once on a loaded machine."""

CONTENT = bytes(range(256)) * 4096
"""One MiB in which every shifted or lost block changes the checksum."""

HOSTILE_NAMES = (
    "with blank and 100%.root",
    "%2e%2e%2fescape",
    "question?mark#hash",
    "-rf",
    "semi;colon&and|pipe$(id)`id`",
    "new\nline",
    "back\\slash",
    "Zürich-日本.root",
    ".hidden",
    "n" * 255,
)
"""Names that a file system takes and that a careless program misreads."""


def adler32(data: bytes) -> Checksum:
    """The adler32 of these bytes, by the standard library."""
    return Checksum(ChecksumKind.ADLER32, f"{zlib.adler32(data):08x}")


def md5(data: bytes) -> Checksum:
    """The md5 of these bytes."""
    return Checksum(ChecksumKind.MD5, hashlib.md5(data, usedforsecurity=False).hexdigest())


class Storage(abc.ABC):
    """A storage for the suite: what the mover should reach, seen past the mover."""

    endpoint: Endpoint

    @abc.abstractmethod
    def surl(self, name: str) -> str:
        """The address of a file with this name."""

    @abc.abstractmethod
    def put(self, name: str, data: bytes) -> None:
        """Make this file exist."""

    @abc.abstractmethod
    def read(self, name: str) -> bytes | None:
        """The file's bytes; None if there is no such file under its final name."""

    @abc.abstractmethod
    def leftovers(self) -> list[str]:
        """Names of temporary files on the storage."""

    def wait_until_known(self, name: str) -> None:
        """Return when a stored file can be asked for: at once, but where a redirector is told of it a moment later.

        A redirector that was asked for the name before remembers that nobody has it, until a site tells it.
        """
        return


def names(folder: Path) -> list[str]:
    """The names of all files in a folder, temporary ones too."""
    return sorted(path.name for path in folder.iterdir())


def ignore(count: int) -> None:
    """Progress that nobody needs."""


def failed(act: Callable[[], object]) -> TransferFailure:
    """The classified failure of a call that must not succeed."""
    import pytest  # here, so that `ppilot plugin check` needs no pytest

    with pytest.raises(TransferError) as raised:
        act()
    return raised.value.failure


def replace_movers(
    request: FetchRequest | StoreRequest, movers: tuple[str, ...]
) -> FetchRequest | StoreRequest:
    """The same request for other movers."""
    return msgspec.structs.replace(request, movers=movers)


def gone(pid: int) -> bool:
    """Whether no process, not even a zombie, has this pid."""
    return not Path("/proc", str(pid)).exists()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail where it takes too long."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what another process does gives no event
            await asyncio.sleep(0.01)


@contextmanager
def largest_file_bytes(limit: int) -> Iterator[None]:
    """Let every write past this size fail, which works as any user and on any file system."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
