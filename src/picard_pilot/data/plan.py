"""Where an input can come from and where an output should go: ordered lists, each entry with its reason.

Pure decisions over values; walking the lists is `data.walk`.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote

from picard_pilot.model.files import FileSpec
from picard_pilot.model.site import Activity, Endpoint, PathRule, Protocol, Site
from picard_pilot.model.transfer import Destination, Source
from picard_pilot.model.trouble import nearest

PERCENT_CODED_SCHEMES = frozenset({"file", "http", "https", "dav", "davs", "s3"})
"""Schemes whose addresses are URLs by the letter. XRootD and SRM take a path as it is."""

SPLIT_SCOPES = ("user", "group")
"""Rucio's deterministic rule turns the dots of these scopes, and only of these, into directories."""


class NoPlan(Exception):
    """Not one entry: `fault` is the catalogue's name for the reason, `says` its sentence."""

    def __init__(self, fault: str, says: str) -> None:
        super().__init__(says)
        self.fault = fault
        self.says = says


class _Way(NamedTuple):
    surl: str
    endpoint: Endpoint
    reason: str


def rucio_path(scope: str, lfn: str) -> str:
    """The path of a file below a deterministic endpoint's prefix, by Rucio's hash rule."""
    digest = hashlib.md5(f"{scope}:{lfn}".encode(), usedforsecurity=False).hexdigest()
    folder = scope.replace(".", "/") if scope.startswith(SPLIT_SCOPES) else scope
    return f"{folder}/{digest[0:2]}/{digest[2:4]}/{lfn}"


def address(file: FileSpec, endpoint: Endpoint, prefix: str) -> str:
    """The file's address (SURL) below one of the endpoint's prefixes. Raises NoPlan where no rule gives a path."""
    if endpoint.paths is PathRule.CATALOGUE:
        raise NoPlan(
            "NONDETERMINISTICDDM", f"only a replica catalogue knows where {file.lfn} lies on {endpoint.name}"
        )
    if endpoint.paths is PathRule.FLAT:
        path = file.lfn
    elif file.scope:
        path = rucio_path(file.scope, file.lfn)
    else:
        raise NoPlan(
            "NOTDEFINED", f"{file.lfn} has no scope, from which its path on {endpoint.name} would follow"
        )
    coded = quote(path) if prefix.partition("://")[0].lower() in PERCENT_CODED_SCHEMES else path
    return f"{prefix.rstrip('/')}/{coded}"


def sources(file: FileSpec, site: Site, local_path: str | None = None) -> tuple[Source, ...]:
    """Where to read an input, best first: a copy on the node (`local_path`, which the experiment knows), where the
    job says it is, then the queue's endpoints for reading.

    Raises NoPlan where nothing can be named at all.
    """
    here = () if local_path is None else (_on_the_node(local_path),)
    movers = site.queue.movers_for(Activity.READ)
    wanted = _named_places(file, site, Activity.READ)
    try:
        ways = _ways(file, site, Activity.READ, wanted)
    except NoPlan:
        if here:
            return here
        raise
    return here + tuple(
        Source(surl=way.surl, endpoint=way.endpoint, movers=movers, reason=way.reason) for way in ways
    )


def _on_the_node(path: str) -> Source:
    """A file that lies on the node anyway, on CVMFS for instance; verified like any other."""
    surl = f"file://{quote(path)}"
    prefix = surl.rpartition("/")[0] + "/"
    return Source(
        surl=surl,
        endpoint=Endpoint(name="node", protocols=(Protocol(prefix=prefix),), paths=PathRule.FLAT),
        reason="already on the node",
    )


def destinations(file: FileSpec, site: Site, activity: str = Activity.WRITE) -> tuple[Destination, ...]:
    """Where to store an output: where the job says it should go, else the queue's first endpoint for the activity.

    One endpoint only, by each of its protocols: storing elsewhere than asked is a matter of policy. Raises NoPlan
    where there is none.
    """
    movers = site.queue.movers_for(activity)
    wanted = tuple(_named_places(file, site, activity))[:1]
    return tuple(
        Destination(surl=way.surl, endpoint=way.endpoint, movers=movers, reason=way.reason)
        for way in _ways(file, site, activity, wanted)
    )


def _named_places(file: FileSpec, site: Site, activity: str) -> Iterator[tuple[str, str]]:
    """Names of endpoints with the reason to take them, each once."""
    if file.endpoint:
        yield file.endpoint, f"the job names {file.endpoint}"
    used, names = site.queue.endpoints_for(activity)
    for place, name in enumerate(names, start=1):
        if name != file.endpoint:
            yield name, f"endpoint {place} of queue {site.queue.name} for {used}"


def _ways(file: FileSpec, site: Site, activity: str, places: Iterable[tuple[str, str]]) -> tuple[_Way, ...]:
    """Every address of the file at these places, in order. Raises NoPlan with the first obstacle if none."""
    ways: list[_Way] = []
    obstacles: list[NoPlan] = []
    for name, reason in places:
        try:
            endpoint = _endpoint(site, name)
            prefixes = endpoint.prefixes_for(activity)
            if not prefixes:
                raise NoPlan("NOSTORAGEPROTOCOL", f"the endpoint {name} has no protocol for {activity}")
            ways += [_Way(address(file, endpoint, prefix), endpoint, reason) for prefix in prefixes]
        except NoPlan as obstacle:
            obstacles.append(obstacle)
    if ways:
        return tuple(ways)
    if obstacles:
        raise obstacles[0]
    raise NoPlan(
        "NOSTORAGE",
        f"neither the job nor the queue {site.queue.name} names an endpoint for {file.lfn} ({activity})",
    )


def _endpoint(site: Site, name: str) -> Endpoint:
    endpoint = site.endpoints.get(name)
    if endpoint is None:
        near = nearest(name, tuple(site.endpoints))
        hint = f"; nearest: {', '.join(near)}" if near else ""
        raise NoPlan("NOSTORAGE", f"nothing is known about the endpoint {name}{hint}")
    if not endpoint.active:
        raise NoPlan("NOSTORAGE", f"the endpoint {name} is {endpoint.state}")
    return endpoint
