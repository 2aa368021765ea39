"""When an X.509 certificate or proxy ends, read from its file; nothing is verified here, which TLS does.

A walk over the few bytes of ASN.1 that lead to it: a library for certificates is not among what a node has.
"""

import base64
import binascii
import calendar
import re
import time
from pathlib import Path

MAX_FILE_BYTES = 1 << 20
"""A proxy with its chain has some kilobytes."""

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)

_SEQUENCE, _UTC_TIME, _GENERAL_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0

_PIVOT_YEAR = 50
"""RFC 5280 4.1.2.5.1: two digits from 50 on are of the last century."""


class NotACertificate(ValueError):
    """There is no certificate where one should be."""


def ends_at(path: Path) -> float:
    """When the first certificate of a PEM file ends (of a proxy: the proxy), in seconds since 1970, UTC.

    Raises OSError for the file, NotACertificate for what stands in it.
    """
    with path.open("rb") as file:
        found = _PEM.search(file.read(MAX_FILE_BYTES))
    if found is None:
        raise NotACertificate(f"{path} holds no certificate")
    try:
        return _not_after(base64.b64decode(found[1]))
    except (binascii.Error, IndexError, ValueError) as error:
        raise NotACertificate(f"{path} holds no certificate that can be read: {error}") from None


def _not_after(der: bytes) -> float:
    """Certificate, its first part, in it the fifth field after an optional version (RFC 5280 4.1)."""
    certificate, _ = _take(der, _SEQUENCE)
    fields, _ = _take(certificate, _SEQUENCE)
    if fields[0] == _VERSION:
        _, fields = _take(fields)
    for _ in ("serial number", "signature", "issuer"):
        _, fields = _take(fields)
    validity, _ = _take(fields, _SEQUENCE)
    _, ends = _take(validity)
    kind = ends[0]
    text, _ = _take(ends)
    return _time(kind, text.decode("ascii"))


def _take(data: bytes, kind: int | None = None) -> tuple[bytes, bytes]:
    """The content of the first element, and what follows it. Raises ValueError, IndexError."""
    if kind is not None and data[0] != kind:
        raise ValueError(f"element {data[0]:#04x} where {kind:#04x} should be")
    length, start = data[1], 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(data[2 : 2 + size], "big"), 2 + size
    if start + length > len(data):
        raise ValueError("it ends too early")
    return data[start : start + length], data[start + length :]


def _time(kind: int, text: str) -> float:
    if kind == _UTC_TIME:
        text = ("19" if int(text[:2]) >= _PIVOT_YEAR else "20") + text
    elif kind != _GENERAL_TIME:
        raise ValueError(f"element {kind:#04x} where a time should be")
    return float(calendar.timegm(time.strptime(text, "%Y%m%d%H%M%SZ")))
