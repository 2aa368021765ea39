"""The pilot's side of the transfer worker: requests in, results out, and a watch that a hang cannot escape.

The worker is started on first use, killed as a whole when a transfer hangs or is cancelled, and started again;
what else was in flight is asked again. Whether a failed transfer is worth another try is not decided here.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from picard_pilot.data.worker_process import WorkerProcess
from picard_pilot.data.worker_protocol import READS_AT_ONCE, STORES_AT_ONCE, Answer, Ask, Passed, Reply
from picard_pilot.model.address import without_query
from picard_pilot.model.transfer import (
    AnyRequest,
    AnyResult,
    FailureClass,
    FetchRequest,
    FileFacts,
    Opened,
    OpenRequest,
    Registered,
    RegisterRequest,
    Removed,
    RemoveRequest,
    Replicas,
    ReplicasRequest,
    Side,
    StatRequest,
    StorageAccess,
    StoreRequest,
    TransferFailure,
    Transferred,
)

CRASHES_ALLOWED = 1
"""A transfer during which the worker died is tried once more: it may have been another's fault."""

Result = TypeVar("Result", Transferred, Registered, FileFacts, Removed, Opened, Replicas)


class WorkerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long a transfer may take before its worker is killed.

    A file gets `base_s` plus its size at `slowest_bytes_per_s` (60 s and 0.5 MB/s: half of what the slowest healthy
    transfers of today's grid reach); one of unknown size `unknown_size_s` (today's pilot's longest). `stall_s`
    without a byte ends it earlier.
    """

    base_s: float = 60.0
    slowest_bytes_per_s: float = 500_000.0
    unknown_size_s: float = 10_800.0
    stall_s: float = 60.0

    def for_size(self, size_bytes: int | None) -> float:
        """The time limit of one transfer, in seconds."""
        if size_bytes is None:
            return self.unknown_size_s
        return self.base_s + size_bytes / self.slowest_bytes_per_s


DEFAULT_LIMITS = WorkerLimits()


def nobody() -> StorageAccess:
    """Access for storages that ask nobody who he is."""
    return StorageAccess()


def _nobody_notes(_pid: int) -> None:
    """For whoever keeps no ledger."""


class _Flight:
    """One request from the moment a slot is free for it until its result is known; None: it is overdue."""

    def __init__(
        self, ask: Ask, result: "asyncio.Future[AnyResult | None]", now: float, limit_s: float
    ) -> None:
        self.ask = ask
        self.result = result
        self.deadline = now + limit_s
        self.limit_s = limit_s
        self.last_sign = now
        self.passed_bytes = 0
        self.crashes = 0
        self.sent_to: WorkerProcess | None = None
        self.on_progress: Callable[[int], None] | None = None

    @property
    def is_answered(self) -> bool:
        """Whether the worker has done with it."""
        return self.result.done() and not self.result.cancelled() and self.result.result() is not None

    def ends_at(self, stall_s: float) -> float:
        """When it will have taken too long, or moved no byte for too long."""
        return min(self.deadline, self.last_sign + stall_s)


class TransferWorker:
    """Transfers in a process of their own. Use as an async context; safe for many tasks of one event loop.

    `log_path` takes what movers print. `environment` replaces the inherited one. `access` is asked for the
    credentials of every single request. Nothing is started before `warm_up` or the first request; `on_process` gets the
    process id of each incarnation.
    """

    def __init__(
        self,
        *,
        limits: WorkerLimits = DEFAULT_LIMITS,
        log_path: Path | None = None,
        environment: Mapping[str, str] | None = None,
        access: Callable[[], StorageAccess] = nobody,
        on_process: Callable[[int], None] = _nobody_notes,
    ) -> None:
        self._access = access
        self._limits = limits
        self._log_path = log_path
        self._environment = environment
        self._on_process = on_process
        self._reading = asyncio.Semaphore(READS_AT_ONCE)
        self._storing = asyncio.Semaphore(STORES_AT_ONCE)
        self._numbers = itertools.count(1)
        self._flights: dict[int, _Flight] = {}
        self._process: WorkerProcess | None = None
        self._starting = asyncio.Lock()
        self._ending = asyncio.Lock()
        self._warming: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "TransferWorker":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def pid(self) -> int | None:
        """The present worker's process id; None while there is none."""
        return self._process.pid if self._process else None

    def warm_up(self) -> None:
        """Start the process now, beside other work, if there is none. Where that fails, the first request tells."""
        if self._process is None and self._warming is None:
            self._warming = asyncio.get_running_loop().create_task(self._warm_up(), name="start the worker")

    async def transfer(
        self, request: FetchRequest | StoreRequest, on_progress: Callable[[int], None] | None = None
    ) -> Transferred | TransferFailure:
        """Perform one transfer; never raises for what a storage or mover did.

        `on_progress` gets the number of bytes passed so far. Cancelling kills the worker: when the cancelled call
        returns, nothing of this transfer moves any more.
        """
        return await self._perform(request, Transferred, request.size_bytes, on_progress)

    async def stat(self, request: StatRequest) -> FileFacts | TransferFailure:
        """Ask a storage about one file."""
        return await self._perform(request, FileFacts, None, None)

    async def remove(self, request: RemoveRequest) -> Removed | TransferFailure:
        """Remove one file from a storage."""
        return await self._perform(request, Removed, 0, None)

    async def open_check(self, request: OpenRequest) -> Opened | TransferFailure:
        """Whether a payload could open a file where it is."""
        return await self._perform(request, Opened, 0, None)

    async def register(self, request: RegisterRequest) -> Registered | TransferFailure:
        """Tell the queue's catalogue about a stored file."""
        return await self._perform(request, Registered, 0, None)

    async def replicas(self, request: ReplicasRequest) -> Replicas | TransferFailure:
        """Where the files of a job are; no files where the queue's movers include no catalogue."""
        return await self._perform(request, Replicas, 0, None)

    async def close(self) -> None:
        """End the worker, whatever it is doing. A later request starts a new one."""
        if self._warming is not None:
            await self._warming
        process, self._process = self._process, None
        if process is not None:
            await process.kill()
        for task in tuple(self._tasks):
            await task

    async def _perform(
        self,
        request: AnyRequest,
        expected: type[Result],
        size_bytes: int | None,
        on_progress: Callable[[int], None] | None,
    ) -> Result | TransferFailure:
        async with self._storing if isinstance(request, StoreRequest) else self._reading:
            loop = asyncio.get_running_loop()
            ask = Ask(number=next(self._numbers), request=request)
            flight = _Flight(ask, loop.create_future(), loop.time(), self._limits.for_size(size_bytes))
            flight.on_progress = on_progress
            self._flights[ask.number] = flight
            try:
                result = await self._watched(flight)
            except asyncio.CancelledError:
                self._flights.pop(ask.number, None)
                if not flight.is_answered:
                    await self._kill_for(flight)
                raise
            finally:
                self._flights.pop(ask.number, None)
        if isinstance(result, (expected, TransferFailure)):
            return result
        raise TypeError(f"the transfer worker answered {result!r} to {request!r}")

    async def _watched(self, flight: _Flight) -> AnyResult:
        """The flight's result, or a `timeout` failure after the worker was killed for it."""
        trouble = await self._send(flight)
        if trouble is not None:
            return trouble
        self._watch(flight)
        result = await flight.result
        if result is not None:
            return result
        if asyncio.get_running_loop().time() >= flight.deadline:
            why = f"took longer than its {flight.limit_s:.0f} s"
        else:
            why = f"moved no byte for {self._limits.stall_s:.0f} s"
        says = f"{why} and was ended after {flight.passed_bytes} bytes"
        await self._kill_for(flight)
        return _failure(flight, FailureClass.TIMEOUT, says, Side.STORAGE)

    def _watch(self, flight: _Flight) -> None:
        """Look at the flights when this one may be overdue. One alarm serves all, at the earliest of their ends."""
        at = flight.ends_at(self._limits.stall_s)
        if self._alarm is not None:
            if self._alarm.when() <= at:
                return
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_at(at, self._look)

    def _look(self) -> None:
        """Give up what is overdue, and watch the rest. What was not sent yet has its alarm to come."""
        self._alarm = None
        now = asyncio.get_running_loop().time()
        for flight in tuple(self._flights.values()):
            if flight.result.done() or flight.sent_to is None:
                continue
            if now < flight.ends_at(self._limits.stall_s):
                self._watch(flight)
            else:
                del self._flights[flight.ask.number]
                flight.result.set_result(None)

    async def _send(self, flight: _Flight) -> TransferFailure | None:
        try:
            process = self._process or await self._started()
        except OSError as error:
            return _failure(flight, FailureClass.TRANSFER, f"had no worker: {error}", Side.NODE)
        # While a worker was being started, its transfer may have been given up.
        if self._wanted(flight) and flight.sent_to is not process:
            flight.sent_to = process
            process.ask(self._with_access(flight.ask))
        return None

    def _with_access(self, ask: Ask) -> Ask:
        """The request as it travels: with the credentials of this moment, which are kept nowhere."""
        request = ask.request
        context = msgspec.structs.replace(request.context, access=self._access())
        return Ask(number=ask.number, request=msgspec.structs.replace(request, context=context))

    async def _started(self) -> WorkerProcess:
        """The worker's process, started if there is none. Raises OSError."""
        async with self._starting:
            if self._process is None:
                process = WorkerProcess(self._heard, self._gone)
                await process.start(self._log_path, self._environment)
                assert process.pid is not None
                self._on_process(process.pid)
                self._process = process
            return self._process

    async def _warm_up(self) -> None:
        try:
            await self._started()
        except OSError:
            pass  # whoever needs it tries again, and says why there is none
        finally:
            self._warming = None

    def _wanted(self, flight: _Flight) -> bool:
        """Whether somebody waits for the flight, and has no result yet."""
        return flight.ask.number in self._flights and not flight.result.done()

    async def _kill_for(self, flight: _Flight) -> None:
        """Kill the worker that has this flight, which nobody wants any more, and ask a new one for all others.

        Several flights often end at one moment: each waits for the one kill, and a later worker is left alone.
        """
        async with self._ending:
            process = self._process
            if process is not None and flight.sent_to is process:
                self._process = None
                await process.kill()
        await self._ask_again()

    async def _ask_again(self) -> None:
        now = asyncio.get_running_loop().time()
        for flight in tuple(self._flights.values()):
            if not self._wanted(flight):
                continue
            if now - flight.last_sign < self._limits.stall_s / 2:
                flight.last_sign = now  # it was alive; one that was silent too shares the verdict soon
            trouble = await self._send(flight)
            if trouble is not None and not flight.result.done():
                flight.result.set_result(trouble)

    def _heard(self, reply: Reply) -> None:
        flight = self._flights.get(reply.number)
        if flight is None or flight.result.done():
            return
        match reply:
            case Answer(result=result):
                flight.result.set_result(result)
            case Passed(passed_bytes=passed_bytes):
                flight.last_sign = asyncio.get_running_loop().time()
                flight.passed_bytes = passed_bytes
                if flight.on_progress is not None:
                    flight.on_progress(passed_bytes)

    def _gone(self, process: WorkerProcess) -> None:
        """The worker's socket closed: unless we ended it, everything in flight has seen a crash."""
        if process.dismissed or process is not self._process:
            return
        self._process = None
        task = asyncio.get_running_loop().create_task(self._after_crash(process))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _after_crash(self, process: WorkerProcess) -> None:
        how = await process.exit_words()
        for flight in self._flights.values():
            if flight.sent_to is not process:
                continue  # asked of the next one meanwhile
            flight.crashes += 1
            if flight.crashes > CRASHES_ALLOWED and not flight.result.done():
                says = f"failed: its worker process died {flight.crashes} times; at last {how}"
                flight.result.set_result(_failure(flight, FailureClass.TRANSFER, says, Side.NODE))
        await self._ask_again()


def _failure(flight: _Flight, kind: FailureClass, says: str, side: Side) -> TransferFailure:
    request = flight.ask.request
    endpoint = request.context.endpoint
    surl = without_query(request.surl)
    name = request.lfn if isinstance(request, (FetchRequest, StoreRequest, OpenRequest)) else surl
    return TransferFailure(
        kind=kind,
        says=f"the transfer of {name} {says}",
        side=side,
        endpoint=endpoint.name if endpoint else None,
        surl=surl,
        retry_after_s=0.0 if kind is FailureClass.TIMEOUT else None,
    )
