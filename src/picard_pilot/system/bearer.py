"""A bearer token as it is kept for a pilot: read again when its file changes, its expiry known, never shown.

Where tokens are looked for is `system.grid_places`; what a server or a storage makes of one is theirs.
"""

import base64
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from picard_pilot.system.typed import ready

# RFC 6750's alphabet; anything else in a token file means that it holds something else.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
# Tokens are a few kilobytes; a file of megabytes is not one.
_MAX_TOKEN_BYTES = 64 << 10


class TokenUnusable(ValueError):
    """The token cannot be sent. The text names where it came from, never what it is."""


class Token:
    """A token given as text or as a file; safe to use from several threads."""

    def __init__(self, source: str, *, text: str | None = None, path: Path | None = None) -> None:
        """Exactly one of `text` and `path`; `source` says to people where it was found."""
        self.source = source
        self.path = path
        self.secret: Callable[[str], None] | None = None
        """Told every token that is read, so that it can be kept out of logs."""
        self._told = ""
        self._text = text.strip() if text is not None else ""
        self._stamp: tuple[int, int, int] | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Token({self.source})"

    def value(self) -> str:
        """The token now.

        A file that is gone or empty for a moment, because somebody renews it, leaves the last token in use.
        Raises TokenUnusable.
        """
        with self._lock:
            if self.path is not None:
                self._read_again(self.path)
            if not self._text:
                raise TokenUnusable(f"the token from {self.source} is empty")
            if not _TOKEN.fullmatch(self._text):
                raise TokenUnusable(
                    f"{self.source} does not hold a token: it has characters that no token has"
                )
            if self.secret is not None and self._told != self._text:
                self.secret(self._text)
                self._told = self._text
            return self._text

    def _read_again(self, path: Path) -> None:
        try:
            facts = path.stat()
            stamp = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
            if stamp == self._stamp:
                return
            with path.open("rb") as stream:
                content = stream.read(_MAX_TOKEN_BYTES + 1)
        except OSError as error:
            if self._text:
                return
            raise TokenUnusable(f"the token from {self.source} cannot be read: {error.strerror}") from None
        if len(content) > _MAX_TOKEN_BYTES:
            raise TokenUnusable(f"{self.source} is larger than {_MAX_TOKEN_BYTES} bytes, so it is no token")
        text = content.decode("ascii", "replace").strip()
        if text or not self._text:
            self._text, self._stamp = text, stamp


class Claims(msgspec.Struct, frozen=True):
    """What a token says of itself, unverified: for the log and for warnings, never for a decision of trust."""

    exp: float | None = None
    """Seconds since 1970, UTC."""
    groups: object = None
    wlcg_groups: object = msgspec.field(default=None, name="wlcg.groups")


ready(Claims)  # every thread that sends a request may read a token


def claims_of(token: str) -> Claims | None:
    """Read the middle part of a JWT; None for a token that is not one."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    middle = parts[1] + "=" * (-len(parts[1]) % 4)
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(middle), type=Claims)
    except (ValueError, RecursionError):
        return None


def expires_at(token: str) -> float | None:
    """When a token ends by its own word, in seconds since 1970; None for one that does not say it."""
    claims = claims_of(token)
    return claims.exp if claims else None


def has_expired(token: str, now: float | None = None) -> bool:
    """Whether a token is over by its own word: what tells a worn-out credential from a missing permission.

    `now` in seconds since 1970; None: the present.
    """
    end = expires_at(token)
    return end is not None and end <= (time.time() if now is None else now)
