"""A transfer as a value: what is asked of a mover, what came of it, and how a failure is classified.

All of it crosses to the transfer worker process as JSON. Building the ordered lists is `data.sources` and
`data.destinations`; moving the bytes is `movers`.
"""

from enum import StrEnum

import msgspec

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.site import Endpoint

ANY_SCHEME = "*"
"""Among a mover's schemes: it takes addresses of every scheme, where the queue names it."""


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


class Remedy(StrEnum):
    """What can help after a failure, judged where it happened; the pilot's retry policy obeys it."""

    NEXT = "next"
    """This copy or place is bad for good: another one at once, and the copy is reported as suspicious."""
    REPEAT = "repeat"
    """Once more from here first, since the way may have changed the bytes; then another one."""
    BENCH = "bench"
    """The endpoint is sick: another one at once, and none of its files for a while."""
    LATER = "later"
    """A redirector that found no server may find one in ten seconds; after that as `next`."""
    RENEW = "renew"
    """The credential has run out: once more with a renewed one, then another place."""
    STOP = "stop"
    """It is this node's own trouble, which no other place can mend."""
    MISTAKE = "mistake"
    """We asked for what this door cannot do: another way at once, and nobody else is to blame."""


class TransferFailure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="failed"):
    """Why a transfer did not happen. `says` is one sentence for people, with the file's name in it.

    `retry_after_s` is None where the same request can never succeed, 0 where it may at once, else the pause in
    seconds that the storage asked for. `remedy` is what can help, where the mover knows it better than its class
    does. `code` is the protocol's own word for it (`xrootd 400/3011`, `http 404`). `errno` is the operating system's
    number where there was one. `fault` is the catalogue's name of the error where it is known more exactly than by
    class.
    """

    kind: FailureClass
    says: str
    side: Side = Side.STORAGE
    remedy: Remedy | None = None
    code: str | None = None
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


class StorageAccess(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """As whom a mover goes to a storage, and whom it trusts; read anew for every request, so that a renewed token
    counts at once.

    `token` is a secret: this value travels to the transfer worker only, and shows itself without it. All else are
    paths of PEM files or, for `ca_dir`, of a hashed directory; without either the system's authorities count.
    """

    token: str | None = None
    token_source: str | None = None
    """Where the token was found (a path, or a variable's name), for people who have to renew it."""
    certificate: str | None = None
    """Client certificate with its chain; an X.509 proxy file holds the key too."""
    key: str | None = None
    ca_file: str | None = None
    ca_dir: str | None = None

    def __repr__(self) -> str:
        return (
            f"StorageAccess({'with' if self.token else 'without'} a token, certificate={self.certificate!r})"
        )


class TransferContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a mover may know of the site and the experiment for one call; None is unknown.

    `environment` holds the queue's variables for movers that start a program; it never holds a secret. `access` is
    filled in for each request on its way to the worker.
    """

    endpoint: Endpoint | None = None
    queue: str | None = None
    site: str | None = None
    activity: str | None = None
    experiment: str | None = None
    job_id: int | None = None
    environment: dict[str, str] = {}
    access: StorageAccess = StorageAccess()


class How(StrEnum):
    """By which means a file came to be where it is."""

    COPY = "copy"
    REFLINK = "reflink"
    SYMLINK = "symlink"
    ALREADY_THERE = "already there"
    DIRECT = "direct"
    """Not moved at all: the payload reads it where it is."""


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
    dataset: str | None = None
    """The dataset to which a catalogue attaches the file."""
    size_bytes: int | None = None
    measure: ChecksumKind = ChecksumKind.ADLER32
    movers: tuple[str, ...] = ()
    context: TransferContext = TransferContext()
    register: bool = True
    """Tell a catalogue too; False: that is asked for on its own, once it is sure that this copy is the one."""


class Transferred(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="done"):
    """A transfer that succeeded: what was measured while the bytes passed, how long it took, who did it how."""

    surl: str
    size_bytes: int
    checksum: Checksum
    seconds: float
    how: How
    mover: str


class RegisterRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="register"):
    """Tell the queue's catalogue about a file that is stored. `stored` is the request by which it was, and `done` what
    came of that. Safe to repeat."""

    stored: StoreRequest
    done: Transferred
    context: TransferContext = TransferContext()

    @property
    def surl(self) -> str:
        """Where the file stands."""
        return self.stored.surl

    @property
    def movers(self) -> tuple[str, ...]:
        """The queue's for writing; the first of them that is a catalogue is told."""
        return self.stored.movers


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


class OpenRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="open"):
    """Ask whether a payload could open the file where it is: opened and its first bytes read, nothing kept."""

    lfn: str
    surl: str
    size_bytes: int | None = None
    movers: tuple[str, ...] = ()
    context: TransferContext = TransferContext()


