"""What a site mover is: the interface, version 1, with a default for everything that a simple one can leave out.

The movers themselves are the files beside this one; the worker process that runs them is `data.worker_main`.
A mover is made once per worker process and used by several threads at once, so it keeps no state per transfer.
It may block: the pilot watches from outside and kills the process as a whole. It reports failures by raising
`TransferError` with a classified failure; anything else that it raises is blamed on the mover by name.
"""

import abc
import time
from collections.abc import Callable
from typing import ClassVar

from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    FileFacts,
    Opened,
    OpenRequest,
    Removed,
    RemoveRequest,
    Replicas,
    ReplicasRequest,
    StatRequest,
    StoreRequest,
    TransferError,
    TransferFailure,
    Transferred,
)

Progress = Callable[[int], None]
"""Called with the number of bytes that passed since the last call, at least once per few megabytes.

It is how the pilot sees that a transfer lives: without a call for a minute the worker is killed.
"""


class SiteMover(abc.ABC):
    """Moves files between the node and storages that speak one of its `schemes`."""

    name: ClassVar[str]
    api: ClassVar[int] = 1
    """The version of this interface. A mover of another package declares its own; another version is refused."""
    schemes: ClassVar[tuple[str, ...]]

    @abc.abstractmethod
    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Bring a file to `request.target`, which afterwards is complete and verified, or unchanged.

        May be called again for the same target after any failure or crash. Compares size and checksum with the
        request's where it gives them; without them it measures and says what it found.
        """

    @abc.abstractmethod
    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """Put `request.source` at `request.surl`: temporary name, verify, commit.

        May be called again after any failure or crash: the same content already there is success
        (`already there`); another content is a failure with errno EEXIST, and nothing is overwritten. A half file
        never shows under the final name.
        """

    def stat(self, request: StatRequest) -> FileFacts:
        """Whether the file exists, its size, and its checksum where asked for and cheap to have."""
        raise self._cannot("look at", request.surl)

    def remove(self, request: RemoveRequest) -> Removed:
        """Remove the file; that it was not there is no failure."""
        raise self._cannot("remove", request.surl)

    def missing(self) -> str | None:
        """What this node lacks for it, in a few words; None where nothing is known to. Asked before it stands in for a
        mover that does not load; costs no more than a look for a program."""
        return None

    is_catalogue: ClassVar[bool] = False
    """Whether it knows replicas and registers files (`replicas`, `register`), whichever mover moves the bytes."""

    def replicas(self, request: ReplicasRequest) -> Replicas:
        """Where the files of a job are, by one question to the catalogue. A file it does not know is left out."""
        raise self._cannot("look up", request.surl)

    def register(self, request: StoreRequest, stored: Transferred) -> None:  # noqa: B027 - a default, not a duty
        """Tell a catalogue about the stored file. Called after `store`, perhaps twice; by default none is told."""

    def open_check(self, request: OpenRequest) -> Opened:
        """Make sure that a payload can open the file where it is. By default: that it exists with its size."""
        began = time.monotonic()
        found = self.stat(StatRequest(surl=request.surl, context=request.context))
        if not found.exists:
            raise TransferError(
                TransferFailure(
                    kind=FailureClass.MISSING, says=f"{request.lfn} does not exist", surl=request.surl
                )
            )
        if None not in (found.size_bytes, request.size_bytes) and found.size_bytes != request.size_bytes:
            raise TransferError(
                TransferFailure(
                    kind=FailureClass.CHECKSUM,
                    says=f"{request.lfn} has {found.size_bytes} bytes on the storage, "
                    f"its catalogue says {request.size_bytes}",
                    surl=request.surl,
                )
            )
        return Opened(
            surl=request.surl,
            seconds=time.monotonic() - began,
            mover=self.name,
            size_bytes=found.size_bytes,
        )

    def _cannot(self, verb: str, surl: str) -> TransferError:
        return TransferError(
            TransferFailure(
                kind=FailureClass.SPECIFICATION,
                says=f"the mover {self.name} cannot {verb} files ({surl})",
                surl=surl,
            )
        )
