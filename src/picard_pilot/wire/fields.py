"""What a call and its fields are: names, JSON types and limits as values.

The calls themselves are tables in `v1`; preparing a request is in `encode`, refusing one in `check`.
"""

from __future__ import annotations

import enum
from typing import Literal

import msgspec


class WireError(ValueError):
    """A value that cannot go on the wire; always names the field.

    It is a fault of the caller (unknown field, impossible type), never of the data:
    over-long or unclean texts are cut and cleaned without a word.
    """

    def __init__(self, field: str, why: str, evidence: str) -> None:
        super().__init__(f"{field}: {why} ({evidence})")
        self.field = field
        self.why = why
        self.evidence = evidence


class Kind(enum.Enum):
    """The JSON types a field takes; the value is the name the server uses in a refusal."""

    TEXT = "str"
    INTEGER = "int"
    NUMBER = "int or float"
    BOOLEAN = "bool"
    INTEGERS = "list of int"
    TEXTS = "list of str"
    OBJECTS = "list of dict"
    OBJECT_OR_TEXT = "dict or str"
    ANY = "any"


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter of a call.

    `nullable`: whether JSON null is accepted, which is so only where the server's default is null.
    `max_length`: characters the server's table holds. `cut`: the server cuts a longer text itself;
    where it does not, one over-long text loses the whole update.
    `keep`: which end of a text is worth keeping when the client has to cut.
    `max_value`: largest integer the column holds (error codes: 32 bit).
    """

    name: str
    kind: Kind
    required: bool = False
    nullable: bool = True
    max_length: int | None = None
    cut: bool = True
    keep: Literal["start", "end"] = "start"
    max_value: int | None = None
    since: str = "1.0.0"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call of the API.

    `needs_role`: the caller must hold the production role; otherwise any known caller may call.
    `anonymous`: no credential needed at all.
    `has_status_code`: a success carries `StatusCode` in its data; one without it is not believed.
    `success_inverted`: the server says `success: false` with this message when it did what was asked.
    """

    module: str
    method: str
    verb: Literal["GET", "POST"]
    fields: tuple[Field, ...]
    needs_role: bool = False
    anonymous: bool = False
    has_status_code: bool = False
    success_inverted: str | None = None

    @property
    def path(self) -> str:
        """The path below `/api/v1/`."""
        return f"{self.module}/{self.method}"

    def field(self, name: str) -> Field | None:
        """The field of that name, or None."""
        return _by_name(self).get(name)


_INDEX: dict[int, tuple[Call, dict[str, Field]]] = {}


def _by_name(call: Call) -> dict[str, Field]:
    """Index of a call's fields; made once per call, since an update has some fifty of them."""
    known = _INDEX.get(id(call))
    if known is None:
        known = _INDEX[id(call)] = (call, {field.name: field for field in call.fields})
    return known[1]


def fields_of(call: Call) -> dict[str, Field]:
    """Name to field, in the table's order; not to be changed by the caller."""
    return _by_name(call)
