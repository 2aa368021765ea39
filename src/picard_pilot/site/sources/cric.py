"""Site facts from CRIC's JSON: PanDA queues and DDM endpoints, a whole export or one entry.

Lenient where CRIC is loose (numbers as text, empty for unset, 0 for no limit). Fetching such files is not done
here; what a catchall flag means is the business of the experiment that invented it, but for those by which queues
have always named their federation and their alternative stage-out.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from picard_pilot.model.policy import AltStageOut
from picard_pilot.model.site import Federation, PathRule, Protocol
from picard_pilot.site import readers as read
from picard_pilot.site.facts import BadValue, FactField, Facts, bad_value, read_fields
from picard_pilot.site.sources.base import SiteSource

MOVER_NAMES = {
    "mv": "local",
    "gfalcopy": "gfal",
    "xrdcp": "xrootd",
    "objectstore": "s3",
}
"""CRIC's names of copy tools that are called otherwise here; all others keep their name."""

SCHEMES = {"webdav": ("davs", "https")}
"""CRIC's names of protocols that are no scheme of an address."""

QUEUE_MARKS = ("nickname", "panda_resource", "astorages", "acopytools")
ENDPOINT_MARKS = ("arprotocols", "rprotocols", "is_deterministic")
"""Keys by which an entry of a file shows what it describes."""

FEDERATION_WORDS = ("true", "retry", "1", "yes")
"""The words of `allowfax` for which the redirector counts."""


def _movers(value: object) -> dict[str, tuple[str, ...]] | None:
    if value is None:
        return None
    return {
        activity: tuple(MOVER_NAMES.get(name, name) for name in names)
        for activity, names in read.names_by_activity(value).items()
    }


def _schemes(value: object) -> dict[str, tuple[str, ...]] | None:
    """Per activity a list of schemes, or a table of copy tools with a list each: then one after the other."""
    if not value:
        return None
    wanted = "a table from activity to a list of schemes, or to a table from copy tool to such a list"
    if not isinstance(value, Mapping):
        raise BadValue(wanted)
    found: dict[str, tuple[str, ...]] = {}
    for activity, said in value.items():
        if not said:
            continue
        lists = read.names_by_activity(said if isinstance(said, Mapping) else {str(activity): said})
        names = (
            scheme for names in lists.values() for name in names for scheme in SCHEMES.get(name, (name,))
        )
        found[str(activity)] = tuple(dict.fromkeys(scheme.lower() for scheme in names))
    return found


def _endpoints(value: object) -> dict[str, tuple[str, ...]] | None:
    return None if value is None else read.names_by_activity(value)


QUEUE_FIELDS = (
    FactField("panda_resource", "panda_resource", read.lenient_text),
    FactField("gstat", "site", read.lenient_text),
    FactField("atlas_site", "site", read.lenient_text),  # overrules gstat where both are set
    FactField("state", "state", read.lenient_text),
    FactField("status", "status", read.lenient_text),
    FactField("type", "kind", read.lenient_text),
    FactField("resource_type", "resource_type", read.lenient_text),
    FactField("maxtime", "limits.maxtime_s", read.lenient_limit),
    FactField("maxrss", "limits.maxrss_mb", read.lenient_limit),
    FactField("maxwdir", "limits.maxwdir_mb", read.lenient_limit),
    FactField("maxinputsize", "limits.maxinputsize_mb", read.lenient_limit),
    FactField("corecount", "limits.corecount", read.lenient_limit),
    FactField("timefloor", "limits.timefloor_min", read.lenient_limit),
    FactField("astorages", "endpoints", _endpoints),
    FactField("acopytools", "movers", _movers),
    FactField("acopytools_schemas", "schemes", _schemes),
    FactField("environ", "environment", read.variables_line),
    FactField("allow_lan", "allow_lan", read.lenient_flag),
    FactField("allow_wan", "allow_wan", read.lenient_flag),
    FactField("direct_access_lan", "direct_access_lan", read.lenient_flag),
    FactField("direct_access_wan", "direct_access_wan", read.lenient_flag),
    FactField("container_type", "container_type", read.lenient_text),
    FactField("container_options", "container_options", read.lenient_text),
    FactField("catchall", "catchall", read.lenient_text),
    FactField("params", "params", read.table),
)


def _catchall_words(value: object) -> dict[str, str]:
    """The `name=value` words of a catchall; one without a value is `true`."""
    if not isinstance(value, str):
        return {}
    words = (word.partition("=") for word in value.replace(";", ",").split(","))
    return {name.strip(): text.strip() if equals else "true" for name, equals, text in words if name.strip()}


def _paths(value: object) -> PathRule | None:
    deterministic = read.lenient_flag(value)
    if deterministic is None:
        return None
    return PathRule.RUCIO if deterministic else PathRule.CATALOGUE


ENDPOINT_FIELDS = (
    FactField("is_deterministic", "paths", _paths),
    FactField("state", "state", read.lenient_text),
    FactField("type", "kind", read.lenient_text),
    FactField("token", "token", read.lenient_text),
)


