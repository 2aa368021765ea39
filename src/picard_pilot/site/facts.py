"""Facts on their way from a source to the model: a value per dotted field, and where each came from.

What the sources call these fields is theirs to know; merging and checking as a whole is `site.load`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from picard_pilot.model.site import Origin
from picard_pilot.site.errors import SiteError
from picard_pilot.system.redact import Redactor


class BadValue(ValueError):
    """A value is not what its field takes; the text says what it takes."""


Reader = Callable[[object], object]
"""From a raw value to that of the model; None means that the source says nothing. Raises BadValue."""


class FactField(NamedTuple):
    """A key of a source, the field of the model that it fills, and how to read it."""

    key: str
    field: str
    read: Reader


class Facts:
    """What one source, or several merged, say about one queue or endpoint.

    Fields are dotted (`limits.maxtime_s`); a table such as `endpoints` has one field per entry, so that sources
    complete each other. `extra` holds the keys that nobody knows.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.extra: dict[str, object] = {}
        self.origins: dict[str, Origin] = {}

    def put(self, field: str, value: object, origin: Origin) -> None:
        """Take a value; the entries of a mapping become fields of their own, None is no value."""
        if isinstance(value, Mapping) and "." not in field:
            for name, entry in value.items():
                self.put(f"{field}.{name}", entry, origin)
        elif value is not None:
            self.values[field] = value
            self.origins[field] = origin

    def put_extra(self, key: str, value: object, origin: Origin) -> None:
        """Keep a key that nobody knows."""
        self.extra[key] = value
        self.origins[f"extra.{key}"] = origin

    def update(self, later: "Facts") -> None:
        """Let a later source complete and overrule these facts, field by field."""
        self.values |= later.values
        self.extra |= later.extra
        self.origins |= later.origins

    def nested(self) -> dict[str, Any]:
        """The values with one level of nesting, as the model's constructors take them."""
        nested: dict[str, Any] = {}
        for field, value in self.values.items():
            head, dot, rest = field.partition(".")
            if dot:
                table = nested.setdefault(head, {})
                assert isinstance(table, dict)
                table[rest] = value
            else:
                nested[head] = value
        return nested


def read_fields(
    raw: Mapping[str, object], fields: tuple[FactField, ...], *, kind: str, place: str, label: str
) -> Facts:
    """The known keys of `raw` as facts, the others as extra.

    `place` is the file, `label` the path of the table inside it, `kind` the source's name. Raises SiteError that
    names file and key.
    """
    facts = Facts()
    known = {field.key for field in fields}
    for field in fields:
        if field.key in raw:
            try:
                value = field.read(raw[field.key])
            except BadValue as bad:
                raise bad_value(place, f"{label}.{field.key}", raw[field.key], str(bad)) from None
            facts.put(field.field, value, Origin(kind, f"{place}: {label}.{field.key}"))
    for key, value in raw.items():
        if key not in known:
            facts.put_extra(key, value, Origin(kind, f"{place}: {label}.{key}"))
    return facts


def bad_value(place: str, key: str, found: object, wanted: str) -> SiteError:
    """The error for one bad value: file and key, what is there, what should be."""
    shown = Redactor().text(repr(found))
    return SiteError(
        "QUEUEDATANOTOK",
        f"{place}: the value of {key} cannot be used",
        f"it is {shown if len(shown) <= 80 else shown[:77] + '...'}, but must be {wanted}",
        f"Mend {key} in {place}",
    )
