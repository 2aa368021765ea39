"""The client's side of a request: values made fit for the wire, so that no single field loses an update.

Sending is `panda`'s; what the server refuses is in `check`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from picard_pilot.wire.fields import Call, Field, Kind, WireError, fields_of
from picard_pilot.wire.v1 import UPDATE_JOB, UPDATE_JOBS_BULK

_EVIDENCE_LENGTH = 80
"""Characters of a bad value shown in an error: enough to recognise it."""


def prepare(call: Call, values: Mapping[str, object]) -> dict[str, object]:
    """The parameters of one request, ready to be written as JSON.

    None is left out (null is refused where the server's default is not null). Integers are cast, texts
    cleaned of NUL and lone surrogates and cut to the column. A number that JSON cannot carry (NaN,
    infinity) is unknown and left out. An error code beyond 32 bits becomes the largest one.

    Raises:
        WireError: unknown field, impossible type, or a required field without a value.
    """
    table = fields_of(call)
    prepared: dict[str, object] = {}
    for name, value in values.items():
        field = table.get(name)
        if field is None:
            raise WireError(name, f"{call.path} has no such field", _shown(value))
        if value is None:
            continue
        fit = _fit(field, value)
        if fit is not None:
            prepared[name] = fit
    for field in call.fields:
        if field.required and field.name not in prepared:
            raise WireError(field.name, f"{call.path} needs a value", "none was given")
    if call is UPDATE_JOBS_BULK:
        prepared["job_list"] = [prepare(UPDATE_JOB, job) for job in _objects(prepared["job_list"])]
    return prepared


def query(call: Call, prepared: Mapping[str, object]) -> list[tuple[str, str]]:
    """The prepared parameters of a GET call as key and value pairs, lists by repeating the key."""
    pairs: list[tuple[str, str]] = []
    for field in call.fields:
        value = prepared.get(field.name)
        if value is None:
            continue
        for element in value if isinstance(value, list) else [value]:
            pairs.append((field.name, str(element)))
    return pairs


def clean(text: str) -> str:
    """The text without NUL and without surrogates that UTF-8 cannot carry."""
    if "\0" in text:
        text = text.replace("\0", "")
    if not text.isascii():
        text = text.encode("utf-8", "ignore").decode("utf-8")
    return text


def _fit(field: Field, value: object) -> object | None:
    kind = field.kind
    if kind is Kind.TEXT:
        return _text(field, value)
    if kind is Kind.INTEGER:
        return _integer(field, value)
    if kind is Kind.NUMBER:
        return _number(field, value)
    if kind is Kind.BOOLEAN:
        if isinstance(value, bool):
            return value
    elif kind in (Kind.INTEGERS, Kind.TEXTS, Kind.OBJECTS):
        return _list(field, value)
    elif kind is Kind.OBJECT_OR_TEXT:
        if isinstance(value, Mapping):
            return dict(value)
        return _text(field, value)
    elif isinstance(value, str):
        return _text(field, value)
    elif isinstance(value, (bool, int)):
        return value
    raise _wrong(field, value)


def _text(field: Field, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise _wrong(field, value)
    text = clean(value)
    if field.max_length is not None and len(text) > field.max_length:
        text = text[: field.max_length] if field.keep == "start" else text[-field.max_length :]
    return text


def _integer(field: Field, value: object) -> int | None:
    if isinstance(value, bool):
        raise _wrong(field, value)
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            raise _wrong(field, value) from None
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        value = int(value)
    if not isinstance(value, int):
        raise _wrong(field, value)
    if field.max_value is not None:
        return max(-field.max_value, min(field.max_value, value))
    return value


def _number(field: Field, value: object) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(field, value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _list(field: Field, value: object) -> list[object]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise _wrong(field, value)
    element_type: type = {Kind.INTEGERS: int, Kind.TEXTS: str, Kind.OBJECTS: Mapping}[field.kind]
    for element in value:
        if isinstance(element, bool) or not isinstance(element, element_type):
            raise _wrong(field, element)
    return list(value)


def _objects(value: object) -> list[Mapping[str, object]]:
    assert isinstance(value, list)
    return value


def _wrong(field: Field, value: object) -> WireError:
    return WireError(field.name, f"must be {field.kind.value}, got {type(value).__name__}", _shown(value))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _EVIDENCE_LENGTH else text[: _EVIDENCE_LENGTH - 3] + "..."