class Did(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file's full name in a catalogue: scope and LFN."""

    scope: str
    lfn: str


class ReplicasRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="look up"):
    """Ask a catalogue, once for all files of a job, where their replicas are.

    `movers` are the queue's for reading; the first of them that is a catalogue is asked.
    """

    dids: tuple[Did, ...]
    movers: tuple[str, ...] = ()
    context: TransferContext = TransferContext()

    @property
    def surl(self) -> str:
        """There is no address yet: what is asked for, for people."""
        return f"replicas of {len(self.dids)} files"


AnyRequest = (
    FetchRequest
    | StoreRequest
    | RegisterRequest
    | StatRequest
    | RemoveRequest
    | OpenRequest
    | ReplicasRequest
)


class Registered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="registered"):
    """The answer to a register request: the mover that is the catalogue, by name."""

    catalogue: str


class FileFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="facts"):
    """The answer to a stat: whether the file exists, and what is known of it."""

    exists: bool
    size_bytes: int | None = None
    checksum: Checksum | None = None


class Removed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="removed"):
    """The answer to a remove."""

    was_there: bool


class Opened(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="opened"):
    """The answer to an open request: it could be opened; `size_bytes` where the storage said it."""

    surl: str
    seconds: float
    mover: str
    size_bytes: int | None = None


class Replica(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One replica as a catalogue knows it. What it does not say is None."""

    surl: str
    rse: str
    lan: bool | None = None
    """Whether the catalogue counts it as local to the site that asked."""
    tape: bool = False
    priority: int | None = None
    """The catalogue's own order, 1 first."""


class FileReplicas(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a catalogue says of one file; no replicas: it knows none."""

    scope: str
    lfn: str
    replicas: tuple[Replica, ...] = ()
    size_bytes: int | None = None
    checksum: Checksum | None = None


class Replicas(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="replicas"):
    """The answer of a catalogue; a file it does not know is left out."""

    files: tuple[FileReplicas, ...]
    catalogue: str
    """The mover that answered, by name."""


AnyResult = Transferred | TransferFailure | Registered | FileFacts | Removed | Opened | Replicas


class SourceKind(StrEnum):
    """What a place to read from is, in the order in which such places are tried."""

    NODE = "node"
    """Already on the node: CVMFS, a cache."""
    SITE = "site"
    """The site's own storage."""
    LAN = "lan"
    """Another replica that is near."""
    WAN = "wan"
    """A replica of another site."""
    ALTERNATIVE = "alternative"
    """The queue's alternative storage endpoint."""
    FEDERATION = "federation"
    """The XRootD federation, through the queue's redirector."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One place to read an input from, and why it stands where it stands in the list."""

    surl: str
    endpoint: Endpoint
    movers: tuple[str, ...] = ()
    kind: SourceKind = SourceKind.SITE
    reason: str


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """One place to store an output, and why it stands where it stands in the list."""

    surl: str
    endpoint: Endpoint
    movers: tuple[str, ...] = ()
    alternative: bool = False
    """Not where the output was meant to go."""
    reason: str