class CricSource(SiteSource):
    """Queues and endpoints of one JSON file: keyed by name, or a list, or a single one."""

    kind: ClassVar[str] = "cric"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            document = msgspec.json.decode(self.content())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self.not_readable_as("JSON", str(error)) from error
        self._queues: dict[str, Mapping[str, object]] = {}
        self._endpoints: dict[str, Mapping[str, object]] = {}
        for name, entry in self._entries(document):
            if any(mark in entry for mark in ENDPOINT_MARKS):
                self._endpoints[name] = entry
            elif any(mark in entry for mark in QUEUE_MARKS):
                self._queues[name] = entry
        if not self._queues and not self._endpoints:
            raise bad_value(
                str(path), "the whole file", document, "an export of CRIC's PanDA queues or DDM endpoints"
            )

    def queue_names(self) -> tuple[str, ...]:
        """The queues' nicknames."""
        return tuple(self._queues)

    def queue(self, name: str) -> Facts | None:
        """One queue by its nickname."""
        if name not in self._queues:
            return None
        raw: dict[str, Any] = dict(self._queues[name])
        raw.pop("nickname", None)
        if not raw.get("acopytools") and isinstance(raw.get("copytools"), Mapping):
            raw["acopytools"] = {"default": list(raw["copytools"])}
        facts = read_fields(raw, QUEUE_FIELDS, kind=self.kind, place=str(self.path), label=name)
        self._put_alternatives(facts, raw, name)
        return facts

    def _put_alternatives(self, facts: Facts, raw: Mapping[str, object], name: str) -> None:
        """Alternative stage-out and federation, which CRIC keeps in `params`, `catchall` or keys of their own."""
        words = _catchall_words(raw.get("catchall"))
        params = raw.get("params")
        params = params if isinstance(params, Mapping) else {}
        place = str(self.path)
        try:
            allowed = read.lenient_flag(params.get("allow_altstageout"))
        except BadValue as bad:
            key = f"{name}.params.allow_altstageout"
            raise bad_value(place, key, params["allow_altstageout"], str(bad)) from None
        if "force_alt_stageout" in words:
            facts.put("alt_stage_out", AltStageOut.FORCE, self.origin(f"{name}.catchall"))
        elif "allow_alt_stageout" in words:
            facts.put("alt_stage_out", AltStageOut.ON, self.origin(f"{name}.catchall"))
        elif allowed is not None:
            word = AltStageOut.ON if allowed else AltStageOut.OFF
            facts.put("alt_stage_out", word, self.origin(f"{name}.params.allow_altstageout"))
        for key, table in (("faxredirector", raw), ("catchall", words)):
            redirector = str(table.get("faxredirector") or "").strip()
            if redirector.lower() in ("", "null", "none"):
                continue
            if str(table.get("allowfax") or "").strip().lower() not in FEDERATION_WORDS:
                continue
            try:
                facts.put(
                    "federation", Federation(redirector=read.prefix(redirector)), self.origin(f"{name}.{key}")
                )
            except BadValue as bad:
                raise bad_value(place, f"{name}.{key}", redirector, str(bad)) from None

    def endpoint_names(self) -> tuple[str, ...]:
        """The endpoints' names."""
        return tuple(self._endpoints)

    def endpoint(self, name: str) -> Facts | None:
        """One endpoint by its name."""
        if name not in self._endpoints:
            return None
        raw = dict(self._endpoints[name])
        raw.pop("name", None)
        by_activity, by_id = raw.pop("arprotocols", None), raw.pop("rprotocols", None)
        place = str(self.path)
        facts = read_fields(raw, ENDPOINT_FIELDS, kind=self.kind, place=place, label=name)
        try:
            ways = tuple(_protocols(by_activity or {}, by_id or {}))
        except BadValue as bad:
            raise bad_value(place, f"{name}.arprotocols", by_activity, str(bad)) from None
        if ways:
            facts.put("protocols", ways, self.origin(f"{name}.arprotocols"))
        return facts

    def _entries(self, document: object) -> Iterator[tuple[str, Mapping[str, object]]]:
        if isinstance(document, Mapping) and any(
            mark in document for mark in (*QUEUE_MARKS, *ENDPOINT_MARKS)
        ):
            document = [document]
        if isinstance(document, Mapping):
            for key, entry in document.items():
                if isinstance(entry, Mapping):
                    yield str(entry.get("nickname") or entry.get("name") or key), entry
        elif isinstance(document, list):
            for entry in document:
                if isinstance(entry, Mapping) and (entry.get("nickname") or entry.get("name")):
                    yield str(entry.get("nickname") or entry["name"]), entry


def _protocols(by_activity: object, by_id: object) -> Iterator[Protocol]:
    """One protocol per activity and way, in CRIC's order of preference for the activity."""
    wanted = "a table from activity to a list of protocols with endpoint and path"
    if not isinstance(by_activity, Mapping) or not isinstance(by_id, Mapping):
        raise BadValue(wanted)
    for activity, entries in by_activity.items():
        if not isinstance(entries, list):
            raise BadValue(f"{wanted}; {activity} is not a list")
        for entry in entries:
            known = entry if isinstance(entry, Mapping) else by_id.get(str(entry))
            if not isinstance(known, Mapping):
                raise BadValue(f"{wanted}; {activity} names an unknown protocol {entry!r}")
            yield Protocol(
                prefix=_joined(known.get("endpoint"), known.get("path")), activities=(str(activity),)
            )
    if not by_activity:
        for known in by_id.values():
            if isinstance(known, Mapping):
                yield Protocol(prefix=_joined(known.get("endpoint"), known.get("path")))


def _joined(endpoint: object, path: object) -> str:
    """Door and path as one address. XRootD's doors end in a slash before an absolute path: both are kept."""
    door, below = read.text(endpoint), str(path or "")
    if not door.endswith("/") and not below.startswith("/"):
        below = f"/{below}"
    return read.prefix(door + below)
