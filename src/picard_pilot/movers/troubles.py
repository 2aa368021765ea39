"""From the operating system's error numbers to classified failures, for everything that moves through files.

One table for all movers that read or write a local path; protocol codes belong to their movers.
"""

import errno

from picard_pilot.model.transfer import FailureClass, Side, TransferError, TransferFailure

AGAIN_S = 0.0
"""The same may be tried again, and the storage has not said when: after which pause is the pilot's policy."""

BY_ERRNO: dict[int, tuple[FailureClass, float | None]] = {
    errno.ENOENT: (FailureClass.MISSING, None),
    errno.ENOTDIR: (FailureClass.MISSING, None),
    errno.EACCES: (FailureClass.AUTH, None),
    errno.EPERM: (FailureClass.AUTH, None),
    errno.EROFS: (FailureClass.AUTH, None),
    errno.ENOSPC: (FailureClass.SPACE, None),
    errno.EDQUOT: (FailureClass.SPACE, None),
    errno.EFBIG: (FailureClass.SPACE, None),
    errno.EEXIST: (FailureClass.SPECIFICATION, None),
    errno.EISDIR: (FailureClass.SPECIFICATION, None),
    errno.ELOOP: (FailureClass.SPECIFICATION, None),
    errno.EINVAL: (FailureClass.SPECIFICATION, None),
    errno.ENAMETOOLONG: (FailureClass.SPECIFICATION, None),
    errno.ETIMEDOUT: (FailureClass.TIMEOUT, AGAIN_S),
    errno.ENOTCONN: (FailureClass.CONTACT, AGAIN_S),
    errno.EHOSTDOWN: (FailureClass.CONTACT, AGAIN_S),
    errno.EHOSTUNREACH: (FailureClass.CONTACT, AGAIN_S),
    errno.ESTALE: (FailureClass.CONTACT, AGAIN_S),
}
"""Error number: class, and after how many seconds the same may be tried again (None: never).

What is not listed (EIO first of all) is `transfer` and may be tried again at once.
"""


def classified(error: OSError, *, doing: str, surl: str, side: Side) -> TransferError:
    """The failure for an error of the operating system while `doing` something, with its number kept."""
    kind, retry_after_s = BY_ERRNO.get(error.errno or 0, (FailureClass.TRANSFER, 0.0))
    return TransferError(
        TransferFailure(
            kind=kind,
            says=f"{doing}: {error.strerror or error}",
            side=side,
            surl=surl,
            errno=error.errno,
            retry_after_s=retry_after_s,
        )
    )


class Blaming:
    """A context in which an OSError becomes a classified failure of one side.

    A class rather than a generator, since copying enters it twice per block.
    """

    def __init__(self, doing: str, surl: str, side: Side) -> None:
        self._doing = doing
        self._surl = surl
        self._side = side

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        if isinstance(error, OSError):
            raise classified(error, doing=self._doing, surl=self._surl, side=self._side) from error
