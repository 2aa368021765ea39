"""From the exceptions of `rucio-clients` to classified failures: one table, by class.

What the catalogue is asked and told is `movers.rucio`.
"""

import configparser

from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import RequestException, Timeout
from rucio.common import exception as rucio

from picard_pilot.model.transfer import (
    FailureClass,
    Remedy,
    Side,
    TransferError,
    TransferFailure,
)
from picard_pilot.movers.troubles import AGAIN_S

NOT_RUCIO = (RequestException, OSError, EOFError, ValueError, KeyError, configparser.Error)
"""What else comes out of the library: from its HTTP, its files, a question on a terminal that is not there, an answer
that is no JSON or has other fields, its configuration."""

BY_EXCEPTION: tuple[tuple[tuple[type[BaseException], ...], FailureClass, Remedy], ...] = (
    (
        (
            rucio.CannotAuthenticate,
            rucio.NoAuthInformation,
            rucio.IdentityError,
            rucio.IdentityNotFound,
            EOFError,
        ),
        FailureClass.AUTH,
        Remedy.RENEW,
    ),
    (
        (
            rucio.AccessDenied,
            rucio.AccountNotFound,
            rucio.CannotAuthorize,
            rucio.RSEAccessDenied,
            rucio.ScopeAccessDenied,
        ),
        FailureClass.AUTH,
        Remedy.NEXT,
    ),
    ((Timeout,), FailureClass.TIMEOUT, Remedy.BENCH),
    (
        (
            NoConnection,
            rucio.ServerConnectionException,
            rucio.ServiceUnavailable,
            rucio.ResourceTemporaryUnavailable,
            rucio.DatabaseException,
            RequestException,
        ),
        FailureClass.CONTACT,
        Remedy.BENCH,
    ),
    (
        (
            rucio.ConfigNotFound,
            rucio.ConfigurationError,
            rucio.ConfigLoadingError,
            rucio.MissingClientParameter,
            rucio.MissingModuleException,
            rucio.ClientProtocolNotFound,
            rucio.ClientProtocolNotSupported,
            rucio.ErrorLoadingCredentials,
            configparser.Error,
            OSError,
        ),
        FailureClass.SPECIFICATION,
        Remedy.STOP,
    ),
    ((rucio.RSENotFound, rucio.ScopeNotFound), FailureClass.RESOLVE, Remedy.NEXT),
    ((rucio.DataIdentifierNotFound,), FailureClass.MISSING, Remedy.NEXT),
)
"""The first row that fits counts. Classes below a row's own are meant too, so the order matters: the HTTP library's
exceptions are all OSErrors."""

OF_THE_CATALOGUE = frozenset({FailureClass.AUTH, FailureClass.SPECIFICATION})
"""Classes that stay as they are while registering. All else is `register` then: the storage, which has taken the
file, must not be blamed for a catalogue that does not answer."""

LOCAL = frozenset({FailureClass.SPECIFICATION})


NO_ADDRESS = "NameResolutionError"
"""What the HTTP library's text has in it where a name leads nowhere."""


def classified(
    error: BaseException, *, doing: str, surl: str | None, registering: bool, last_words: str | None = None
) -> TransferError:
    """The failure for an exception of the library while `doing` something; its class is kept as the code.

    `last_words` is the last error that the library logged: it keeps the cause of a lost connection to itself.
    """
    kind, remedy = FailureClass.TRANSFER, Remedy.NEXT
    for classes, its_kind, its_remedy in BY_EXCEPTION:
        if isinstance(error, classes):
            kind, remedy = its_kind, its_remedy
            break
    says = " ".join(str(error).split()) or type(error).__name__
    if kind is FailureClass.CONTACT and last_words:
        says = " ".join(last_words.split())
    if kind is FailureClass.CONTACT and NO_ADDRESS in says:
        kind = FailureClass.RESOLVE
    if registering and kind not in OF_THE_CATALOGUE:
        kind = FailureClass.REGISTER
    return TransferError(
        TransferFailure(
            kind=kind,
            says=f"{doing}: {says}",
            side=Side.NODE if kind in LOCAL else Side.STORAGE,
            remedy=remedy,
            code=f"rucio {type(error).__name__}",
            surl=surl,
            retry_after_s=AGAIN_S if remedy is Remedy.BENCH else None,
        )
    )
