"""From failed transfers to the catalogue's names and finer classes: one table per direction.

Making the fault itself is `diagnosis.faults`; what a failure's class means for a retry is `data.policy`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from picard_pilot.data.passing import EXISTS
from picard_pilot.data.policy import remedy_of
from picard_pilot.model.files import ChecksumKind
from picard_pilot.model.states import Phase
from picard_pilot.model.transfer import FailureClass, Remedy, Side, TransferFailure

ANY_STAGEIN = "STAGEINFAILED"
ANY_STAGEOUT = "STAGEOUTFAILED"

CREDENTIAL = "CERTIFICATEHASEXPIRED"
"""The credential has run out, whatever it was: the name is older than tokens."""

Table = dict[tuple[FailureClass, Side], str]

ENDS_THE_WALK = frozenset({"NOLOCALSPACE", "FILEHANDLINGFAILURE", EXISTS})
"""After these no other place is tried: the node's own troubles, and a file that must not be there twice."""

STAGEIN: Table = {
    (FailureClass.MISSING, Side.STORAGE): "MISSINGINPUTFILE",
    (FailureClass.AUTH, Side.STORAGE): "STAGEINAUTHENTICATIONFAILURE",
    (FailureClass.TIMEOUT, Side.STORAGE): "STAGEINTIMEOUT",
    (FailureClass.SPACE, Side.NODE): "NOLOCALSPACE",
    (FailureClass.AUTH, Side.NODE): "FILEHANDLINGFAILURE",
    (FailureClass.MISSING, Side.NODE): "FILEHANDLINGFAILURE",
}

STAGEOUT: Table = {
    (FailureClass.AUTH, Side.STORAGE): "STAGEOUTAUTHENTICATIONFAILURE",
    (FailureClass.TIMEOUT, Side.STORAGE): "STAGEOUTTIMEOUT",
    (FailureClass.SPACE, Side.STORAGE): "NOREMOTESPACE",
    (FailureClass.SPACE, Side.NODE): "NOLOCALSPACE",
    (FailureClass.MISSING, Side.NODE): "MISSINGOUTPUTFILE",
    (FailureClass.AUTH, Side.NODE): "FILEHANDLINGFAILURE",
}


class Verdict(NamedTuple):
    """Why a file could not be moved: the catalogue's name, the finer class as `stagein/contact`, and where."""

    name: str
    finer: str | None = None
    endpoint: str | None = None
    """The storage that decided; None where it was the node itself."""


def stagein_verdict(failures: Sequence[TransferFailure], kind: ChecksumKind) -> Verdict:
    """For an input that none of its sources gave; `failures` in the order of the attempts.

    Of each place the last failure counts, of those the telling ones. Where they say different things, the name is the
    general one and the finer class that of the place that was to be preferred.
    """
    mismatch = "GETMD5MISMATCH" if kind is ChecksumKind.MD5 else "GETADMISMATCH"
    return _verdict(Phase.STAGEIN, _telling(failures), STAGEIN, mismatch, ANY_STAGEIN)


def stageout_verdict(failures: Sequence[TransferFailure], kind: ChecksumKind) -> Verdict:
    """For an output that none of its destinations took, in the same way."""
    mismatch = "PUTMD5MISMATCH" if kind is ChecksumKind.MD5 else "PUTADMISMATCH"
    return _verdict(Phase.STAGEOUT, _telling(failures), STAGEOUT, mismatch, ANY_STAGEOUT)


def _verdict(
    phase: Phase, told: Sequence[TransferFailure], table: Table, mismatch: str, general: str
) -> Verdict:
    """What ends the walk is last and decides. Else one name, if all agree on it."""
    if not told:
        return Verdict(general)
    names = [_one(failure, table, mismatch, general) for failure in told]
    decides, name = told[0], names[0]
    if names[-1] in ENDS_THE_WALK:
        decides, name = told[-1], names[-1]
    elif set(names) != {name}:
        name = general
    at = decides.endpoint if decides.side is Side.STORAGE else None
    return Verdict(name, f"{phase}/{decides.kind}", at)


def _telling(failures: Sequence[TransferFailure]) -> list[TransferFailure]:
    """The last failure of each place; a request that a door did not understand tells nothing beside others."""
    last: dict[str | int, TransferFailure] = {}
    for number, failure in enumerate(failures):
        place = failure.surl or number
        last.pop(place, None)
        last[place] = failure
    told = [failure for failure in last.values() if remedy_of(failure) is not Remedy.MISTAKE]
    return told or list(last.values())


def _one(failure: TransferFailure, table: Table, mismatch: str, general: str) -> str:
    from picard_pilot.diagnosis.catalogue.codes import BY_NAME

    if failure.fault in BY_NAME:  # a mover of another package may name one that nobody knows
        return failure.fault
    if failure.kind is FailureClass.CHECKSUM:
        return mismatch
    if failure.kind is FailureClass.AUTH and remedy_of(failure) is Remedy.RENEW:
        return CREDENTIAL
    return table.get((failure.kind, failure.side), general)
