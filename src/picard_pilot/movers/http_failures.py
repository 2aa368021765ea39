"""From what a storage answered by http, or did not answer, to a classified failure with its evidence.

The codes are `movers.codes`; the pilot's own HTTP client (`system.http`) has nothing to do with it.
"""

import time
from email.utils import parsedate_to_datetime

from picard_pilot.model.transfer import FailureClass as Kind
from picard_pilot.model.transfer import Remedy, Side, TransferError, TransferFailure
from picard_pilot.movers import codes
from picard_pilot.movers.http_address import HttpAddress
from picard_pilot.movers.refusals import NO_SERVERS, NOTHING_SHOWN, PAUSES_S, shown, utc, worn_out
from picard_pilot.system.http_trip import Answer, TransferTrouble

TROUBLES: dict[str, tuple[Kind, Remedy, str]] = {
    "resolve": (Kind.RESOLVE, Remedy.BENCH, "the host has no address"),
    "refused": (Kind.CONTACT, Remedy.BENCH, "nobody listens there"),
    "unreachable": (Kind.CONTACT, Remedy.BENCH, "the host cannot be reached"),
    "tls": (Kind.CONTACT, Remedy.BENCH, "no trusted connection"),
    "proxy": (Kind.CONTACT, Remedy.BENCH, "the way through the proxy failed"),
    "timeout": (Kind.TIMEOUT, Remedy.BENCH, "no byte came in time"),
    "reset": (Kind.TRANSFER, Remedy.BENCH, "the connection was cut"),
    "truncated": (Kind.TRANSFER, Remedy.BENCH, "the file ended before its announced end"),
    "protocol": (Kind.TRANSFER, Remedy.BENCH, "the answer is no HTTP"),
    "changed": (Kind.TRANSFER, Remedy.REPEAT, "the file was replaced while it was read"),
    "redirect": (Kind.SPECIFICATION, Remedy.NEXT, "its redirects lead nowhere"),
    "credential": (Kind.AUTH, Remedy.RENEW, "our certificate cannot be used"),
    "request": (Kind.SPECIFICATION, Remedy.MISTAKE, "the request cannot be sent"),
}
"""The words of `system.http_transfer` for what is no answer: class, remedy, meaning."""

LONGEST_RETRY_AFTER_S = 86400.0
"""A day: what a storage asks for beyond that is a slip."""


def no_answer(trouble: TransferTrouble, address: HttpAddress, *, doing: str) -> TransferError:
    """The failure where no usable answer came."""
    kind, remedy, means = TROUBLES.get(trouble.trouble, TROUBLES["protocol"])
    side = Side.NODE if trouble.trouble == "credential" else Side.STORAGE
    if trouble.trouble == "tls" and "alert" in trouble.evidence and "certificate" in trouble.evidence:
        kind, remedy, means = Kind.AUTH, Remedy.RENEW, "our certificate was refused"
    elsewhere = "" if trouble.origin == address.origin else f" (sent on to {trouble.origin})"
    reached = f" after {trouble.reached_bytes} bytes" if trouble.reached_bytes else ""
    return failed(
        address,
        kind,
        remedy,
        f"{doing} at {address.host}{elsewhere}: {means}{reached} ({trouble.evidence})",
        code=f"http {trouble.trouble}",
        side=side,
    )


def refused(
    answer: Answer, address: HttpAddress, *, doing: str, storing: bool = False, now: float | None = None
) -> TransferError:
    """The failure for an answer that is not what was asked for. `now` in seconds since 1970; None: the present."""
    now = time.time() if now is None else now
    row = codes.find("http", answer.status, storing=storing)
    if row is not None:
        kind, remedy, means = row.kind, row.remedy, row.means
    elif answer.status >= 500 or answer.status < 400:
        kind, remedy, means = Kind.TRANSFER, Remedy.BENCH, "an unexpected answer"
    else:
        kind, remedy, means = Kind.SPECIFICATION, Remedy.NEXT, "the request is refused"
    if answer.status == 404 and NO_SERVERS in answer.says:
        remedy = Remedy.LATER
    if answer.status in (401, 403):
        remedy, means = _credentials(answer.status, address, now)
    words = f"http {answer.status}: {answer.says}" if answer.says else f"http {answer.status}"
    return failed(
        address,
        kind,
        remedy,
        f"{doing} at {address.host}: {means} ({words})",
        code=f"http {answer.status}",
        retry_after_s=_retry_after(answer, now) if remedy is Remedy.BENCH else None,
    )


def failed(
    address: HttpAddress,
    kind: Kind,
    remedy: Remedy,
    says: str,
    *,
    code: str | None = None,
    side: Side = Side.STORAGE,
    errno: int | None = None,
    fault: str | None = None,
    retry_after_s: float | None = None,
) -> TransferError:
    """A failure about this address, which it shows without its query."""
    return TransferError(
        TransferFailure(
            kind=kind,
            says=says,
            side=side,
            remedy=remedy,
            code=code,
            surl=address.shown,
            errno=errno,
            fault=fault,
            retry_after_s=PAUSES_S.get(remedy) if retry_after_s is None else retry_after_s,
        )
    )


def _credentials(status: int, address: HttpAddress, now: float) -> tuple[Remedy, str]:
    """Whether the credential is worn out or the permission is missing: by the credential's own word."""
    if address.is_signed:
        if address.signed_until is not None and address.signed_until <= now:
            return Remedy.RENEW, f"the presigned address expired at {utc(address.signed_until)}"
        return Remedy.NEXT, "the presigned address does not permit it"
    if (over := worn_out(address.access, now)) is not None:
        return Remedy.RENEW, over
    credential = shown(address.access)
    if credential is None:
        return Remedy.RENEW, NOTHING_SHOWN
    if status == 401:
        return Remedy.RENEW, f"{credential} was not accepted"
    return Remedy.NEXT, f"{credential} does not permit it"


def _retry_after(answer: Answer, now: float) -> float | None:
    """RFC 9110 10.2.3: seconds or a date."""
    said = answer.headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return min(float(said), LONGEST_RETRY_AFTER_S)
    try:
        return min(max(parsedate_to_datetime(said).timestamp() - now, 0.0), LONGEST_RETRY_AFTER_S)
    except (ValueError, OverflowError):
        return None
