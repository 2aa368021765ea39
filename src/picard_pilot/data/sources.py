"""Where an input can come from: one ordered list, each entry with the reason why it stands there.

Pure decisions over values; walking the list is `data.walk`, reading directly or copying is `data.stagein`.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import quote

from picard_pilot.data.paths import (
    Named,
    NoPlan,
    Way,
    address,
    listed_ways,
    named_endpoints,
    nothing_named,
    on_tape,
    usable_endpoint,
    ways_at,
)
from picard_pilot.model.files import FileSpec
from picard_pilot.model.site import Activity, Endpoint, PathRule, Protocol, Site
from picard_pilot.model.transfer import FileReplicas, Replica, Source, SourceKind

MAX_ALTERNATIVE_REPLICAS = 3
"""Replicas of other endpoints per file: the first pilot's limit; what three sites cannot give, a fourth rarely can."""

FEDERATION = "federation"
"""The name under which the queue's redirector shows as an endpoint."""

TAPE = "TAPE"
"""The kind of an endpoint of which only the catalogue has said that it is a tape."""


def nothing_bad(surl: str) -> str | None:
    """Nothing is known against any copy."""
    return None


def sources(
    file: FileSpec,
    site: Site,
    *,
    local_path: str | None = None,
    replicas: FileReplicas | None = None,
    bad: Callable[[str], str | None] = nothing_bad,
    max_alternative_replicas: int = MAX_ALTERNATIVE_REPLICAS,
    federation_bytes_left: int | None = None,
) -> tuple[Source, ...]:
    """Where to read an input, best first.

    A copy on the node (`local_path`), the site's own storage, other replicas (near ones first, no more than
    `max_alternative_replicas` endpoints), the queue's alternative endpoints, the federation; behind all these what
    has to come from tape, and last the copies that `bad` knows a reason against (`Health.bad`).

    `replicas` is what the catalogue says, None where none was asked. `federation_bytes_left` is what the job may
    still fetch from the federation; None leaves it to the queue's limit. Raises NoPlan where nothing can be named.
    """
    listing = _Listing(file, site, replicas)
    places = (
        *_on_the_node(local_path),
        *listing.own(),
        *listing.others(bad, max_alternative_replicas),
        *listing.alternatives(),
        *listing.federation(federation_bytes_left),
    )
    once: dict[str, Source] = {}
    for place in places:
        once.setdefault(place.surl, place)
    if not once:
        raise listing.why_nothing()
    return _worst_last(once.values(), bad)


def _worst_last(places: Iterable[Source], bad: Callable[[str], str | None]) -> tuple[Source, ...]:
    """Tape behind disk, and what is known as bad behind that; else in the same order."""
    ranked: tuple[list[Source], ...] = ([], [], [], [])
    for place in places:
        reason = bad(place.surl)
        rank = 1 if on_tape(place.endpoint) else 0
        if reason is not None:
            place = _with_reason(place, f"{place.reason}; put last, it was found bad: {reason}")
            rank += 2
        ranked[rank].append(place)
    return tuple(place for group in ranked for place in group)


def _with_reason(place: Source, reason: str) -> Source:
    return Source(
        surl=place.surl, endpoint=place.endpoint, movers=place.movers, kind=place.kind, reason=reason
    )


def _on_the_node(path: str | None) -> tuple[Source, ...]:
    """A file that lies on the node anyway, on CVMFS for instance; verified like any other."""
    if path is None:
        return ()
    surl = f"file://{quote(path)}"
    return (
        Source(
            surl=surl,
            endpoint=_endpoint_of(surl, "node", PathRule.FLAT),
            kind=SourceKind.NODE,
            reason="already on the node",
        ),
    )


def _endpoint_of(surl: str, name: str, paths: PathRule, kind: str | None = None) -> Endpoint:
    """An endpoint of which no more is known than the address of one file."""
    prefix = surl.rpartition("/")[0] + "/"
    return Endpoint(name=name, protocols=(Protocol(prefix=prefix),), paths=paths, kind=kind)


class _Foreign(NamedTuple):
    """A replica at an endpoint that is not the site's."""

    replica: Replica
    endpoint: Endpoint


