"""Movers for tests of direct access and replica lookup; named to the worker by their import path."""

import errno
import zlib
from pathlib import Path
from typing import ClassVar

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    FileReplicas,
    Opened,
    OpenRequest,
    Replica,
    Replicas,
    ReplicasRequest,
    Side,
    TransferError,
    TransferFailure,
    Transferred,
)
from picard_pilot.movers.base import Progress
from picard_pilot.movers.local import LocalMover


class Closed(LocalMover):
    """Its storage lets nobody open a file, only fetch it."""

    api: ClassVar[int] = 1

    def open_check(self, request: OpenRequest) -> Opened:
        """Refuse."""
        raise TransferError(
            TransferFailure(kind=FailureClass.AUTH, says=f"{request.lfn} may not be opened from here")
        )


class FullDisk(LocalMover):
    """Its node's disk is full."""

    api: ClassVar[int] = 1

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Find no room."""
        raise TransferError(
            TransferFailure(
                kind=FailureClass.SPACE,
                says=f"writing {request.lfn} on the node: No space left on device",
                side=Side.NODE,
                errno=errno.ENOSPC,
            )
        )


class Catalogue(LocalMover):
    """A catalogue that knows one replica for every file: the one whose path or address
    the file `catalogue` of storage B holds.

    It counts beside it how often it was asked.
    """

    api: ClassVar[int] = 1
    name: ClassVar[str] = "testing catalogue"
    schemes: ClassVar[tuple[str, ...]] = ()
    is_catalogue: ClassVar[bool] = True

    def replicas(self, request: ReplicasRequest) -> Replicas:
        """What is written there; without the file it is out of order."""
        folder = Path(request.context.environment["STORAGE_B"])
        try:
            said = (folder / "catalogue").read_text()
        except FileNotFoundError:
            raise TransferError(
                TransferFailure(kind=FailureClass.CONTACT, says="the catalogue is out of order")
            ) from None
        with (folder / "asked").open("a") as asked:
            asked.write("x")
        path = Path(said)
        content = path.read_bytes() if path.exists() else b""
        checksum = Checksum(ChecksumKind.ADLER32, f"{zlib.adler32(content):08x}")
        return Replicas(
            files=tuple(
                FileReplicas(
                    scope=did.scope,
                    lfn=did.lfn,
                    replicas=(Replica(surl=said if "://" in said else f"file://{said}", rse="B"),),
                    size_bytes=len(content),
                    checksum=checksum,
                )
                for did in request.dids
            ),
            catalogue=self.name,
        )
