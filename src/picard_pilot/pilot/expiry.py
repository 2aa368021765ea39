"""The ends of the pilot's credentials as ends of the slot: without them nothing is reported or stored.

Finding credentials is `panda.credentials` and `pilot.access`; which end counts is `lifecycle.deadline`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from picard_pilot.lifecycle.deadline import counts_late
from picard_pilot.model.site import Activity, Site
from picard_pilot.model.slot import Found, SlotEnd
from picard_pilot.panda.credentials import Credential
from picard_pilot.pilot.access import StorageCredentials
from picard_pilot.system.bearer import Token, TokenUnusable, expires_at
from picard_pilot.system.x509 import NotACertificate, ends_at

ERROR = "NOPROXY"
"""1163: there is no valid token or proxy."""


class Held(NamedTuple):
    """A credential in use: what it is for people, and the token or the certificate's file."""

    what: str
    token: Token | None = None
    certificate: str | None = None


class Expiries:
    """Called now and then with the time (UTC); cheap, since a file is read again only when it has changed."""

    def __init__(self, holders: Callable[[], tuple[Held, ...]], *, renewed: bool) -> None:
        """`holders` gives the credentials in use now; with `renewed`, one in a file counts only when that is late."""
        self._holders = holders
        self._renewed = renewed
        self._certificates: dict[str, tuple[tuple[int, int, int], float | None]] = {}

    def __call__(self, now: float) -> Found:
        """The ends that count at `now`."""
        found = (self._end(held, now) for held in self._holders())
        return Found(ends=tuple(dict.fromkeys(end for end in found if end is not None)))

    def _end(self, held: Held, now: float) -> SlotEnd | None:
        path = held.certificate if held.token is None else held.token.path
        try:
            at = (
                self._token_end(held.token)
                if held.token is not None
                else self._certificate_end(held.certificate)
            )
            changed_at = None if path is None else Path(path).stat().st_mtime
        except OSError:
            return None  # somebody renews it; what was read of it is still in use
        if at is None:
            return None
        evidence = f"{held.what} says so itself"
        if changed_at is not None and self._renewed:
            if not counts_late(now=now, laid_down_at=changed_at, ends_at=at):
                return None
            evidence = f"{held.what} says so itself, and nobody has renewed it in time"
        return SlotEnd(at=at, name=f"the end of {held.what}", evidence=evidence, error=ERROR)

    @staticmethod
    def _token_end(token: Token) -> float | None:
        try:
            return expires_at(token.value())
        except TokenUnusable:
            return None

    def _certificate_end(self, path: str | None) -> float | None:
        if path is None:
            return None
        facts = Path(path).stat()
        stamp = facts.st_ino, facts.st_size, facts.st_mtime_ns
        if self._certificates.get(path, (None,))[0] != stamp:
            try:
                self._certificates[path] = stamp, ends_at(Path(path))
            except NotACertificate:
                self._certificates[path] = stamp, None
        return self._certificates[path][1]


def holders(credential: Credential, storages: StorageCredentials, site: Site) -> tuple[Held, ...]:
    """The server's credential, and the storages' where the queue writes to one that is not a mounted file system."""
    held = [
        Held("the token for the server", credential.token),
        Held("the certificate or proxy for the server", None, credential.certificate),
    ]
    if _asks_for_credentials(site):
        token, certificate = storages.held()
        held += [
            Held("the token for storages", token),
            Held("the certificate or proxy for storages", None, certificate if token is None else None),
        ]
    return tuple(one for one in held if one.token is not None or one.certificate is not None)


def _asks_for_credentials(site: Site) -> bool:
    names = {name for use in (Activity.WRITE, Activity.LOG) for name in site.queue.endpoints_for(use)[1]}
    written = (site.endpoints[name] for name in names if name in site.endpoints)
    return any(way.scheme != "file" for endpoint in written for way in endpoint.protocols)
