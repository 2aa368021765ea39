"""From an exception of the HTTP library to one of our troubles with its evidence.

No decision about repeating or waiting is made here.
"""

import errno
import http.client
import socket
import ssl
from collections.abc import Iterator

from urllib3 import exceptions

from picard_pilot.system.http import Trouble

# Enough for a server's sentence; the rest of a broken page helps nobody.
MAX_EVIDENCE_CHARACTERS = 200

_UNREACHABLE = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EACCES}
)


def trouble_of(error: BaseException, *, sent: bool) -> tuple[Trouble, str]:
    """Classify by the kinds of all exceptions inside `error`; `sent` tells a handshake from an answer."""
    chain = list(_inside(error))
    evidence = _evidence(chain)
    return _kind(chain, evidence, sent), evidence[:MAX_EVIDENCE_CHARACTERS]


def _inside(error: BaseException) -> Iterator[BaseException]:
    """The exception and those it wraps, outermost first; the library wraps in four different ways."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        wrapped = (*current.args, getattr(current, "original_error", None), current.__cause__)
        waiting.extend(inner for inner in wrapped if isinstance(inner, BaseException))


def _kind(chain: list[BaseException], evidence: str, sent: bool) -> Trouble:
    def has(*kinds: type[BaseException]) -> bool:
        return any(isinstance(error, kinds) for error in chain)

    if has(exceptions.ProxyError) or "Tunnel connection failed" in evidence:
        return "proxy"
    if has(exceptions.NameResolutionError, socket.gaierror):
        return "resolve"
    if has(exceptions.IncompleteRead, exceptions.InvalidChunkLength, http.client.IncompleteRead):
        return "truncated"
    if has(exceptions.NewConnectionError):
        return "refused" if has(ConnectionRefusedError) else "unreachable"
    if has(exceptions.TimeoutError, TimeoutError):
        return "timeout"
    if has(exceptions.DecodeError):
        return "protocol"
    if sent and has(ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return "reset"
    if has(exceptions.SSLError, ssl.SSLError):
        return "tls"
    if has(ConnectionError, http.client.RemoteDisconnected):
        return "reset"
    if has(http.client.HTTPException):
        return "protocol"
    if any(isinstance(error, OSError) and error.errno in _UNREACHABLE for error in chain):
        return "unreachable"
    if has(ValueError):
        return "request"
    return "reset" if sent else "unreachable"


def _evidence(chain: list[BaseException]) -> str:
    """The innermost sentence, which is the system's or the server's own."""
    for error in reversed(chain):
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"certificate not accepted: {error.verify_message}"
        if isinstance(error, exceptions.IncompleteRead):
            return f"{error.partial} bytes came, {error.expected} more were announced"
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
    text = str(chain[-1]) or type(chain[-1]).__name__
    return " ".join(text.split())
