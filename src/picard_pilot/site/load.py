"""From sources to one site: found, merged in order, checked as a whole, every value with its origin.

Reading a single file is `site.sources`; choosing an endpoint for a file is `data.sources`.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from picard_pilot.model.site import Endpoint, Federation, LocalFiles, Origin, Queue, QueueLimits, Site
from picard_pilot.model.trouble import nearest
from picard_pilot.site.errors import SiteError
from picard_pilot.site.facts import Facts
from picard_pilot.site.sources import KNOWN
from picard_pilot.site.sources.base import SiteSource

OFFLINE = ("offline",)
"""The status words of a queue that wants no pilots; `brokeroff` and `test` still drain what they have."""


class SourceRef(NamedTuple):
    """A source to read: its kind (a row of the table in `site.sources`) and its file."""

    kind: str
    path: Path


class Explained(NamedTuple):
    """One fact of a site with where it came from, for people."""

    key: str
    value: str
    origin: Origin


def source_for(path: Path) -> SourceRef:
    """The source for a file given alone, by the ending of its name. Raises SiteError for an unknown ending."""
    for kind, (_, endings) in KNOWN.items():
        if path.suffix.lower() in endings:
            return SourceRef(kind, path)
    known = ", ".join(ending for _, endings in KNOWN.values() for ending in endings)
    raise SiteError(
        "QUEUEDATA",
        f"Nobody knows how to read the site file {path}",
        f"its name ends in {path.suffix!r}; known are {known}",
        "Name a TOML file or a JSON export of CRIC",
    )


def load_site(
    queue_name: str,
    sources: Sequence[SourceRef | Path | str],
    storages: Sequence[SourceRef | Path | str] = (),
) -> Site:
    """The queue and all endpoints that the sources know; a later source overrules an earlier one, field by field.

    A file alone stands for the source of its ending; `storages` come after `sources`. Raises SiteError: 1116 if no
    source knows the queue or one cannot be read, 1117 if a value is unusable (with file and key). Whether the queue
    takes jobs is `require_usable`.
    """
    opened = [
        _open(source if isinstance(source, SourceRef) else source_for(Path(source)))
        for source in (*sources, *storages)
    ]
    facts = _merged([source.queue(queue_name) for source in opened])
    if facts is None:
        raise _unknown_queue(queue_name, opened)
    queue = _queue(queue_name, facts)
    endpoints, notes = _endpoints(opened, queue)
    return Site(queue=queue, endpoints=endpoints, notes=notes)


def require_usable(site: Site) -> None:
    """Raise SiteError if the queue's state (1359) or status (1386) says that it takes no jobs."""
    queue = site.queue
    if queue.state is not None and queue.state.upper() != "ACTIVE":
        raise _unusable("PANDAQUEUENOTACTIVE", queue, "state", queue.state)
    if queue.status is not None and queue.status.lower() in OFFLINE:
        raise _unusable("PANDAQUEUENOTONLINE", queue, "status", queue.status)


def explain(site: Site) -> tuple[Explained, ...]:
    """Every fact of the queue and its endpoints as text, with its origin; what nobody set is `default`."""
    rows = _rows(f"queue.{site.queue.name}", site.queue)
    for endpoint in site.endpoints.values():
        rows += _rows(f"endpoint.{endpoint.name}", endpoint)
    return tuple(rows)


def _open(source: SourceRef) -> SiteSource:
    if source.kind not in KNOWN:
        near = nearest(source.kind, tuple(KNOWN))
        raise SiteError(
            "QUEUEDATA",
            f"There is no source of site facts named {source.kind!r}",
            "nearest: " + ", ".join(near) if near else "known: " + ", ".join(KNOWN),
            "Name one of these sources",
        )
    module, _, name = KNOWN[source.kind][0].partition(":")
    opened: SiteSource = getattr(importlib.import_module(module), name)(source.path)
    return opened


