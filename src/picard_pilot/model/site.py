"""A site as the pilot sees it: one queue, its storage endpoints, and where each of these facts came from.

Reading them from TOML or CRIC is `site`; choosing between endpoints is `data.sources` and
`data.destinations`.
"""

from enum import StrEnum

import msgspec

from picard_pilot.model.files import ChecksumKind
from picard_pilot.model.isolation import Guarantee
from picard_pilot.model.policy import AltStageOut


class Origin(msgspec.Struct, frozen=True):
    """Where a value came from: the kind of source (`toml`, `cric`, `default`) and the place in it."""

    source: str
    detail: str


class Activity(StrEnum):
    """What an endpoint or a mover is used for, in CRIC's words. A queue may name others; they are kept."""

    READ = "pr"
    WRITE = "pw"
    LOG = "pl"
    READ_LAN = "read_lan"
    READ_WAN = "read_wan"
    WRITE_LAN = "write_lan"
    WRITE_WAN = "write_wan"
    WRITE_ANY = "w"
    READ_ALTERNATIVE = "read_alternative"
    """Where else an input may be found. CRIC does not know it: there it is the rest of the list for `pr`."""
    WRITE_ALTERNATIVE = "write_alternative"
    """Where outputs go when the first destination does not take them; else the next endpoint for `pw`."""
    DEFAULT = "default"


ACTIVITY_FALLBACKS: dict[str, tuple[str, ...]] = {
    Activity.READ: (Activity.READ, Activity.READ_LAN, Activity.DEFAULT),
    Activity.WRITE: (Activity.WRITE, Activity.WRITE_LAN, Activity.WRITE_ANY, Activity.DEFAULT),
    Activity.LOG: (Activity.LOG, Activity.WRITE, Activity.WRITE_LAN, Activity.WRITE_ANY, Activity.DEFAULT),
    Activity.READ_WAN: (Activity.READ_WAN, Activity.DEFAULT),
    Activity.READ_ALTERNATIVE: (Activity.READ_ALTERNATIVE,),
    Activity.WRITE_ALTERNATIVE: (Activity.WRITE_ALTERNATIVE,),
}
"""Where a queue says nothing for an activity, the first of these for which it does counts."""


class PathRule(StrEnum):
    """How an endpoint derives a file's path from its name."""

    RUCIO = "rucio"
    """Deterministic, by Rucio's hash: scope/ab/cd/lfn."""
    FLAT = "flat"
    """All files in one directory."""
    CATALOGUE = "catalogue"
    """Not derivable: only a replica catalogue knows the path."""


