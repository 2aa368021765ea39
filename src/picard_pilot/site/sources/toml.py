"""Site facts from a TOML file that people write. `tests/samples/queues/local.toml` shows every key.

Strict: a value of the wrong type is an error; a key that nobody knows is kept and shown.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from picard_pilot.model.files import ChecksumKind
from picard_pilot.model.policy import AltStageOut
from picard_pilot.model.site import PathRule
from picard_pilot.site import data_readers as data
from picard_pilot.site import readers as read
from picard_pilot.site.facts import FactField, Facts, bad_value, read_fields
from picard_pilot.site.sources.base import SiteSource

QUEUE_FIELDS = (
    FactField("panda_resource", "panda_resource", read.text),
    FactField("site", "site", read.text),
    FactField("state", "state", read.text),
    FactField("status", "status", read.text),
    FactField("type", "kind", read.text),
    FactField("resource_type", "resource_type", read.text),
    FactField("experiment", "experiment", read.text),
    FactField("endpoints", "endpoints", read.names_by_activity),
    FactField("movers", "movers", read.names_by_activity),
    FactField("schemes", "schemes", read.names_by_activity),
    FactField("environment", "environment", read.variables),
    FactField("allow_symlink", "allow_symlink", read.flag),
    FactField("allow_lan", "allow_lan", read.flag),
    FactField("allow_wan", "allow_wan", read.flag),
    FactField("direct_access_lan", "direct_access_lan", read.flag),
    FactField("direct_access_wan", "direct_access_wan", read.flag),
    FactField("direct_access_threshold_mb", "direct_access_threshold_bytes", data.megabytes),
    FactField("local_files", "local_files", data.local_files),
    FactField("federation", "federation", data.federation),
    FactField("alt_stage_out", "alt_stage_out", read.choice(AltStageOut)),
    FactField("register_outputs", "register_outputs", read.flag),
    FactField("jobs_can_move", "jobs_can_move", read.flag),
    FactField("trace_url", "trace_url", data.web_address),
    FactField("required_guarantees", "required_guarantees", read.guarantees),
    FactField("container_type", "container_type", read.text),
    FactField("container_options", "container_options", read.text),
    FactField("catchall", "catchall", read.text),
    FactField("params", "params", read.table),
)
LIMIT_FIELDS = tuple(
    FactField(name, f"limits.{name}", read.positive)
    for name in ("maxtime_s", "maxrss_mb", "maxwdir_mb", "maxinputsize_mb", "corecount", "timefloor_min")
)
ENDPOINT_FIELDS = (
    FactField("protocols", "protocols", read.protocols),
    FactField("paths", "paths", read.choice(PathRule)),
    FactField("checksum", "checksum", read.choice(ChecksumKind)),
    FactField("state", "state", read.text),
    FactField("type", "kind", read.text),
    FactField("token", "token", read.text),
)


class TomlSource(SiteSource):
    """Tables `[queue.NAME]` and `[endpoint.NAME]` of one file."""

    kind: ClassVar[str] = "toml"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            document: dict[str, object] = tomllib.loads(self.content().decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self.not_readable_as("TOML", str(error)) from error
        self._queues = self._tables(document, "queue")
        self._endpoints = self._tables(document, "endpoint")

    def queue_names(self) -> tuple[str, ...]:
        """The names of the `[queue.NAME]` tables."""
        return tuple(self._queues)

    def queue(self, name: str) -> Facts | None:
        """One `[queue.NAME]` table."""
        if name not in self._queues:
            return None
        raw = dict(self._queues[name])
        limits = raw.pop("limits", {})
        place, label = str(self.path), f"queue.{name}"
        if not isinstance(limits, Mapping):
            raise bad_value(place, f"{label}.limits", limits, "a table")
        facts = read_fields(raw, QUEUE_FIELDS, kind=self.kind, place=place, label=label)
        facts.update(read_fields(limits, LIMIT_FIELDS, kind=self.kind, place=place, label=f"{label}.limits"))
        return facts

    def endpoint_names(self) -> tuple[str, ...]:
        """The names of the `[endpoint.NAME]` tables."""
        return tuple(self._endpoints)

    def endpoint(self, name: str) -> Facts | None:
        """One `[endpoint.NAME]` table."""
        if name not in self._endpoints:
            return None
        return read_fields(
            self._endpoints[name],
            ENDPOINT_FIELDS,
            kind=self.kind,
            place=str(self.path),
            label=f"endpoint.{name}",
        )

    def _tables(self, document: Mapping[str, object], key: str) -> dict[str, Mapping[str, object]]:
        found = document.get(key, {})
        if not isinstance(found, Mapping):
            raise bad_value(str(self.path), key, found, f"tables [{key}.NAME]")
        for name, entry in found.items():
            if not isinstance(entry, Mapping):
                raise bad_value(str(self.path), f"{key}.{name}", entry, "a table")
        return dict(found)
