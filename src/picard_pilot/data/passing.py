"""Whether it can help an output to wait: which failures of a stage-out can pass by themselves.

How long waiting makes sense is `lifecycle.holding`; what is done about a single failure is `data.policy`.
"""

from collections.abc import Sequence

from picard_pilot.data.policy import remedy_of
from picard_pilot.model.transfer import FailureClass, Remedy, Side, TransferFailure

EXISTS = "FILEEXISTS"
"""The catalogue's name for another file at the target."""

PASS_BY_THEMSELVES = frozenset(
    {
        FailureClass.CONTACT,
        FailureClass.TIMEOUT,
        FailureClass.TRANSFER,
        FailureClass.SPACE,
        FailureClass.REGISTER,
    }
)
"""What storages and catalogues recover from; space is made by people and by clean-up programs within hours."""

MENDED_BY_WAITING = frozenset({Remedy.BENCH, Remedy.LATER, Remedy.RENEW})


def can_pass(failures: Sequence[TransferFailure]) -> bool:
    """Whether one of the failures of a walk, in their order, is worth waiting for."""
    if failures and (failures[-1].fault == EXISTS or remedy_of(failures[-1]) is Remedy.STOP):
        return _passes(failures[-1])
    return any(map(_passes, failures))


def _passes(failure: TransferFailure) -> bool:
    if failure.fault == EXISTS:
        return False
    if failure.side is Side.NODE:
        # Without an error number it was the transfer's program that broke down, not the file or the disk.
        return failure.kind is FailureClass.TRANSFER and failure.errno is None
    if failure.remedy is Remedy.STOP:
        return False
    return failure.kind in PASS_BY_THEMSELVES or remedy_of(failure) in MENDED_BY_WAITING
