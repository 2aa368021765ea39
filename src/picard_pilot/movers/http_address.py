"""An http address taken apart: what is asked for, what people are shown, the names beside it.

The query of an address (a signature, a token) is kept for the request and shown to nobody.
"""

import calendar
import os
import re
import time
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote, unquote_to_bytes

import msgspec

from picard_pilot.model.transfer import FailureClass, Remedy, StorageAccess, TransferError, TransferFailure
from picard_pilot.movers.part_file import part_name
from picard_pilot.system.http_pool import origin_of

SCHEMES = {"http": "http", "https": "https", "dav": "http", "davs": "https"}
"""Scheme of an address: what is spoken."""

_KEPT = "/:?&=%+,;@!$'()*~[]|"
"""What stands in an address as it is; everything else is percent-coded."""
_UNUSUAL = re.compile(r"[^\w/:.?&=%+,~-]", re.ASCII)
_SIGNATURES = frozenset({"x-amz-signature", "x-goog-signature", "signature", "sig"})
_STAMP = "%Y%m%dT%H%M%SZ"


def holds_signature(surl: str) -> bool:
    """Whether the address' query is a permission by itself, as in presigned addresses."""
    return any(name.lower() in _SIGNATURES for name, _ in parse_qsl(surl.partition("?")[2]))


class HttpAddress:
    """Where one file lies. Raises TransferError (`specification`) for an address that cannot be used.

    `url` is what is asked for, `shown` the same for people, `name` the file's name as it is coded in the address.
    """

    def __init__(self, surl: str, access: StorageAccess) -> None:
        scheme, _, rest = surl.partition("://")
        self.shown = surl.partition("?")[0]
        try:
            if scheme.lower() not in SCHEMES:
                raise ValueError(f"it is not one of {', '.join(SCHEMES)}")
            if "#" in rest:
                raise ValueError("it has a fragment; such characters must be percent-coded")
            if _UNUSUAL.search(rest):
                rest = quote(rest, safe=_KEPT, errors="surrogateescape")
            self.url = f"{SCHEMES[scheme.lower()]}://{rest}"
            self.origin = origin_of(self.url)
        except ValueError as error:
            raise self._refused(str(error)) from None
        self._path, _, self._query = self.url.partition("?")
        self.name = self._path.rpartition("/")[2]
        path = self._path.partition("://")[2].partition("/")[2]
        for part in path.split("/") if "%" in path or "/." in f"/{path}" else ():
            if (raw := unquote_to_bytes(part)) in (b".", b"..") or b"\0" in raw:
                raise self._refused(f"its component {part!r} could lead elsewhere")
        if not self.name or not path:
            raise self._refused("it names no file")
        said = {name.lower(): value for name, value in parse_qsl(self._query)} if self._query else {}
        self.is_signed = not _SIGNATURES.isdisjoint(said)
        """Whether its query is the permission; storages refuse a second one beside it."""
        self.signed_until = _end_of(said) if self.is_signed else None
        self.access = msgspec.structs.replace(access, token=None) if self.is_signed else access

    @property
    def host(self) -> str:
        """Host and port, for people."""
        return self.origin.partition("://")[2]

    def beside(self) -> str:
        """A fresh temporary name in the same folder, as an address."""
        folder, _, name = self._path.rpartition("/")
        temporary = part_name(os.fsdecode(unquote_to_bytes(name)))
        return f"{folder}/{quote(os.fsencode(temporary), safe='')}{self.behind()}"

    def behind(self) -> str:
        """The query with its `?`, where there is one."""
        return f"?{self._query}" if self._query else ""

    def folders(self) -> Iterator[str]:
        """The folders above the file, innermost first, without the storage's root."""
        folder = self._path.rpartition("/")[0]
        while len(folder) > len(self.origin):
            yield f"{folder}/{self.behind()}"
            folder = folder.rpartition("/")[0]

    def _refused(self, why: str) -> TransferError:
        return TransferError(
            TransferFailure(
                kind=FailureClass.SPECIFICATION,
                says=f"{_without_password(self.shown)!r} is refused: {why}",
                remedy=Remedy.MISTAKE,
                surl=_without_password(self.shown),
            )
        )


def _without_password(surl: str) -> str:
    scheme, separator, rest = surl.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _end_of(said: dict[str, str]) -> float | None:
    """When a presigned address ends by its own word, in seconds since 1970."""
    for prefix in ("x-amz", "x-goog"):
        began, life_s = said.get(f"{prefix}-date"), said.get(f"{prefix}-expires")
        if began and life_s:
            try:
                return calendar.timegm(time.strptime(began, _STAMP)) + float(life_s)
            except ValueError:
                return None
    end = said.get("expires", "")
    return float(end) if end.isascii() and end.isdigit() else None
