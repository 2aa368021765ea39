"""What a mover asks of its program, and what the program's end says: the values between `command` and its movers.

Nothing is run here.
"""

from enum import StrEnum
from typing import NamedTuple

import msgspec

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    Remedy,
    RemoveRequest,
    Side,
    StatRequest,
    StoreRequest,
)


class Verb(StrEnum):
    """What a program is asked to do. Without the last four a mover still works, with less certainty."""

    FETCH = "fetch"
    """Bring the file at `surl` to `path`, in a private folder where nothing stands yet."""
    STORE = "store"
    """Put the file at `path` to `surl`, its folders included. Nothing is to be overwritten."""
    STAT = "stat"
    """Say whether a file stands at `surl`, and its size."""
    CHECKSUM = "checksum"
    """Say the checksum, of kind `kind`, of the file at `surl`, as the storage knows or computes it."""
    RENAME = "rename"
    """Give the file at `surl` the address `new_surl`. Nothing stands there."""
    REMOVE = "remove"
    """Remove the file at `surl`; that there is none is no failure."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do. `request` is what the pilot asked for, with its context; what is unknown is None.

    A store's `size_bytes` and `checksum` were measured before; a fetch's are the catalogue's.
    """

    verb: Verb
    request: FetchRequest | StoreRequest | StatRequest | RemoveRequest
    lfn: str
    surl: str
    path: str | None = None
    new_surl: str | None = None
    size_bytes: int | None = None
    checksum: Checksum | None = None
    kind: ChecksumKind | None = None

    def as_(
        self,
        verb: Verb,
        *,
        path: str | None = None,
        new_surl: str | None = None,
        kind: ChecksumKind | None = None,
    ) -> "Call":
        """The same file for another verb."""
        return msgspec.structs.replace(self, verb=verb, path=path or self.path, new_surl=new_surl, kind=kind)

    def to(self, surl: str) -> "Call":
        """The same for another address."""
        return msgspec.structs.replace(self, surl=surl)


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a program's success says. `exists` is for stat, and for remove: whether it was there."""

    exists: bool = True
    size_bytes: int | None = None
    checksum: Checksum | None = None
    already_there: bool = False
    """A store found the same file at its place."""


class Meaning(NamedTuple):
    """What an exit code means, in the words of `model.transfer.TransferFailure`."""

    kind: FailureClass
    means: str
    retry_after_s: float | None = None
    remedy: Remedy | None = None
    side: Side = Side.STORAGE
    errno: int | None = None
    fault: str | None = None
