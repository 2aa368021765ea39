"""A file's address on an endpoint, from the endpoint's path rule, its prefixes or what a catalogue says.

In which order addresses are tried is `data.sources` and `data.destinations`.
"""

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

from picard_pilot.model.address import without_query
from picard_pilot.model.files import FileSpec
from picard_pilot.model.site import Endpoint, PathRule, Site
from picard_pilot.model.trouble import nearest

PERCENT_CODED_SCHEMES = frozenset({"file", "http", "https", "dav", "davs", "s3"})
"""Schemes whose addresses are URLs by the letter. XRootD and SRM take a path as it is."""

SPLIT_SCOPES = ("user", "group")
"""Rucio's deterministic rule turns the dots of these scopes, and only of these, into directories."""


class NoPlan(Exception):
    """Not one entry: `fault` is the catalogue's name for the reason, `says` its sentence."""

    def __init__(self, fault: str, says: str, unknown: str | None = None) -> None:
        super().__init__(says)
        self.fault = fault
        self.says = says
        self.unknown = unknown
        """The endpoint that nobody knows, if that is the reason."""

    def with_hint(self, site: Site) -> "NoPlan":
        """A fresh one to raise, with the name that was probably meant. That is looked for only when it is shown: it
        takes milliseconds."""
        near = nearest(self.unknown, tuple(site.endpoints)) if self.unknown else ()
        hint = f"; nearest: {', '.join(near)}" if near else ""
        return NoPlan(self.fault, self.says + hint, self.unknown)


class Named(NamedTuple):
    """An endpoint by name, and why it is in the list."""

    name: str
    reason: str


@lru_cache(maxsize=64)
def rucio_path(scope: str, lfn: str) -> str:
    """The path of a file below a deterministic endpoint's prefix, by Rucio's hash rule.

    Kept for a moment, since each endpoint of a list asks for the same one.
    """
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
        return _below(prefix, file.lfn)
    if file.scope:
        return _below(prefix, rucio_path(file.scope, file.lfn))
    raise NoPlan(
        "NOTDEFINED", f"{file.lfn} has no scope, from which its path on {endpoint.name} would follow"
    )


def listed_ways(
    file: FileSpec, endpoint: Endpoint, prefixes: Iterable[str], listed: Iterable[str]
) -> list[str]:
    """The addresses of a file that a catalogue lists at this endpoint, the site's favourite ways first.

    A catalogue knows one address; the site may know others for the same path, a mounted directory for instance. What
    the catalogue adds behind a question mark (a signature) belongs to its own address alone.
    """
    listed = tuple(listed)
    path = next(filter(None, (_path_of(surl, endpoint) for surl in listed)), None)
    ways: list[str] = []
    for prefix in prefixes:
        if path is not None:
            ways.append(_below(prefix, path))
        elif endpoint.paths is not PathRule.CATALOGUE and (endpoint.paths is PathRule.FLAT or file.scope):
            ways.append(address(file, endpoint, prefix))
    own = {without_query(surl): surl for surl in listed}
    return list(dict.fromkeys((*(own.get(way, way) for way in ways), *listed)))


class Usable(NamedTuple):
    """An endpoint in use, with its addresses for an activity."""

    endpoint: Endpoint
    prefixes: tuple[str, ...]


def usable(site: Site, name: str, activity: str) -> Usable | NoPlan:
    """The endpoint of that name, or why it is of no use for the activity."""
    endpoint = site.endpoints.get(name)
    if endpoint is None:
        return NoPlan("NOSTORAGE", f"nothing is known about the endpoint {name}", unknown=name)
    if not endpoint.active:
        return NoPlan("NOSTORAGE", f"the endpoint {name} is {endpoint.state}")
    prefixes = endpoint.prefixes_for(activity)
    if not prefixes:
        return NoPlan("NOSTORAGEPROTOCOL", f"the endpoint {name} has no protocol for {activity}")
    return Usable(endpoint, prefixes)


def queue_endpoints(site: Site, activity: str) -> Iterator[Named]:
    """What the queue names for the activity, each once."""
    used, names = site.queue.endpoints_for(activity)
    for place, name in enumerate(dict.fromkeys(names), start=1):
        yield Named(name, f"endpoint {place} of queue {site.queue.name} for {used}")


def nothing_named(file: FileSpec, site: Site, activity: str) -> NoPlan:
    """The reason where there is not even a name."""
    return NoPlan(
        "NOSTORAGE",
        f"neither the job nor the queue {site.queue.name} names an endpoint for {file.lfn} ({activity})",
    )


def leaves_storage(surl: str, endpoint: Endpoint | None) -> bool:
    """Whether a catalogue's address names a file of the node that is none of this storage's (None: an unknown one).

    A catalogue of elsewhere knows nothing about this node, and `file:///etc/passwd` is no replica, whatever moves it.
    """
    if surl.partition(":")[0].lower() != "file":
        return False
    path = None if endpoint is None else _path_of(surl, endpoint)
    return path is None or not {".", ".."}.isdisjoint(path.split("/"))


def on_tape(endpoint: Endpoint) -> bool:
    """Whether the endpoint's files have to be brought from tape: they are never read where they are.

    Its kind tells; of an endpoint that only a catalogue knows, the end of its name.
    """
    if endpoint.kind is not None:
        return "TAPE" in endpoint.kind.upper()
    return endpoint.name.upper().endswith("TAPE")


def _below(prefix: str, path: str) -> str:
    coded = quote(path) if _coded(prefix) else path
    return f"{prefix.rstrip('/')}/{coded}"


def _path_of(surl: str, endpoint: Endpoint) -> str | None:
    """The file's path below the endpoint's prefix; None where the address is under none of its prefixes."""
    for way in endpoint.protocols:
        start = way.prefix.rstrip("/") + "/"
        if surl.startswith(start):
            path = without_query(surl[len(start) :]).lstrip("/")
            return unquote(path) if _coded(surl) else path
    return None


def _coded(url: str) -> bool:
    return url.partition("://")[0].lower() in PERCENT_CODED_SCHEMES
