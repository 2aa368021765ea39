"""What the movers of grid storages share in telling of a refusal: which credential was shown, and when to come back.

What a code of one protocol means is `movers.codes`; the failure itself is made by the mover.
"""

import time

from picard_pilot.model.transfer import Remedy, StorageAccess
from picard_pilot.movers.troubles import AGAIN_S
from picard_pilot.system.bearer import expires_at, has_expired

NO_SERVERS = "No servers are available"
"""The words of XRootD's redirector for a file that no server offered at the moment; it also remembers for a while that
none did. Storages that are redirectors only by their protocol (EOS) say "no such file" by the same number, and know."""

PAUSES_S = {Remedy.REPEAT: 0.0, Remedy.RENEW: 0.0, Remedy.BENCH: AGAIN_S}
"""After how many seconds the same request may succeed; with any other remedy it never will."""

NOTHING_SHOWN = "neither a token nor a certificate was there to show"


def worn_out(access: StorageAccess, now: float) -> str | None:
    """What to say of a token that is out of date by its own word; None of any other, and where there is none."""
    if access.token is None or not has_expired(access.token, now):
        return None
    return f"{_named(access)} expired at {utc(expires_at(access.token) or now)}"


def shown(access: StorageAccess) -> str | None:
    """The credential that requests carry, for people; None where there is none."""
    if access.token is not None:
        end = expires_at(access.token)
        return _named(access) + (f" (valid until {utc(end)})" if end is not None else "")
    return None if access.certificate is None else f"the certificate {access.certificate}"


def utc(seconds: float) -> str:
    """A moment for people; what an address or a token says may be none."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s since 1970"


def _named(access: StorageAccess) -> str:
    return f"the token from {access.token_source}" if access.token_source else "the token"
