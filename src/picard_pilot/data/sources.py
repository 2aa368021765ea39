"""Where an input can come from: one ordered list, each entry with the reason why it stands there.

Pure decisions over values; walking the list is `data.walk`, reading directly or copying is `data.stagein`.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

from picard_pilot.data.paths import (
    Named,
    NoPlan,
    Usable,
    address,
    leaves_storage,
    listed_ways,
    nothing_named,
    on_tape,
    queue_endpoints,
    usable,
)
from picard_pilot.model.files import FileSpec
from picard_pilot.model.site import FEDERATION, Activity, Endpoint, PathRule, Protocol, Site
from picard_pilot.model.transfer import FileReplicas, Replica, Source, SourceKind
from picard_pilot.system.unsaid import password_of

MAX_ALTERNATIVE_REPLICAS = 3
"""Replicas of other endpoints per file: the first pilot's limit; what three sites cannot give, a fourth rarely can."""

TAPE = "TAPE"
"""The kind of an endpoint of which only the catalogue has said that it is a tape."""


def nothing_bad(surl: str) -> str | None:
    """Nothing is known against any copy."""
    return None


class SourceList(NamedTuple):
    """The list of one input, and why some places that might have been in it are not."""

    found: tuple[Source, ...]
    left_out: tuple[str, ...]


