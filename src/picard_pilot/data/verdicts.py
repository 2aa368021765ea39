"""From failed transfers to the catalogue's names: one table per direction.

Making the fault itself is `diagnosis.faults`; what a failure's class means for a retry is `data.policy`.
"""

from collections.abc import Sequence

from picard_pilot.data.policy import remedy_of
from picard_pilot.model.files import ChecksumKind
from picard_pilot.model.transfer import FailureClass, Remedy, Side, TransferFailure

ANY_STAGEIN = "STAGEINFAILED"
ANY_STAGEOUT = "STAGEOUTFAILED"

CREDENTIAL = "CERTIFICATEHASEXPIRED"
"""The credential has run out, whatever it was: the name is older than tokens."""

STAGEIN: dict[tuple[FailureClass, Side], str] = {
    (FailureClass.MISSING, Side.STORAGE): "MISSINGINPUTFILE",
    (FailureClass.AUTH, Side.STORAGE): "STAGEINAUTHENTICATIONFAILURE",
    (FailureClass.TIMEOUT, Side.STORAGE): "STAGEINTIMEOUT",
    (FailureClass.SPACE, Side.NODE): "NOLOCALSPACE",
    (FailureClass.AUTH, Side.NODE): "FILEHANDLINGFAILURE",
    (FailureClass.MISSING, Side.NODE): "FILEHANDLINGFAILURE",
}

STAGEOUT: dict[tuple[FailureClass, Side], str] = {
    (FailureClass.AUTH, Side.STORAGE): "STAGEOUTAUTHENTICATIONFAILURE",
    (FailureClass.TIMEOUT, Side.STORAGE): "STAGEOUTTIMEOUT",
    (FailureClass.SPACE, Side.STORAGE): "NOREMOTESPACE",
    (FailureClass.SPACE, Side.NODE): "NOLOCALSPACE",
    (FailureClass.MISSING, Side.NODE): "MISSINGOUTPUTFILE",
    (FailureClass.AUTH, Side.NODE): "FILEHANDLINGFAILURE",
}


def stagein_fault(failures: Sequence[TransferFailure], kind: ChecksumKind) -> str:
    """The name for an input that none of its sources gave; `failures` in the order of the attempts.

    Of each place the last failure counts, of those the telling ones; the general name where they say different
    things.
    """
    mismatch = "GETMD5MISMATCH" if kind is ChecksumKind.MD5 else "GETADMISMATCH"
    names = [_one(failure, STAGEIN, mismatch, ANY_STAGEIN) for failure in _telling(failures)]
    return _common(names, ANY_STAGEIN)


def stageout_fault(failures: Sequence[TransferFailure], kind: ChecksumKind) -> str:
    """The name for an output that none of its destinations took, in the same way."""
    mismatch = "PUTMD5MISMATCH" if kind is ChecksumKind.MD5 else "PUTADMISMATCH"
    names = [_one(failure, STAGEOUT, mismatch, ANY_STAGEOUT) for failure in _telling(failures)]
    return _common(names, ANY_STAGEOUT)


def _telling(failures: Sequence[TransferFailure]) -> list[TransferFailure]:
    """The last failure of each place; a request that a door did not understand tells nothing beside others."""
    last: dict[str | int, TransferFailure] = {}
    for number, failure in enumerate(failures):
        place = failure.surl or number
        last.pop(place, None)
        last[place] = failure
    told = [failure for failure in last.values() if remedy_of(failure) is not Remedy.MISTAKE]
    return told or list(last.values())


def _one(
    failure: TransferFailure, table: dict[tuple[FailureClass, Side], str], mismatch: str, general: str
) -> str:
    from picard_pilot.diagnosis.catalogue.codes import BY_NAME

    if failure.fault in BY_NAME:  # a mover of another package may name one that nobody knows
        return failure.fault
    if failure.kind is FailureClass.CHECKSUM:
        return mismatch
    if failure.kind is FailureClass.AUTH and remedy_of(failure) is Remedy.RENEW:
        return CREDENTIAL
    return table.get((failure.kind, failure.side), general)


def _common(names: Sequence[str], general: str) -> str:
    """A failure of the node ends the walk and is last: it decides. Else one name, if all agree on it."""
    if names and names[-1] in ("NOLOCALSPACE", "FILEHANDLINGFAILURE"):
        return names[-1]
    return names[0] if names and set(names) == {names[0]} else general
