"""A local mover whose storages have bad days: a file `.trouble` in a storage's folder says what is wrong with it.

Its words: `contact` (nobody answers), `space` (full), `auth` (no permission), `late` (takes the file and never says
so: the transfer ends in a time-out). Log archives are taken unless the words `and logs` follow; after `and only logs`
nothing else is refused.
"""

from pathlib import Path
from typing import ClassVar

from picard_pilot.model.transfer import (
    FailureClass,
    StoreRequest,
    TransferError,
    TransferFailure,
    Transferred,
)
from picard_pilot.movers.base import Progress
from picard_pilot.movers.local import LocalMover

TROUBLE = ".trouble"


class Fickle(LocalMover):
    """Refuses while the storage is in trouble, for good: no pauses keep a test waiting."""

    api: ClassVar[int] = 1
    name: ClassVar[str] = "fickle"

    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """Store, unless the storage has a bad day."""
        folder = Path(request.surl.removeprefix("file://")).parent
        words = (folder / TROUBLE).read_text().split() if (folder / TROUBLE).exists() else []
        refused = "logs" in words if request.lfn.startswith("log.") else "only" not in words
        if not words or not refused:
            return super().store(request, progress)
        with (folder / ".tried").open("a") as tried:
            tried.write(f"{request.lfn}\n")
        kind = FailureClass.TIMEOUT if words[0] == "late" else FailureClass(words[0])
        if kind is FailureClass.TIMEOUT:
            super().store(request, progress)
        raise TransferError(
            TransferFailure(
                kind=kind, says=f"{request.lfn}: the storage has trouble ({words[0]})", surl=request.surl
            )
        )
