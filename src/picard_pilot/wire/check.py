"""The server's side of a request: refuse what a real PanDA server refuses, in its words.

Only types and names are judged here; what a call then does is the server's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from picard_pilot.wire.fields import Call, Field, Kind, fields_of


class Refused(ValueError):
    """The call is refused; `http_status` 200 means an envelope with `success: false`, 500 a plain text."""

    def __init__(self, http_status: int, message: str) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.message = message


def check(call: Call, parameters: Mapping[str, object]) -> dict[str, object]:
    """The parameters of a POST call, every one of exactly the declared type.

    Raises:
        Refused: a missing or an unknown parameter (500), a wrong type (200 with the type named).
            Stricter than the real server in one point: true and false are no integers.
    """
    table = _bind(call, parameters)
    for name, value in parameters.items():
        _require(table[name], value)
    return dict(parameters)


def check_query(call: Call, pairs: Sequence[tuple[str, str]]) -> dict[str, object]:
    """The parameters of a GET call, cast from text to the declared types; lists come by repeating the key.

    Raises:
        Refused: as `check`, or a value that cannot be cast.
    """
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    table = _bind(call, values)
    return {name: _cast(table[name], texts) for name, texts in values.items()}


def _bind(call: Call, parameters: Mapping[str, object]) -> dict[str, Field]:
    table = fields_of(call)
    for field in call.fields:
        if field.required and field.name not in parameters:
            raise Refused(500, f"missing a required argument: '{field.name}'")
    for name in parameters:
        if name not in table:
            raise Refused(500, f"got an unexpected keyword argument '{name}'")
    return table


def _require(field: Field, value: object) -> None:
    if value is None:
        if field.nullable:
            return
        raise _type_error(field, value)
    kind = field.kind
    if kind is Kind.TEXT:
        fine = isinstance(value, str)
    elif kind is Kind.INTEGER:
        fine = type(value) is int
    elif kind is Kind.NUMBER:
        fine = type(value) in (int, float)
    elif kind is Kind.BOOLEAN:
        fine = isinstance(value, bool)
    elif kind is Kind.OBJECT_OR_TEXT:
        fine = isinstance(value, (dict, str))
    elif kind is Kind.ANY:
        fine = True
    else:
        _require_list(field, value)
        fine = True
    if not fine:
        raise _type_error(field, value)


_ELEMENT: dict[Kind, type] = {Kind.INTEGERS: int, Kind.TEXTS: str, Kind.OBJECTS: dict}


def _require_list(field: Field, value: object) -> None:
    if not isinstance(value, list):
        raise Refused(200, f"Type error: '{field.name}' must be of type list, got {_name(value)}.")
    element_type = _ELEMENT[field.kind]
    if not all(type(element) is element_type for element in value):
        raise Refused(200, f"Type error: All elements in '{field.name}' must be {element_type.__name__}.")


def _cast(field: Field, texts: list[str]) -> object:
    try:
        if field.kind is Kind.INTEGERS:
            return [int(text) for text in texts]
        if field.kind is Kind.INTEGER:
            return int(texts[-1])
    except ValueError:
        raise Refused(
            200, f"Type error: '{field.name}' could not be casted to type {field.kind.value}."
        ) from None
    return texts[-1]


def _type_error(field: Field, value: object) -> Refused:
    return Refused(200, f"Type error: '{field.name}' must be of type {field.kind.value}, got {_name(value)}.")


def _name(value: object) -> str:
    return type(value).__name__
