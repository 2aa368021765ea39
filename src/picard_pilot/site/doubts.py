"""What looks like a mistake in the facts of a site, as sentences for people; nothing here is an error.

What cannot be read at all is an error, and the readers' business. Only facts that people wrote are doubted: CRIC has
many keys that no pilot reads.
"""

from collections.abc import Collection, Iterator, Mapping

from picard_pilot.model.site import Activity, Endpoint, Queue, Site
from picard_pilot.model.trouble import nearest

WRITTEN_BY_HAND = "toml"
LIMITS = "limits"
"""The table of a queue in which its limits stand."""


def doubts(site: Site, schemes: Collection[str] = ()) -> tuple[str, ...]:
    """Misspelt keys and activities, and endpoints of the queue without an address that a mover speaks.

    `schemes` are those that movers speak without being named (none: nobody asks); where the queue names movers, any
    may be spoken.
    """
    queue = site.queue
    used = dict.fromkeys(name for names in queue.endpoints.values() for name in names)
    said = [*_keys(queue), *_activities(queue)]
    for name in used:
        if (endpoint := site.endpoints.get(name)) is not None:
            said += [*_keys(endpoint), *_addresses(endpoint, () if queue.movers else schemes)]
    return tuple(said)


def _keys(noun: Queue | Endpoint) -> Iterator[str]:
    for key in noun.extra:
        origin = noun.origins[f"extra.{key}"]
        if origin.source == WRITTEN_BY_HAND:
            table = origin.detail.removesuffix(f".{key}").rpartition(".")[2]
            yield f"{origin.detail}: nobody knows this key" + _meant(key, _known_keys(noun, table))


def _known_keys(noun: Queue | Endpoint, table: str) -> dict[str, str]:
    """The keys that there are, and what to write for each where this one stands."""
    from picard_pilot.site.sources import toml  # only needed when somebody misspelt something

    if isinstance(noun, Endpoint):
        return {field.key: field.key for field in toml.ENDPOINT_FIELDS}
    within = "" if table == LIMITS else f"{LIMITS}."
    return {field.key: field.key for field in toml.QUEUE_FIELDS} | {
        field.key: within + field.key for field in toml.LIMIT_FIELDS
    }


def _activities(queue: Queue) -> Iterator[str]:
    for table, named in (("endpoints", queue.endpoints), ("movers", queue.movers)):
        for name in named:
            origin = queue.origins[f"{table}.{name}"]
            if name not in tuple(Activity) and origin.source == WRITTEN_BY_HAND:
                yield f"{origin.detail}: {name} is no activity" + _meant(name, tuple(Activity))


def _addresses(endpoint: Endpoint, schemes: Collection[str]) -> Iterator[str]:
    if not endpoint.protocols:
        yield f"endpoint.{endpoint.name} has no address: it needs protocols = [ADDRESS]"
    for way in endpoint.protocols:
        if schemes and way.scheme not in schemes:
            place = endpoint.origins["protocols"].detail
            yield f"{place}: no mover speaks {way.scheme}:// ({way.prefix})" + _meant(way.scheme, schemes)


def _meant(word: str, known: Collection[str] | Mapping[str, str]) -> str:
    near = nearest(word, tuple(known))
    if isinstance(known, Mapping):
        near = tuple(known[name] for name in near)
    return f"; nearest: {', '.join(near)}" if near else ""