class _Listing:
    """The parts of one file's list."""

    def __init__(self, file: FileSpec, site: Site, replicas: FileReplicas | None) -> None:
        self._file = file
        self._site = site
        self._queue = site.queue
        self._replicas = replicas
        self._listed = self._by_endpoint()
        self._movers = site.queue.movers_for(Activity.READ)
        self._obstacles: list[NoPlan] = []
        own, alternative = _split(file, site)
        self._own = own
        self._alternative = alternative
        self._known_on_disk = False
        self._known_on_tape = False

    def own(self) -> list[Source]:
        """The site's own storage. What the catalogue does not list there waits among the alternatives."""
        found: list[Source] = []
        for named in self._own:
            if self._listed and named.name not in self._listed:
                self._alternative.append(
                    Named(named.name, f"{named.reason}, though the catalogue lists it elsewhere")
                )
            else:
                found += self._at(named, SourceKind.SITE)
        return found

    def alternatives(self) -> list[Source]:
        """The queue's other endpoints for reading."""
        return [place for named in self._alternative for place in self._at(named, SourceKind.ALTERNATIVE)]

    def others(self, bad: Callable[[str], str | None], at_most: int) -> list[Source]:
        """Replicas of endpoints that the queue does not name, near ones first, each endpoint counted once."""
        foreign = sorted(
            self._foreign(),
            key=lambda found: (
                bad(found.replica.surl) is not None,
                on_tape(found.endpoint),
                not found.replica.lan,
                found.replica.priority is None,
                found.replica.priority or 0,
            ),
        )
        taken = tuple(dict.fromkeys(found.endpoint.name for found in foreign))[: max(0, at_most)]
        return [self._other(found, taken) for found in foreign if found.endpoint.name in taken]

    def _other(self, found: _Foreign, taken: tuple[str, ...]) -> Source:
        lan = bool(found.replica.lan)
        place = taken.index(found.endpoint.name) + 1
        movers = self._movers if lan else self._queue.movers_for(Activity.READ_WAN) or self._movers
        return Source(
            surl=found.replica.surl,
            endpoint=found.endpoint,
            movers=movers,
            kind=SourceKind.LAN if lan else SourceKind.WAN,
            reason=f"alternative replica {place}, {'near' if lan else 'at another site'} by the catalogue",
        )

    def _foreign(self) -> Iterable[_Foreign]:
        names = {named.name for named in (*self._own, *self._alternative)}
        for replica in self._replicas.replicas if self._replicas else ():
            if replica.rse in names:
                continue
            endpoint = self._site.endpoints.get(replica.rse)
            if endpoint is not None and not endpoint.active:
                continue
            permitted = self._queue.allow_lan if replica.lan else self._queue.allow_wan
            if permitted is False:
                continue
            if endpoint is None or (replica.tape and not on_tape(endpoint)):
                kind = TAPE if replica.tape else None
                endpoint = _endpoint_of(replica.surl, replica.rse, PathRule.CATALOGUE, kind)
            yield _Foreign(replica, endpoint)

    def federation(self, bytes_left: int | None) -> list[Source]:
        """The queue's redirector; never for what lies on tape only, nor beyond the job's volume."""
        federation = self._queue.federation
        if federation is None or self._on_tape_only():
            return []
        left = federation.max_bytes if bytes_left is None else bytes_left
        size_bytes = self._file.size_bytes or (self._replicas.size_bytes if self._replicas else None)
        if left is not None and (size_bytes is None or size_bytes > left):
            return []
        endpoint = Endpoint(
            name=FEDERATION,
            protocols=(Protocol(prefix=federation.redirector),),
            paths=federation.paths,
        )
        try:
            surl = address(self._file, endpoint, federation.redirector)
        except NoPlan as obstacle:
            self._obstacles.append(obstacle)
            return []
        reason = f"the federation of queue {self._queue.name}"
        return [
            Source(
                surl=surl,
                endpoint=endpoint,
                movers=self._queue.movers_for(Activity.READ_WAN) or self._movers,
                kind=SourceKind.FEDERATION,
                reason=reason,
            )
        ]

    def _on_tape_only(self) -> bool:
        if self._replicas is not None and self._replicas.replicas:
            return all(replica.tape or self._tape_here(replica.rse) for replica in self._replicas.replicas)
        return self._known_on_tape and not self._known_on_disk

    def _tape_here(self, name: str) -> bool:
        endpoint = self._site.endpoints.get(name)
        return endpoint is not None and on_tape(endpoint)

    def why_nothing(self) -> NoPlan:
        """The first obstacle, or that there is not even a name."""
        if self._obstacles:
            return self._obstacles[0].with_hint(self._site)
        return nothing_named(self._file, self._site, Activity.READ)

    def _at(self, named: Named, kind: SourceKind) -> list[Source]:
        """All addresses of the file at one endpoint; none, and an obstacle noted, where that is not possible."""
        try:
            ways = self._ways(named.name)
        except NoPlan as obstacle:
            self._obstacles.append(obstacle)
            return []
        listed = ", where the catalogue has it" if named.name in self._listed else ""
        for way in ways:
            self._known_on_tape |= on_tape(way.endpoint)
            self._known_on_disk |= not on_tape(way.endpoint)
        return [
            Source(
                surl=way.surl,
                endpoint=way.endpoint,
                movers=self._movers,
                kind=kind,
                reason=named.reason + listed,
            )
            for way in ways
        ]

    def _ways(self, name: str) -> list[Way]:
        endpoint = usable_endpoint(self._site, name)
        listed = self._listed.get(name)
        if not listed:
            return ways_at(self._file, endpoint, Activity.READ)
        return [Way(surl, endpoint) for surl in listed_ways(self._file, endpoint, Activity.READ, listed)]

    def _by_endpoint(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for replica in self._replicas.replicas if self._replicas else ():
            found.setdefault(replica.rse, []).append(replica.surl)
        return found


def _split(file: FileSpec, site: Site) -> tuple[list[Named], list[Named]]:
    """The site's own storage (what the job names, and the queue's first), and its alternatives."""
    named = list(named_endpoints(file, site, Activity.READ))
    first = site.queue.endpoints_for(Activity.READ)[1][:1]
    own = [entry for entry in named if entry.name == file.endpoint or entry.name in first]
    rest = [entry for entry in named if entry not in own]
    known = {entry.name for entry in named}
    used, names = site.queue.endpoints_for(Activity.READ_ALTERNATIVE)
    extra = [
        Named(name, f"alternative {place} of queue {site.queue.name} for {used}")
        for place, name in enumerate(names, start=1)
        if name not in known
    ]
    return own, [*extra, *rest]
