"""The XRootD client library as a mover meets it: time limits, requests that end, answers that become failures.

Which requests make a transfer is `movers.xrootd`; what a code means is `movers.codes`.
"""

import errno
import importlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from picard_pilot.model.transfer import FailureClass, Remedy, StorageAccess, TransferError, TransferFailure
from picard_pilot.movers import codes
from picard_pilot.movers.refusals import NO_SERVERS, NOTHING_SHOWN, PAUSES_S, shown, worn_out
from picard_pilot.movers.xrootd_address import Address

client: Any = importlib.import_module("XRootD.client")
"""The library. It has no types, and it is loaded when the first address of its schemes comes (about 25 ms)."""
flags: Any = importlib.import_module("XRootD.client.flags")

REQUEST_LIMIT_S = 30
"""One request, the library's own would be half an hour. A megabyte takes two seconds on the slowest healthy way."""

ENVIRONMENT = {
    "ConnectionWindow": 5,
    "ConnectionRetry": 2,
    "RequestTimeout": REQUEST_LIMIT_S,
    "StreamTimeout": REQUEST_LIMIT_S,
    "TimeoutResolution": 1,
    "StreamErrorWindow": 1,
}
"""The library's settings in seconds (and tries). Its own are made for people who wait: two minutes times five for a
connection, limits that are looked at every 15 s, and half an hour during which a server that failed once is not
called again, which the pilot decides better. Variables `XRD_...` of the environment win over these."""

PATIENCE_LIMITS = 3
"""After so many times its limit a request is given up even if the library never answers."""

BEAT_S = 10.0
"""How often a long wait shows that it is alive; a silent minute ends the worker."""

NO_SERVERS_PAUSE_S = 10.0
"""A redirector tells who asks too early to come back after this time."""
LOOK_AGAIN_LIMIT_S = 8
"""A redirector gives its servers five seconds to say that they have a file."""

ERROR_RESPONSE = 400
"""The library's code for an answer of the server; its number then is the status' errno."""
MISSING = 3011
EXISTS = 3018
CHECKSUM_BROKE = (3012, 3013)
"""A server that cannot compute the checksum: at this moment, or at all."""

CA_PLACES = ("/etc/grid-security/certificates", "/etc/ssl/certs")

_setting_up = threading.Lock()
_introduced: StorageAccess | None = None
_told: set[str] = set()
"""The variables that we set: what has gone is taken back."""


def set_up() -> None:
    """The time limits, before the first request."""
    for name, value in ENVIRONMENT.items():
        client.EnvPutInt(name, value)


def request_limit_s() -> int:
    """How long a request may take in this process."""
    return int(client.EnvGetInt("RequestTimeout") or REQUEST_LIMIT_S)


def introduce(access: StorageAccess) -> None:
    """Whom to trust and the client certificate: the library takes both from variables, so they hold for the process.

    The trusted authorities are read once, at the first connection with TLS.
    """
    global _introduced
    if access == _introduced:
        return
    wanted = {
        "X509_CERT_DIR": access.ca_dir,
        "X509_CERT_FILE": access.ca_file,
        "X509_USER_PROXY": access.certificate if access.key is None else None,
        "X509_USER_CERT": access.certificate if access.key is not None else None,
        "X509_USER_KEY": access.key,
    }
    with _setting_up:
        for name, value in wanted.items():
            if value is not None and os.environ.get(name) != value:
                os.environ[name] = value
                _told.add(name)
            elif value is None and name in _told:
                del os.environ[name]
                _told.remove(name)
        if not os.environ.get("X509_CERT_DIR") and not os.environ.get("X509_CERT_FILE"):
            _trust_the_system()
        _introduced = access


def _trust_the_system() -> None:
    import ssl  # where the system's authorities are is known to it, and nothing else here needs it

    found = next((place for place in CA_PLACES if Path(place).is_dir()), None)
    if found is not None:
        os.environ["X509_CERT_DIR"] = found
    elif bundle := ssl.get_default_verify_paths().cafile:
        os.environ["X509_CERT_FILE"] = bundle


class _Closed:
    """The status of a request that was not sent, since its file is no longer open."""

    ok = False
    code = 104
    errno = 0
    message = "the connection was lost"


CLOSED = _Closed()


