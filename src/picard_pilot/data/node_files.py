"""Copies of inputs that lie on the node anyway, on CVMFS for instance: where they should be, and who says so.

Pure. Whether one is there and is the right file is checked by the transfer worker, as for every other source.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

from picard_pilot.model.site import Endpoint, LocalFiles, PathRule, Protocol
from picard_pilot.model.templates import TemplateError, path_for
from picard_pilot.model.transfer import Source, SourceKind

NODE = "node"
"""The name under which the node shows as an endpoint."""


class KnownPatterns(NamedTuple):
    """Patterns and whose they are, for people: `queue Q`, `experiment atlas`."""

    owner: str
    patterns: Sequence[LocalFiles]


class NodeCopies(NamedTuple):
    """What is known of one file: places to try, best first, and why others are not tried, in sentences."""

    places: tuple[Source, ...]
    refused: tuple[str, ...] = ()


class NodeFiles:
    """All that experiment and queue say about files of the node."""

    def __init__(self, named: Mapping[str, str], known: Iterable[KnownPatterns] = ()) -> None:
        """`named` are paths by LFN that the experiment's hook gave for this job; they come first."""
        self._named = named
        self._known = tuple(known)

    def copies_of(self, lfn: str) -> NodeCopies:
        """Where this file may lie on the node."""
        places: dict[str, Source] = {}
        refused: list[str] = []
        if lfn in self._named:
            path = self._named[lfn]
            if _leads_elsewhere(path):
                refused.append(f"the experiment's path {path!r} is not used: it is not a plain absolute path")
            else:
                places[path] = _source(path, "already on the node, says the experiment")
        for owner, patterns in self._known:
            for pattern in patterns:
                try:
                    found = path_for(lfn, pattern)
                except TemplateError as error:
                    refused.append(f"the pattern {pattern.names!r} of {owner} is not used: {error}")
                    continue
                if found is not None and found not in places:
                    why = f"already on the node, says the pattern {pattern.names!r} of {owner}"
                    places[found] = _source(found, why)
        return NodeCopies(tuple(places.values()), tuple(refused))


def _leads_elsewhere(path: str) -> bool:
    return not path.startswith("/") or "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")[1:])


def _source(path: str, reason: str) -> Source:
    surl = f"file://{quote(path, errors='surrogateescape')}"
    prefix = surl.rpartition("/")[0] + "/"
    return Source(
        surl=surl,
        endpoint=Endpoint(name=NODE, protocols=(Protocol(prefix=prefix),), paths=PathRule.FLAT),
        kind=SourceKind.NODE,
        reason=reason,
    )
