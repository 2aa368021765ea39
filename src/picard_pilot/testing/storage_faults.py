"""What a faulty storage can be told: which requests fail and how, what it can do and whom it lets in.

The storage itself is `faulty_storage`.
"""

import msgspec


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong, with which requests. Several things may be given at once."""

    method: str = "*"
    name: str = "*"
    first: int = 1
    """The first matching request, counted from 1, with which it happens."""
    last: int | None = None
    """The last one; None: it never ends."""
    status: int | None = None
    """Answer this status instead of doing anything."""
    body: str = ""
    retry_after: str | None = None
    redirect: str | None = None
    """Answer 307 to this address, unless `status` says which."""
    delay_s: float = 0.0
    """Before anything is done."""
    hang_at: int | None = None
    """After so many bytes of the file, coming or going, nothing happens any more; 0: after the head; -1: none."""
    cut_at: int | None = None
    """After so many bytes of the file the connection ends; -1: before any answer."""
    reset: bool = False
    """With `cut_at`: by a TCP reset."""
    spoil: bool = False
    """Another byte in the middle of the file, as it is sent or stored."""
    bytes_per_s: float | None = None
    """How fast the file's bytes are sent or taken."""
    announce: int | None = None
    """The length that is announced, whatever is sent."""
    digest: str | None = None
    """The Digest header, whatever is asked for; empty: none."""
    lose_answer: bool = False
    """It is done, and the connection is reset in place of the answer."""


class Rules(msgspec.Struct, kw_only=True):
    """What the storage can and demands."""

    move: bool = True
    digests: tuple[str, ...] = ("adler32", "md5")
    etags: bool = True
    ranges: bool = True
    makes_folders: bool = True
    """Whether a PUT makes missing folders; else it is 409."""
    free_bytes: int | None = None
    """What all PUTs together may still write; None: no limit, and no word about it."""
    full_says: int | None = 507
    """The status when full; None: a reset, as XRootD."""
    tells_quota: bool = True
    refuses_with: int = 401
    """The status for a missing or an expired token; XRootD says 403 to everything."""
    tokens: dict[str, float] = {}
    """Token and its end, in seconds since 1970. None at all: everybody may come."""
    signatures: dict[str, tuple[str, float]] = {}


class StorageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came; header names in lower case."""

    method: str
    target: str
    name: str
    """The file's name, decoded."""
    headers: dict[str, str]
    connection: int
    arrived: float
    """On the clock of `time.monotonic`."""