class Pending:
    """A request under way. It is the library's callback too, which must never raise: the interpreter would die.

    `kept` is what the library reads from until the answer is there.
    """

    def __init__(self, kept: bytes | None = None) -> None:
        self._kept = kept
        self._under_way = threading.Lock()
        self._under_way.acquire()
        self.status: Any = None
        self.response: Any = None

    def __call__(self, status: Any, response: Any, _hosts: Any) -> None:
        self.status, self.response = status, response
        self._under_way.release()

    def wait(self, limit_s: float | None = None, alive: Callable[[int], None] | None = None) -> Any:
        """The status of the answer, or None where the library forgot it; `alive` is told that we still wait.

        `limit_s` is the request's own limit, where it had one.
        """
        deadline = time.monotonic() + PATIENCE_LIMITS * (limit_s or request_limit_s())
        while not self._under_way.acquire(timeout=BEAT_S):
            if time.monotonic() > deadline:
                return None
            if alive is not None:
                alive(0)
        self._under_way.release()
        return self.status


def start(
    call: Callable[..., Any], *arguments: object, limit_s: int = 0, kept: bytes | None = None
) -> Pending:
    """Send a request without waiting for its answer. Without a limit of its own it has that of all requests."""
    pending = Pending(kept)
    try:
        refused = call(*arguments, timeout=limit_s, callback=pending)
    except ValueError:  # an earlier request lost the connection, and the library has closed the file
        refused = CLOSED
    if not refused.ok:  # then no answer will come
        pending(refused, None, None)
    return pending


def server_said(status: Any, *numbers: int) -> bool:
    """Whether the server answered with one of these error numbers."""
    return status is not None and status.code == ERROR_RESPONSE and status.errno in numbers


def no_servers(status: Any) -> bool:
    """Whether a redirector knows of no server with the file at the moment."""
    return server_said(status, MISSING) and NO_SERVERS in status.message


def found_again(address: Address) -> bool:
    """Make a redirector ask its servers for the file; it remembers for long what it did not find, and is not told
    of a file that was renamed."""
    again = client.FileSystem(address.server)
    status, _ = again.locate(address.asked_for(), flags.OpenFlags.REFRESH, timeout=LOOK_AGAIN_LIMIT_S)
    return bool(status.ok)


def failure(status: Any, address: Address, *, doing: str, storing: bool = False) -> TransferError:
    """The classified failure of a request about `address` that ended with this status (None: with no answer)."""
    host = address.host
    if status is None:
        return _failed(
            address,
            FailureClass.TIMEOUT,
            Remedy.BENCH,
            f"{doing} at {host}: the client library gave no answer at all",
        )
    protocol, number = (
        ("xrootd server", status.errno) if status.code == ERROR_RESPONSE else ("xrootd", status.code)
    )
    row = codes.find(protocol, number, storing=storing)
    kind, remedy = (row.kind, row.remedy) if row else (FailureClass.TRANSFER, Remedy.BENCH)
    if no_servers(status):
        remedy = Remedy.LATER
    words = _words(status)
    says = f"{doing} at {host}: {row.means} ({words})" if row and words else f"{doing} at {host}: {words}"
    if kind is FailureClass.AUTH:
        remedy, credential = _credential(address.access, remedy)
        says = f"{says}; {credential}"
    exists = server_said(status, EXISTS)
    return _failed(
        address,
        kind,
        remedy,
        says,
        code=f"xrootd {status.code}/{status.errno}" if status.errno else f"xrootd {status.code}",
        number=errno.EEXIST if exists else None,
        fault="FILEEXISTS" if exists else None,
    )


def _credential(access: StorageAccess, remedy: Remedy) -> tuple[Remedy, str]:
    """What can help after a refusal, and what was shown: XRootD says the same of a token that has expired, of none,
    and of a missing permission."""
    if (over := worn_out(access, time.time())) is not None:
        return Remedy.RENEW, over
    credential = shown(access)
    return remedy, NOTHING_SHOWN if credential is None else f"{credential} was shown"


def _failed(
    address: Address,
    kind: FailureClass,
    remedy: Remedy,
    says: str,
    *,
    code: str | None = None,
    number: int | None = None,
    fault: str | None = None,
) -> TransferError:
    return TransferError(
        TransferFailure(
            kind=kind,
            says=address.redacted(says),
            remedy=remedy,
            code=code,
            surl=address.surl.partition("?")[0],
            errno=number,
            retry_after_s=NO_SERVERS_PAUSE_S if remedy is Remedy.LATER else PAUSES_S.get(remedy),
            fault=fault,
        )
    )


def _words(status: Any) -> str:
    """What the server or the library said, without the library's own frame around it."""
    text = str(status.message).replace("\0", "")
    for frame in ("[ERROR] ", "[FATAL] ", "Server responded with an error: "):
        text = text.removeprefix(frame)
    return " ".join(text.split())
