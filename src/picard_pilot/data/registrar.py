"""Telling a catalogue about outputs, apart from storing them: only the copy that counts is ever registered.

Which mover is the catalogue is known in the transfer worker; what registering means is the mover's.
"""

from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.transfer import (
    FailureClass,
    Registered,
    RegisterRequest,
    Remedy,
    ReplicasRequest,
    StoreRequest,
    TransferFailure,
    Transferred,
)
from picard_pilot.system.clock import Clock

PAUSES_S = (0.0, 30.0, 150.0)
"""Before each try: a catalogue that restarts is back after minutes, and the file is safe meanwhile."""


class Registrar:
    """The queue's catalogue for one stage-out, if it names one."""

    def __init__(self, worker: TransferWorker, movers: tuple[str, ...], clock: Clock) -> None:
        """`movers` are the queue's for writing."""
        self._worker = worker
        self._movers = movers
        self._clock = clock
        self._exists: bool | None = None if movers else False

    async def exists(self) -> bool:
        """Whether one of the queue's movers is a catalogue. One that does not load counts; it fails when it is told."""
        if self._exists is None:
            # About no file: it is answered without a question to the catalogue itself.
            answer = await self._worker.replicas(ReplicasRequest(dids=(), movers=self._movers))
            self._exists = isinstance(answer, TransferFailure) or bool(answer.catalogue)
        return self._exists

    async def tell(self, request: StoreRequest, done: Transferred) -> TransferFailure | None:
        """Register the file; None when that is done, else the last failure."""
        failure: TransferFailure | None = None
        for pause_s in PAUSES_S:
            if pause_s:
                await self._clock.sleep(pause_s)
            answer = await self._worker.register(
                RegisterRequest(stored=request, done=done, context=request.context)
            )
            if isinstance(answer, Registered):
                return None
            failure = answer
            if answer.remedy is Remedy.STOP or answer.kind is FailureClass.SPECIFICATION:
                break
        return failure