class Protocol(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One way into an endpoint: the address under which its files begin, and for which activities.

    No activities means all. `prefix` is an address such as `file:///srv/rucio` or `root://door:1094//data/rucio`.
    """

    prefix: str
    activities: tuple[str, ...] = ()

    @property
    def scheme(self) -> str:
        """The address' scheme in lower case, `file` or `root` for instance."""
        return self.prefix.partition("://")[0].lower()


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One storage endpoint (RSE); its protocols stand in the order in which they should be tried."""

    name: str
    protocols: tuple[Protocol, ...] = ()
    paths: PathRule = PathRule.RUCIO
    checksum: ChecksumKind = ChecksumKind.ADLER32
    """The kind measured for a new file, or for one whose catalogue gives none."""
    state: str | None = None
    kind: str | None = None
    """`DATADISK`, `DATATAPE` ..., as the source calls it."""
    token: str | None = None
    extra: dict[str, object] = {}
    origins: dict[str, Origin] = {}

    def prefixes_for(self, activity: str) -> tuple[str, ...]:
        """The addresses to use for the activity, best first, each once; none: the endpoint does not serve it."""
        for name in ACTIVITY_FALLBACKS.get(activity, (activity, Activity.DEFAULT)):
            found = [way.prefix for way in self.protocols if not way.activities or name in way.activities]
            if found:
                return tuple(dict.fromkeys(found))
        return ()

    @property
    def active(self) -> bool:
        """False only where a source says so."""
        return self.state is None or self.state.upper() == "ACTIVE"


class QueueLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a queue allows one job; None where it sets no limit (CRIC writes 0)."""

    maxtime_s: int | None = None
    maxrss_mb: int | None = None
    maxwdir_mb: int | None = None
    maxinputsize_mb: int | None = None
    corecount: int | None = None
    timefloor_min: int | None = None
    """A pilot younger than this may take another job."""


class LocalFiles(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Files that lie on the node anyway, on CVMFS for instance: which names, and where.

    `names` is a regular expression for the whole LFN; `path` an absolute path into which its groups are filled
    (`{0}` the LFN, `{1}` the first group, `{name}` a named one).
    """

    names: str
    path: str


class Federation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The XRootD federation as a last source of inputs.

    `redirector` is the address under which its files begin. No more than `max_bytes` per job come from it (None: no
    limit).
    """

    redirector: str
    paths: PathRule = PathRule.RUCIO
    max_bytes: int | None = None


FEDERATION = "federation"
"""The name under which the queue's redirector shows as an endpoint."""


DIRECT_ACCESS_THRESHOLD_BYTES = 2 << 30
"""Up to 2 GiB a file is copied: a copy is read at the disk's speed and survives a storage that goes away."""


class Queue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One PanDA queue: identity, state, limits, endpoints and movers per activity. Unknown is None.

    `origins` holds, per field (`limits.maxtime_s`, `endpoints.pr`), where its value came from. Keys that the
    pilot does not know are kept in `extra` as the source gave them.
    """

    name: str
    """CRIC's nickname."""
    panda_resource: str
    """The name sent to the server as `site_name`."""
    site: str | None = None
    state: str | None = None
    """`ACTIVE` or not; None counts as active."""
    status: str | None = None
    """`online`, `test`, `brokeroff`, `offline` ..."""
    kind: str | None = None
    """CRIC's `type`: production, analysis, unified."""
    resource_type: str | None = None
    experiment: str | None = None
    """The plug-in that knows this queue's jobs; None leaves it to the pilot's setting."""
    limits: QueueLimits = QueueLimits()
    endpoints: dict[str, tuple[str, ...]] = {}
    """Names of endpoints per activity, in the order in which to use them (CRIC's `astorages`)."""
    movers: dict[str, tuple[str, ...]] = {}
    """Names of movers per activity, preferred first (CRIC's `acopytools`)."""
    schemes: dict[str, tuple[str, ...]] = {}
    """Schemes of addresses per activity (`root`, `davs` ...), preferred first (CRIC's `acopytools_schemas`); those that
    are not named come after them, as the endpoint has them."""
    environment: dict[str, str] = {}
    allow_symlink: bool = False
    """Inputs on a mounted storage may be linked instead of copied."""
    allow_lan: bool | None = None
    allow_wan: bool | None = None
    direct_access_lan: bool | None = None
    direct_access_wan: bool | None = None
    direct_access_threshold_bytes: int = DIRECT_ACCESS_THRESHOLD_BYTES
    """Larger inputs are read where they are, if direct access is allowed."""
    local_files: tuple[LocalFiles, ...] = ()
    federation: Federation | None = None
    alt_stage_out: AltStageOut | None = None
    """None leaves it to the job."""
    register_outputs: bool = False
    """The pilot tells the catalogue among the queue's movers about outputs. Off: the PanDA server does that when it
    has the report, as today's pilots leave it to."""
    jobs_can_move: bool = True
    """Users' jobs of this queue can run elsewhere too. Off: outputs that no storage takes are worth a wait."""
    trace_url: str | None = None
    """Where a Rucio-style trace of each transfer is sent; None: nowhere."""
    required_guarantees: tuple[Guarantee, ...] = ()
    """What payloads of this queue must be confined by; a job for which nothing gives it is refused."""
    container_type: str | None = None
    container_options: str | None = None
    catchall: str | None = None
    params: dict[str, object] = {}
    extra: dict[str, object] = {}
    origins: dict[str, Origin] = {}

    def endpoints_for(self, activity: str) -> tuple[str, tuple[str, ...]]:
        """The activity that the queue really names for this one, and its endpoints (none: empty)."""
        return _first_named(self.endpoints, activity)

    def movers_for(self, activity: str) -> tuple[str, ...]:
        """The movers that the queue prefers for the activity; none: whichever speaks the endpoint's protocol."""
        return _first_named(self.movers, activity)[1]

    def preferred(self, prefixes: tuple[str, ...], activity: str) -> tuple[str, ...]:
        """An endpoint's addresses in the order in which this queue wants their schemes for the activity."""
        place = {name: number for number, name in enumerate(_first_named(self.schemes, activity)[1])}
        return tuple(
            sorted(prefixes, key=lambda prefix: place.get(prefix.partition("://")[0].lower(), len(place)))
        )


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """A queue and all the endpoints that its sources describe, by name."""

    queue: Queue
    endpoints: dict[str, Endpoint] = {}
    notes: tuple[str, ...] = ()
    """What was left out on reading, in sentences: broken endpoints that the queue does not use."""


def _first_named(table: dict[str, tuple[str, ...]], activity: str) -> tuple[str, tuple[str, ...]]:
    for name in ACTIVITY_FALLBACKS.get(activity, (activity, Activity.DEFAULT)):
        if table.get(name):
            return str(name), table[name]
    return activity, ()
