"""A catalogue for tests: it writes down which files it was told about, in a file `book` in the storage's folder."""

from pathlib import Path
from typing import ClassVar

from picard_pilot.model.transfer import (
    FailureClass,
    Replicas,
    ReplicasRequest,
    StoreRequest,
    TransferError,
    TransferFailure,
    Transferred,
)
from picard_pilot.movers.base import Progress
from picard_pilot.movers.local import LocalMover


class Notary(LocalMover):
    """Refuses while there is a file `closed` beside the stored one."""

    api: ClassVar[int] = 1
    name: ClassVar[str] = "notary"
    schemes: ClassVar[tuple[str, ...]] = ()
    is_catalogue: ClassVar[bool] = True

    def replicas(self, request: ReplicasRequest) -> Replicas:
        """It is asked only whether it is there."""
        assert not request.dids
        return Replicas(files=(), catalogue=self.name)

    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """It moves no byte."""
        raise NotImplementedError

    def register(self, request: StoreRequest, stored: Transferred) -> None:
        """Write the name, the place and the GUID down."""
        folder = Path(request.surl.removeprefix("file://")).parent
        if (folder / "closed").exists():
            raise TransferError(
                TransferFailure(kind=FailureClass.REGISTER, says="the book is closed", surl=request.surl)
            )
        with (folder / "book").open("a") as book:
            book.write(f"{request.lfn} {stored.size_bytes} {request.guid}\n")
