"""Movers that tell all they know when they fail."""

import os
from typing import ClassVar

from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    TransferError,
    TransferFailure,
    Transferred,
)
from picard_pilot.movers.base import Progress
from picard_pilot.movers.local import LocalMover


def all_of(request: FetchRequest) -> str:
    """What it was given, whole and in pieces."""
    token, query = request.context.access.token or "", request.surl.partition("?")[2]
    return (
        f"{request.surl} {token} {token[:60]} {token[-60:]} {query} {query.rpartition('=')[2]} {query[-50:]}"
    )


class Raising(LocalMover):
    """Raises an error of its own."""

    api: ClassVar[int] = 1
    name: ClassVar[str] = "raising"
    schemes: ClassVar[tuple[str, ...]] = ("site",)

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Fail."""
        raise RuntimeError(all_of(request))


class Failing(Raising):
    """Classifies its failure."""

    name: ClassVar[str] = "failing"

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Fail."""
        said = all_of(request)
        raise TransferError(
            TransferFailure(kind=FailureClass.MISSING, says=said, code=said, surl=request.surl)
        )


class Dying(Raising):
    """Takes the whole worker with it."""

    name: ClassVar[str] = "dying"

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Die."""
        os._exit(3)
