"""A transfer as a value: what is asked of a mover, what came of it, and how a failure is classified.

All of it crosses to the transfer worker process as JSON. Building the ordered lists is `data.plan`; moving the
bytes is `movers`.
"""

from enum import StrEnum

import msgspec

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.site import Endpoint


class FailureClass(StrEnum):
    """What kind of thing went wrong, judged where it happened; the retry policy decides by it."""

    RESOLVE = "resolve"
    """A name (host, replica, path rule) leads nowhere."""
    CONTACT = "contact"
    """The storage does not answer."""
    AUTH = "auth"
    """Credentials or permissions do not suffice."""
    SPECIFICATION = "specification"
    """The request itself cannot be served: bad address, unknown mover, something else stands at the target."""
    MISSING = "missing"
    """The storage says that the file does not exist."""
    SPACE = "space"
    """No room left."""
    TRANSFER = "transfer"
    """The bytes did not arrive."""
    CHECKSUM = "checksum"
    """Other bytes arrived than the catalogue describes: size or checksum differ."""
    REGISTER = "register"
    """Stored, but the catalogue did not take it."""
    TIMEOUT = "timeout"
    """Out of time, or no byte for too long."""


class Side(StrEnum):
    """Whose failure it is: the node's own disk and files, or the storage."""

    NODE = "node"
    STORAGE = "storage"


class TransferFailure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="failed"):
    """Why a transfer did not happen. `says` is one sentence for people, with the file's name in it.

    `retry_after_s` is None where the same request can never succeed, 0 where it may at once, else the pause in
    seconds. `errno` is the operating system's number where there was one. `fault` is the catalogue's name of the
    error where it is known more exactly than by class.
    """

    kind: FailureClass
    says: str
    side: Side = Side.STORAGE
    endpoint: str | None = None
    surl: str | None = None
    errno: int | None = None
    retry_after_s: float | None = None
    fault: str | None = None


class TransferError(Exception):
    """Raised inside a mover and its helpers; it carries the classified failure and never leaves the worker."""

    def __init__(self, failure: TransferFailure) -> None:
        super().__init__(failure.says)
        self.failure = failure


class TransferContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a mover may know of the site and the experiment for one call; None is unknown.

    `environment` holds the queue's variables for movers that start a program; it never holds a secret.
    """

    endpoint: Endpoint | None = None
    queue: str | None = None
    site: str | None = None
    activity: str | None = None
    experiment: str | None = None
    job_id: int | None = None
    environment: dict[str, str] = {}


class FetchRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="fetch"):
    """Bring one file from a storage to `target`, an absolute path whose directory exists.

    What the catalogue says (`size_bytes`, `checksum`) is compared with what arrives and never replaced by it; where
    it says nothing, `measure` names the checksum to report. `target` appears complete and verified, or not at all;
    a file that already stands there is replaced.
    """

    lfn: str
    surl: str
    target: str
    scope: str | None = None
    size_bytes: int | None = None
    checksum: Checksum | None = None
    measure: ChecksumKind = ChecksumKind.ADLER32
    allow_symlink: bool = False
    movers: tuple[str, ...] = ()
    """Preferred movers; the first that speaks the address' scheme is used, else any that does."""
    context: TransferContext = TransferContext()


class StoreRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="store"):
    """Put one file of the node, `source`, where `surl` says: temporary name, verify, commit.

    Safe to repeat after a crash: the same content at `surl` counts as done, another content is never overwritten.
    """

    lfn: str
    source: str
    surl: str
    scope: str | None = None
    guid: str | None = None
    size_bytes: int | None = None
    measure: ChecksumKind = ChecksumKind.ADLER32
    movers: tuple[str, ...] = ()
    context: TransferContext = TransferContext()


class StatRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="stat"):
    """Ask whether a file exists, how large it is and, where `measure` is given, for its checksum."""

    surl: str
    measure: ChecksumKind | None = None
    movers: tuple[str, ...] = ()
    context: TransferContext = TransferContext()


class RemoveRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="remove"):
    """Remove a file from a storage; that it is already gone counts as done."""

    surl: str
    movers: tuple[str, ...] = ()
    context: TransferContext = TransferContext()


AnyRequest = FetchRequest | StoreRequest | StatRequest | RemoveRequest


class How(StrEnum):
    """By which means a file came to be where it is."""

    COPY = "copy"
    REFLINK = "reflink"
    SYMLINK = "symlink"
    ALREADY_THERE = "already there"


class Transferred(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="done"):
    """A transfer that succeeded: what was measured while the bytes passed, how long it took, who did it how."""

    surl: str
    size_bytes: int
    checksum: Checksum
    seconds: float
    how: How
    mover: str


class FileFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="facts"):
    """The answer to a stat: whether the file exists, and what is known of it."""

    exists: bool
    size_bytes: int | None = None
    checksum: Checksum | None = None


class Removed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="removed"):
    """The answer to a remove."""

    was_there: bool


AnyResult = Transferred | TransferFailure | FileFacts | Removed


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One place to read an input from, and why it stands where it stands in the list."""

    surl: str
    endpoint: Endpoint
    movers: tuple[str, ...] = ()
    reason: str


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """One place to store an output, and why it stands where it stands in the list."""

    surl: str
    endpoint: Endpoint
    movers: tuple[str, ...] = ()
    reason: str