def _merged(parts: Sequence[Facts | None]) -> Facts | None:
    merged: Facts | None = None
    for part in parts:
        if part is None:
            continue
        if merged is None:
            merged = Facts()
        merged.update(part)
    return merged


def _queue(name: str, facts: Facts) -> Queue:
    nested = facts.nested()
    limits = nested.pop("limits", {})
    assert isinstance(limits, dict)
    nested.setdefault("panda_resource", name)
    return Queue(name=name, limits=QueueLimits(**limits), extra=facts.extra, origins=facts.origins, **nested)


def _endpoints(opened: Sequence[SiteSource], queue: Queue) -> tuple[dict[str, Endpoint], tuple[str, ...]]:
    """All endpoints that can be read; a broken one is an error only if the queue uses it."""
    used = {name for names in queue.endpoints.values() for name in names}
    found: dict[str, Endpoint] = {}
    notes: list[str] = []
    for name in dict.fromkeys(name for source in opened for name in source.endpoint_names()):
        try:
            facts = _merged([source.endpoint(name) for source in opened])
        except SiteError as error:
            if name in used:
                raise
            notes.append(f"endpoint {name} is left out: {error.what} ({error.evidence})")
            continue
        if facts is not None:
            found[name] = Endpoint(
                name=name,
                extra=facts.extra,
                origins=facts.origins,
                **facts.values,
            )
    for name in sorted(used - found.keys()):
        near = nearest(name, tuple(found))
        notes.append(
            f"nothing is known about the endpoint {name} of queue {queue.name}"
            + (f"; nearest: {', '.join(near)}" if near else "")
        )
    return found, tuple(notes)


def _rows(label: str, noun: Queue | Endpoint) -> list[Explained]:
    default = Origin("default", "")
    rows: list[Explained] = []
    for field in noun.__struct_fields__:
        if field in ("name", "origins"):
            continue
        for key, value in _flat(field, getattr(noun, field)):
            rows.append(Explained(f"{label}.{key}", _shown(value), noun.origins.get(key, default)))
    return rows


def _flat(key: str, value: object) -> list[tuple[str, object]]:
    """One row per entry of a table, so that each has its own origin."""
    if isinstance(value, QueueLimits):
        return [(f"{key}.{name}", getattr(value, name)) for name in value.__struct_fields__]
    if isinstance(value, dict):
        return [(f"{key}.{name}", entry) for name, entry in value.items()]
    return [(key, value)]


def _shown(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(_shown_entry(entry) for entry in value)
    if isinstance(value, Federation):
        limit = "" if value.max_bytes is None else f", at most {value.max_bytes} bytes per job"
        return f"{value.redirector} ({value.paths} paths{limit})"
    return str(value)


def _shown_entry(entry: object) -> str:
    if isinstance(entry, LocalFiles):
        return f"{entry.names} -> {entry.path}"
    return str(getattr(entry, "prefix", entry))


def _unknown_queue(name: str, opened: Sequence[SiteSource]) -> SiteError:
    if not opened:
        return SiteError(
            "QUEUEDATA",
            f"Nothing is known about the queue {name!r}",
            "no source of site facts is given",
            "Name a file that describes the queue: --site-file FILE (TOML, or CRIC's JSON)",
        )
    files = ", ".join(str(source.path) for source in opened)
    known = tuple(queue for source in opened for queue in source.queue_names())
    near = nearest(name, known)
    nothing = "no queue there has a like name" if known else "no queue is described there"
    return SiteError(
        "QUEUEDATA",
        f"Nothing is known about the queue {name!r}",
        f"read: {files}" + (f"; did you mean {', '.join(near)}?" if near else f"; {nothing}"),
        "Check the queue's name, or name the file that describes it with --site-file",
    )


def _unusable(name: str, queue: Queue, field: str, value: str) -> SiteError:
    origin = queue.origins.get(field)
    return SiteError(
        name,
        f"The queue {queue.name} takes no jobs",
        f"its {field} is {value!r}" + (f" ({origin.detail})" if origin else ""),
    )
