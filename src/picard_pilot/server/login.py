"""One-time login codes for a browser: short enough for one line of a terminal. Sessions and tokens are `auth`'s.

A code can be made by another process than the server, since both read the same key; only the server uses it up.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import struct
import time

LIFETIME_S = 600
"""Ten minutes to open the login address."""

_BODY = struct.Struct(">I6s")
"""When it was made (seconds since 1970), and chance that tells two codes of one second apart."""

_MAC_BYTES = 12
"""96 bits: beyond guessing within ten minutes."""


class Logins:
    """Makes and checks the codes of one server."""

    def __init__(self, key: bytes) -> None:
        """`key` is secret and the same for all processes of one server."""
        self._key = hmac.digest(key, b"login codes", "sha256")
        self._started_at = int(time.time())
        self._used: set[str] = set()

    def issue(self) -> str:
        """A code of 30 characters that opens one session, on the server that runs now."""
        body = _BODY.pack(int(time.time()), os.urandom(6))
        return base64.urlsafe_b64encode(body + self._mac(body)).decode().rstrip("=")

    def use(self, code: str) -> bool:
        """Whether the code is good; it is then used up."""
        try:
            raw = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))
        except (binascii.Error, ValueError):
            return False
        body, mac = raw[: _BODY.size], raw[_BODY.size :]
        if len(body) != _BODY.size or not hmac.compare_digest(mac, self._mac(body)):
            return False
        made_at, _ = _BODY.unpack(body)
        # One made before this start may have been used before it.
        if not self._started_at <= made_at <= time.time() < made_at + LIFETIME_S or code in self._used:
            return False
        self._used.add(code)
        return True

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_MAC_BYTES]
