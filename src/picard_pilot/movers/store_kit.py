"""What every mover that asks its storage says when another file stands at the destination, or not the one it stored.

How a storage is asked is the mover's own.
"""

import errno
from collections.abc import Callable

from picard_pilot.model.files import Checksum
from picard_pilot.model.transfer import FailureClass, Remedy, TransferError, TransferFailure
from picard_pilot.movers.call import Call, Reading


def another_file_stands(
    lfn: str, surl: str, *, there_bytes: int | None, here_bytes: int | None
) -> TransferError:
    """Another content is never overwritten."""
    there = "of unknown size" if there_bytes is None else f"{there_bytes} bytes"
    return TransferError(
        TransferFailure(
            kind=FailureClass.SPECIFICATION,
            says=f"another file stands where {lfn} should be stored "
            f"({there} there, {here_bytes} bytes here); it was not overwritten",
            remedy=Remedy.NEXT,
            surl=surl,
            errno=errno.EEXIST,
            fault="FILEEXISTS",
        )
    )


def must_be_stored(call: Call, there: Reading, checksum: Callable[[], Checksum | None]) -> None:
    """Refuse a store whose file is not there, or not the one that was sent.

    `checksum` asks for what the storage holds; None from it, and nothing more can be known.
    """
    if not there.exists:
        raise _differs(
            call, "is not on the storage, although it was said to be stored", FailureClass.TRANSFER
        )
    if there.size_bytes is not None and there.size_bytes != call.size_bytes:
        raise _differs(call, f"has {there.size_bytes} bytes on the storage and {call.size_bytes} on the node")
    found = checksum()
    if found is not None and found != call.checksum:
        here = call.checksum.value if call.checksum is not None else "unknown"
        raise _differs(call, f"has {found.kind} {found.value} on the storage and {here} on the node")


def _differs(call: Call, says: str, kind: FailureClass = FailureClass.CHECKSUM) -> TransferError:
    return TransferError(
        TransferFailure(
            kind=kind, says=f"{call.lfn} {says}", surl=call.surl, retry_after_s=0.0, remedy=Remedy.REPEAT
        )
    )
