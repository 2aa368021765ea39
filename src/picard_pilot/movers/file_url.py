"""From a `file://` address to a path of this machine, refusing whatever could lead elsewhere.

Making such addresses is `data.paths`.
"""

from pathlib import PurePosixPath
from urllib.parse import unquote_to_bytes

from picard_pilot.model.site import Endpoint
from picard_pilot.model.transfer import FailureClass, TransferError, TransferFailure

SCHEME = "file://"
LOCAL_HOSTS = ("", "localhost")
"""RFC 8089: other authorities mean another machine."""


def path_of(surl: str, endpoint: Endpoint | None) -> PurePosixPath:
    """The absolute path that `surl` names; with an endpoint it must lie below one of the endpoint's prefixes.

    Each path component is percent-decoded by itself. Raises TransferError (`specification`) for another scheme or
    host, a query or fragment, an empty, `.` or `..` component, a coded path separator, a NUL byte.
    """
    parts = _parts(surl)
    if endpoint is not None and not any(
        parts[: len(base)] == base and len(parts) > len(base) for base in _bases(endpoint)
    ):
        raise _refused(surl, f"it does not lie below a prefix of the endpoint {endpoint.name}")
    return PurePosixPath("/", *parts)


def _bases(endpoint: Endpoint) -> list[tuple[str, ...]]:
    return [_parts(way.prefix.rstrip("/")) for way in endpoint.protocols if way.scheme == "file"]


def _parts(surl: str) -> tuple[str, ...]:
    if surl[: len(SCHEME)].lower() != SCHEME:
        raise _refused(surl, "it is not a file:// address")
    host, _, path = surl[len(SCHEME) :].partition("/")
    if host not in LOCAL_HOSTS:
        raise _refused(surl, f"it names another machine, {host!r}")
    if "?" in path or "#" in path:
        raise _refused(surl, "it has a query or a fragment; such characters must be percent-coded")
    decoded = tuple(_component(surl, part) for part in path.split("/"))
    return tuple(part for part in decoded if part)


def _component(surl: str, part: str) -> str:
    raw = unquote_to_bytes(part)
    if raw in (b".", b"..") or b"/" in raw or b"\0" in raw:
        raise _refused(surl, f"its component {part!r} could lead elsewhere")
    # Names that are not UTF-8 survive the way to the file system and back.
    return raw.decode("utf-8", "surrogateescape")


def _refused(surl: str, why: str) -> TransferError:
    return TransferError(
        TransferFailure(kind=FailureClass.SPECIFICATION, says=f"{surl!r} is refused: {why}", surl=surl)
    )