def sources(
    file: FileSpec,
    site: Site,
    *,
    replicas: FileReplicas | None = None,
    bad: Callable[[str], str | None] = nothing_bad,
    max_alternative_replicas: int = MAX_ALTERNATIVE_REPLICAS,
    federation_bytes_left: int | None = None,
) -> SourceList:
    """Where to read an input that does not lie on the node, best first.

    The site's own storage, other replicas (near ones first, no more than `max_alternative_replicas` endpoints), the
    queue's alternative endpoints, the federation; behind all these what has to come from tape, and last the copies
    that `bad` knows a reason against (`Health.bad`).

    `replicas` is what the catalogue says, None where none was asked. `federation_bytes_left` is what the job may
    still fetch from the federation; None leaves it to the queue's limit. Raises NoPlan where nothing can be named.
    """
    listing = _Listing(file, site, replicas)
    places = (
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
    return SourceList(_worst_last(once.values(), bad), tuple(listing.left_out()))


def _worst_last(places: Iterable[Source], bad: Callable[[str], str | None]) -> tuple[Source, ...]:
    """Tape behind disk, and what is known as bad behind that; else in the same order."""
    ranked: tuple[list[Source], ...] = ([], [], [], [])
    for place in places:
        reason = bad(place.surl)
        rank = int(on_tape(place.endpoint))
        if reason is not None:
            place = _with_reason(place, f"{place.reason}; put last, it was found bad: {reason}")
            rank += 2
        ranked[rank].append(place)
    return tuple(place for group in ranked for place in group)


def _with_reason(place: Source, reason: str) -> Source:
    return Source(
        surl=place.surl, endpoint=place.endpoint, movers=place.movers, kind=place.kind, reason=reason
    )


def _endpoint_of(replica: Replica, known: Endpoint | None) -> Endpoint:
    """An endpoint of which no more is known than the address of one file; the prefixes that the site knows stand."""
    found = (Protocol(prefix=replica.surl.rpartition("/")[0] + "/"),)
    return Endpoint(
        name=replica.rse,
        protocols=known.protocols if known is not None else found,
        paths=PathRule.CATALOGUE,
        kind=TAPE if replica.tape else None,
    )


class _Foreign(NamedTuple):
    """A replica at an endpoint that is not the site's."""

    replica: Replica
    endpoint: Endpoint


class _Reading:
    """What one site says about reading, worked out once for all files of a job."""

    def __init__(self, site: Site) -> None:
        queue = site.queue
        self.site = site
        self.queue = queue
        self.movers = queue.movers_for(Activity.READ)
        self.wan_movers = queue.movers_for(Activity.READ_WAN) or self.movers
        named = list(queue_endpoints(site, Activity.READ))
        used, names = queue.endpoints_for(Activity.READ_ALTERNATIVE)
        self.own = named[:1]
        known = {entry.name for entry in named}
        extra = [
            Named(name, f"alternative {place} of queue {queue.name} for {used}")
            for place, name in enumerate(names, start=1)
            if name not in known
        ]
        self.alternative = [*extra, *named[1:]]
        self._usable: dict[str, Usable | NoPlan] = {}

    def at(self, name: str) -> Usable | NoPlan:
        """The endpoint with its addresses for reading, or why it is of no use."""
        found = self._usable.get(name)
        if found is None:
            found = usable(self.site, name, Activity.READ)
            if isinstance(found, Usable):
                found = found._replace(prefixes=self.queue.preferred(found.prefixes, Activity.READ))
            self._usable[name] = found
        return found


class _Same:
    """A site as the key of a cache: equal to itself only, since its value takes long to compare."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.site is self.site

    def __hash__(self) -> int:
        return id(self.site)


@lru_cache(maxsize=2)
def _reading(same: _Same) -> _Reading:
    return _Reading(same.site)


class _Listing:
    """The parts of one file's list."""

    def __init__(self, file: FileSpec, site: Site, replicas: FileReplicas | None) -> None:
        reading = _reading(_Same(site))
        self._file = file
        self._reading = reading
        self._replicas = replicas.replicas if replicas is not None else ()
        self._size_bytes = file.size_bytes or (replicas.size_bytes if replicas else None)
        self._listed: dict[str, list[str]] = {}
        self._left_out: list[str] = []
        self._replicas = tuple(filter(self._is_elsewhere_or_ours, self._replicas))
        for replica in self._replicas:
            self._listed.setdefault(replica.rse, []).append(replica.surl)
        self._own = reading.own
        self._alternative = list(reading.alternative)
        if file.endpoint:
            named = Named(file.endpoint, f"the job names {file.endpoint}")
            self._own = [named, *(entry for entry in self._own if entry.name != file.endpoint)]
            self._alternative = [entry for entry in self._alternative if entry.name != file.endpoint]
        self._obstacles: list[NoPlan] = []
        self._known_on_disk = False
        self._known_on_tape = False

    def _is_elsewhere_or_ours(self, replica: Replica) -> bool:
        """Whether the catalogue's address may be followed; said among what was left out where it may not."""
        if password_of(replica.surl) is not None:
            self._left_out.append(f"{replica.rse}: its address holds a password, which every log would show")
            return False
        if not leaves_storage(replica.surl, self._reading.site.endpoints.get(replica.rse)):
            return True
        self._left_out.append(f"{replica.rse}: {replica.surl!r} is no file of a storage that this site knows")
        return False

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
        names = tuple(dict.fromkeys(found.endpoint.name for found in foreign))
        taken, rest = names[: max(0, at_most)], names[max(0, at_most) :]
        if rest:
            self._left_out.append(f"{', '.join(rest)}: no more than {at_most} alternative replicas are tried")
        return [self._other(found, taken) for found in foreign if found.endpoint.name in taken]

    def _other(self, found: _Foreign, taken: tuple[str, ...]) -> Source:
        lan = bool(found.replica.lan)
        place = taken.index(found.endpoint.name) + 1
        movers = self._reading.movers if lan else self._reading.wan_movers
        return Source(
            surl=found.replica.surl,
            endpoint=found.endpoint,
            movers=movers,
            kind=SourceKind.LAN if lan else SourceKind.WAN,
            reason=f"alternative replica {place}, {'near' if lan else 'at another site'} by the catalogue",
        )

    def _foreign(self) -> Iterable[_Foreign]:
        names = {named.name for named in (*self._own, *self._alternative)}
        for replica in self._replicas:
            if replica.rse in names:
                continue
            endpoint = self._reading.site.endpoints.get(replica.rse)
            if endpoint is not None and not endpoint.active:
                self._left_out.append(f"{replica.rse}: it is {endpoint.state}")
                continue
            permitted = self._reading.queue.allow_lan if replica.lan else self._reading.queue.allow_wan
            if permitted is False:
                area = "allow_lan" if replica.lan else "allow_wan"
                self._left_out.append(f"{replica.rse}: {area} of queue {self._reading.queue.name} is off")
                continue
            if endpoint is None or (replica.tape and not on_tape(endpoint)):
                endpoint = _endpoint_of(replica, endpoint)
            yield _Foreign(replica, endpoint)

    def federation(self, bytes_left: int | None) -> list[Source]:
        """The queue's redirector; never for what lies on tape only, nor beyond the job's volume."""
        queue = self._reading.queue
        federation = queue.federation
        if federation is None:
            return []
        if self._on_tape_only():
            self._left_out.append(f"{FEDERATION}: the file lies on tape only")
            return []
        left = federation.max_bytes if bytes_left is None else bytes_left
        if left is not None and (self._size_bytes is None or self._size_bytes > left):
            size = "of unknown size" if self._size_bytes is None else f"of {self._size_bytes} bytes"
            self._left_out.append(f"{FEDERATION}: the file is {size}, and {left} bytes are left for the job")
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
        return [
            Source(
                surl=surl,
                endpoint=endpoint,
                movers=self._reading.wan_movers,
                kind=SourceKind.FEDERATION,
                reason=f"the federation of queue {queue.name}",
            )
        ]

    def _on_tape_only(self) -> bool:
        if self._replicas:
            return all(replica.tape or self._tape_here(replica.rse) for replica in self._replicas)
        return self._known_on_tape and not self._known_on_disk

    def _tape_here(self, name: str) -> bool:
        return on_tape(self._reading.site.endpoints.get(name) or Endpoint(name=name))

    def left_out(self) -> list[str]:
        """Why some places are not in the list; to be asked last."""
        return [*(obstacle.says for obstacle in self._obstacles), *dict.fromkeys(self._left_out)]

    def why_nothing(self) -> NoPlan:
        """The first obstacle, or that there is not even a name."""
        if self._obstacles:
            return self._obstacles[0].with_hint(self._reading.site)
        return nothing_named(self._file, self._reading.site, Activity.READ)

    def _at(self, named: Named, kind: SourceKind) -> list[Source]:
        """All addresses of the file at one endpoint; none, and an obstacle noted, where that is not possible."""
        found = self._reading.at(named.name)
        if isinstance(found, NoPlan):
            self._obstacles.append(found)
            return []
        endpoint, prefixes = found
        listed = self._listed.get(named.name)
        reason = f"{named.reason}, where the catalogue has it" if listed else named.reason
        try:
            if listed:
                surls = listed_ways(self._file, endpoint, prefixes, listed)
            else:
                surls = [address(self._file, endpoint, prefix) for prefix in prefixes]
        except NoPlan as obstacle:
            self._obstacles.append(obstacle)
            return []
        tape = on_tape(endpoint)
        self._known_on_tape |= tape
        self._known_on_disk |= not tape
        movers = self._reading.movers
        return [
            Source(surl=surl, endpoint=endpoint, movers=movers, kind=kind, reason=reason) for surl in surls
        ]
