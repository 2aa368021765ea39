"""The PanDA calls as they travel: paths, content types, credentials, JSON, the envelope and its refusals.

Raw ASGI, since a heartbeat passes here thousands of times a minute; what a call does is in the handlers.
"""

from __future__ import annotations

import logging
import sqlite3
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from picard_pilot.server.auth import BadToken, Tokens
from picard_pilot.server.caller import Caller
from picard_pilot.wire.check import Refused, check, check_query
from picard_pilot.wire.envelope import failure
from picard_pilot.wire.fields import Call
from picard_pilot.wire.v1 import PREFIX

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

Envelope = dict[str, object]
Handler = Callable[[Caller, dict[str, object]], Awaitable[Envelope]]

NO_CREDENTIAL = "SSL secure connection is required"
NO_ROLE = "production or pilot role required"

_ANYONE = Caller(name="", is_production=False)
_JSON = b"application/json"
_PLAIN_HEADERS = (b"content-type", b"text/plain")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_log = logging.getLogger(__name__)


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A call and what answers it."""

    call: Call
    handler: Handler


class Broken(ValueError):
    """A body that cannot be read: HTTP 500 and this text."""


class Calls:
    """The ASGI application of everything that is not a page of ours."""

    def __init__(self, served: list[Served], tokens: Tokens, max_body_bytes: int) -> None:
        self._served = {PREFIX + entry.call.path: entry for entry in served}
        self._tokens = tokens
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = dict(scope["headers"])
        served = self._served.get(scope["path"])
        if served is None:
            method = scope["path"].rsplit("/", 1)[-1]
            await _send(send, 403, f"ERROR : method {method} is forbidden".encode("utf-8", "replace"))
            return
        try:
            caller = self._caller(headers)
        except BadToken as error:
            await _send(send, 403, f"ERROR : token authentication failed. {error}".encode())
            return
        try:
            parameters = await self._parameters(served.call, scope, headers, receive)
            envelope = await self._answer(served, scope["method"], caller, parameters)
        except Refused as error:
            if error.http_status != 200:
                await _send(send, error.http_status, f"ERROR : {error.message}".encode())
                return
            envelope = failure(error.message)
        except (Broken, sqlite3.Error, OverflowError) as error:
            # OverflowError: a number beyond the 63 bits of a column.
            _log.warning("%s: %s", served.call.path, error)
            await _send(send, 500, f"ERROR : {error}".encode())
            return
        is_json = headers.get(b"content-type") == _JSON or headers.get(b"accept") == _JSON
        await _send(send, 200, _encode(envelope) if is_json else _python_text(envelope))

    def _caller(self, headers: dict[bytes, bytes]) -> Caller | None:
        authorization = headers.get(b"authorization")
        if authorization is None:
            return None
        origin = headers.get(b"origin", b"")
        return self._tokens.caller(authorization.decode("latin-1"), origin.decode("latin-1"))

    async def _answer(self, served: Served, verb: str, caller: Caller | None, parameters: object) -> Envelope:
        call = served.call
        if caller is None and not call.anonymous:
            return failure(NO_CREDENTIAL)
        if call.needs_role and (caller is None or not caller.is_production):
            return failure(NO_ROLE)
        if verb != call.verb:
            return failure(f"expecting {call.verb}, received {verb}")
        if isinstance(parameters, list):
            checked = check_query(call, parameters)
        else:
            assert isinstance(parameters, dict)
            checked = check(call, parameters)
        return await served.handler(caller or _ANYONE, checked)

    async def _parameters(
        self, call: Call, scope: Scope, headers: dict[bytes, bytes], receive: Receive
    ) -> dict[str, object] | list[tuple[str, str]]:
        """What came with the request: JSON object of a POST, or pairs of a query or a form."""
        if scope["method"] == "GET":
            pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            return pairs if call.verb == "GET" else dict(pairs)
        body = await _body(receive, self._max_body_bytes)
        if headers.get(b"content-encoding") == b"gzip":
            body = _unzip(body, self._max_body_bytes)
        content_type = headers.get(b"content-type", b"")
        if content_type == _JSON:
            return _json_object(body)
        if content_type.startswith(b"application/x-www-form-urlencoded"):
            return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        # Any other content type, `application/json; charset=utf-8` among them: the body is not read at all.
        return {}


async def _body(receive: Receive, max_bytes: int) -> bytes:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        whole: bytes = message.get("body", b"")
        if len(whole) > max_bytes:
            raise Broken(f"the request is larger than {max_bytes} bytes")
        return whole
    parts: list[bytes] = []
    size = 0
    while message["type"] == "http.request":
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > max_bytes:
            raise Broken(f"the request is larger than {max_bytes} bytes")
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()
    raise Broken("the request ended early")


def _unzip(body: bytes, max_bytes: int) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    try:
        text = inflater.decompress(body, max_bytes)
    except zlib.error as error:
        raise Broken(f"failed to unzip the request: {error}") from error
    if inflater.unconsumed_tail or not inflater.eof:
        raise Broken(f"the request is cut short, or larger than {max_bytes} bytes")
    return text


def _json_object(body: bytes) -> dict[str, object]:
    try:
        parameters = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Broken(f"failed to load JSON: {error}") from error
    if not isinstance(parameters, dict):
        raise Broken("failed to load JSON: the request must be an object")
    return parameters


def _python_text(envelope: Envelope) -> bytes:
    """The answer for those who did not ask for JSON: a Python text, as a real server sends it."""
    return repr(msgspec.json.decode(_encode(envelope))).encode()


async def _send(send: Send, status: int, body: bytes) -> None:
    headers = [_PLAIN_HEADERS, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
