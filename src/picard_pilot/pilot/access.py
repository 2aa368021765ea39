"""As whom the pilot goes to storages: token and certificate as they are at this moment, for each request anew.

The places are `system.grid_places`; what a storage is shown of it is each mover's business.
"""

import logging
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from picard_pilot.model.transfer import StorageAccess
from picard_pilot.system.bearer import Token, TokenUnusable, expires_at
from picard_pilot.system.grid_places import authorities, certificate_places, file_warnings, token_places
from picard_pilot.system.x509 import NotACertificate, ends_at

log = logging.getLogger("picard.access")

ENDS_SOON_S = 600.0
"""A credential that ends within ten minutes is worth a line: the next large file may outlive it."""


class StorageCredentials:
    """Called for each request; cheap, since a file is read again only when it has changed.

    Whoever renews a token replaces its file, and the next request goes with the new one; a token that appears where
    none was is found as well. Every token is told to `secret` before it is used.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        euid: int,
        ca: str | None,
        secret: Callable[[str], None],
        now_utc: Callable[[], float],
    ) -> None:
        """`environment` as `settings.environment.storage_environment` gives it; `ca` is a file or a directory."""
        self._environment = environment
        self._euid = euid
        self._ca = ca
        self._secret = secret
        self._now_utc = now_utc
        self._tokens: dict[str, Token] = {}
        self._known: tuple[str, float | None] | None = None
        """The present token and when it ends."""
        self._certificate_seen: tuple[str, int, int, int] | None = None
        self._certificate_ends_at: float | None = None
        self._warned: set[str] = set()

    def __call__(self) -> StorageAccess:
        """The credentials of this moment; nothing where there are none, which public storages do not mind."""
        ca_file, ca_dir = authorities(self._ca)
        token = self._token()
        certificate, key = self._certificate()
        return StorageAccess(
            token=None if token is None else token.value(),
            token_source=None if token is None else token.source,
            certificate=certificate,
            key=key,
            ca_file=ca_file,
            ca_dir=ca_dir,
        )

    def held(self) -> tuple[Token | None, str | None]:
        """The token and the file of the certificate that are shown now."""
        return self._token(), self._certificate()[0]

    def describe(self) -> str:
        """One sentence for the log: what storages are shown, and where it was found."""
        access = self()
        shown = [f"the token from {access.token_source}"] if access.token else []
        if access.certificate:
            shown.append(f"the X.509 certificate or proxy {access.certificate}")
        return f"storages are shown {' or '.join(shown) or 'no credential'}"

    def _token(self) -> Token | None:
        """The first token that can be used. One that cannot is said once and passed over."""
        for found in token_places(self._environment, self._euid):
            token = self._tokens.setdefault(found.source, found)
            token.secret = self._secret
            try:
                value = token.value()
            except TokenUnusable as error:
                self._warn(str(error))
                continue
            self._watch_end(token, value)
            return token
        return None

    def _watch_end(self, token: Token, value: str) -> None:
        if self._known is None or self._known[0] != value:
            self._known = value, expires_at(value)
            for line in file_warnings(token.path, self._euid) if token.path is not None else ():
                self._warn(line)
        if self._known[1] is not None:
            self._say_end(f"the token for storages from {token.source}", self._known[1])

    def _watch_certificate(self, path: str) -> None:
        """The same for a proxy; its file is read again only when it has changed."""
        try:
            facts = Path(path).stat()
            stamp = path, facts.st_ino, facts.st_size, facts.st_mtime_ns
            if stamp != self._certificate_seen:
                self._certificate_seen, self._certificate_ends_at = stamp, None
                self._certificate_ends_at = ends_at(Path(path))
        except (OSError, NotACertificate) as error:
            self._warn(f"the certificate for storages: {error}")
            return
        if self._certificate_ends_at is not None:
            self._say_end(f"the certificate or proxy for storages in {path}", self._certificate_ends_at)

    def _say_end(self, what: str, end: float) -> None:
        """Once before the end and once after it, for each token and proxy."""
        left_s = end - self._now_utc()
        if left_s <= ENDS_SOON_S:
            when = f"ends in {left_s:.0f} s" if left_s > 0 else "has expired"
            self._warn(f"{what} {when}", f"{what} {end} {left_s > 0}")

    def _certificate(self) -> tuple[str | None, str | None]:
        for place in certificate_places(self._environment, self._euid):
            if _is_readable_file(place.certificate):
                self._watch_certificate(place.certificate)
                return place.certificate, place.key
            self._warn(f"{place.source}: there is no file that can be read; storages are not shown it")
        return None, None

    def _warn(self, line: str, once_for: str | None = None) -> None:
        if (once_for or line) not in self._warned:
            self._warned.add(once_for or line)
            log.warning("%s", line)


def _is_readable_file(path: str) -> bool:
    try:
        return stat.S_ISREG(Path(path).stat().st_mode) and os.access(path, os.R_OK)
    except OSError:
        return False
