"""One question to the queue's catalogue per job: where the replicas of its inputs are.

The catalogue itself is a mover; what follows from its answer for one file is `data.sources`.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.files import FileSpec
from picard_pilot.model.transfer import Did, FileReplicas, ReplicasRequest, TransferContext, TransferFailure


class Lookup:
    """Asks when it is first needed, and once. A catalogue that fails is not the end: paths can be computed."""

    def __init__(
        self,
        worker: TransferWorker,
        files: Sequence[FileSpec],
        movers: tuple[str, ...],
        context: TransferContext,
    ) -> None:
        """`files` are all that are asked for together; `movers` the queue's for reading (none: nobody is asked)."""
        self._worker = worker
        self._dids = tuple(Did(scope=file.scope, lfn=file.lfn) for file in files if file.scope)
        self._movers = movers
        self._context = context
        self._asking = asyncio.Lock()
        self._known: dict[str, FileReplicas] | None = None
        self.decisions: list[str] = []
        """What came of it, in sentences; filled once it was asked."""

    async def ask(self) -> None:
        """Ask, unless that has been done or there is nobody to ask. May be called any number of times."""
        async with self._asking:
            if self._known is None:
                self._known = await self._answer() if self._dids and self._movers else {}

    def of(self, file: FileSpec) -> FileReplicas | None:
        """What the catalogue says of a file; None where it does not know it, or was not asked (yet)."""
        return (self._known or {}).get(file.lfn)

    async def _answer(self) -> dict[str, FileReplicas]:
        request = ReplicasRequest(dids=self._dids, movers=self._movers, context=self._context)
        answer = await self._worker.replicas(request)
        if isinstance(answer, TransferFailure):
            self.decisions.append(
                f"the replica catalogue did not answer ({answer.kind}: {answer.says}); "
                "paths are computed from the endpoints' rules"
            )
            return {}
        scopes = {did.lfn: did.scope for did in self._dids}
        known = {file.lfn: file for file in answer.files if scopes.get(file.lfn) == file.scope}
        if answer.catalogue:
            self.decisions.append(
                f"the catalogue {answer.catalogue} knows {len(known)} of {len(self._dids)} inputs"
            )
        return known


def completed(file: FileSpec, found: FileReplicas | None) -> tuple[FileSpec, tuple[str, ...]]:
    """The file with the size and checksum that the job did not say, and what is to be said about differences.

    What the job says is never replaced: it is what its task was made for.
    """
    if found is None:
        return file, ()
    says: list[str] = []
    size_bytes, checksum = file.size_bytes, file.checksum
    if size_bytes is None:
        size_bytes = found.size_bytes
    elif found.size_bytes is not None and found.size_bytes != size_bytes:
        says.append(
            f"{file.lfn}: the job says {size_bytes} bytes, the catalogue {found.size_bytes}; the job's counts"
        )
    if checksum is None:
        checksum = found.checksum
    elif (
        found.checksum is not None
        and found.checksum.kind is checksum.kind
        and found.checksum.value != checksum.value
    ):
        says.append(
            f"{file.lfn}: the job says {checksum.kind} {checksum.value}, the catalogue {found.checksum.value}; "
            "the job's counts"
        )
    if (size_bytes, checksum) == (file.size_bytes, file.checksum):
        return file, tuple(says)
    return msgspec.structs.replace(file, size_bytes=size_bytes, checksum=checksum), tuple(says)
