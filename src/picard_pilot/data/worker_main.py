"""The transfer worker: a program that runs movers in a few threads and answers over one socket.

One long-lived process per pilot, which the pilot kills as a whole when a transfer hangs. It decides nothing:
no retry, no choice of source. It imports little, since it lives as long as the pilot.
"""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn, TypeVar

import msgspec

from picard_pilot.data import worker_log
from picard_pilot.data.mover_table import Movers
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
    StoreRequest,
    TransferError,
    TransferFailure,
    Transferred,
)
from picard_pilot.system.shim.child import PR_SET_PDEATHSIG, prctl
from picard_pilot.system.typed import ready
from picard_pilot.system.unsaid import Unsaid

PROGRESS_INTERVAL_S = 0.5
"""Often enough to watch and to show, and no load at all."""

SAYS_LIMIT_CHARACTERS = 2000
"""A mover's sentence is cut here: it becomes one line of a journal."""

CODE_LIMIT_CHARACTERS = 100
"""A storage's own word for a failure is cut here: it is kept with the copy that it is about."""

MOST_THREADS = READS_AT_ONCE + STORES_AT_ONCE
"""The pilot asks for no more at once."""

Result = TypeVar("Result", bound=msgspec.Struct)


class Worker:
    """A few threads that take requests from the pilot's socket in turn. Whoever has read one serves it himself: to hand
    it to another would cost a small file a good part of its time."""

    def __init__(self, pilot: socket.socket) -> None:
        self._pilot = pilot
        self._lines = pilot.makefile("rb")
        self._decoder = msgspec.json.Decoder(Ask)
        self._sending = threading.Lock()
        self._listening = threading.Lock()
        self._movers = Movers()
        self._counting = threading.Lock()
        self._threads = 1
        self._busy = 0
        """Threads that have a request."""

    def serve(self) -> NoReturn:
        """Take requests until the pilot closes the socket, by intent or by its death."""
        try:
            while True:
                ask = self._next()
                result = self._perform(ask)
                with self._counting:
                    self._busy -= 1
                self._say(Answer(number=ask.number, result=result))
        except BaseException:  # noqa: BLE001 - a thread that dies alone would leave its request without an answer
            sys.excepthook(*sys.exc_info())
            os._exit(1)

    def _next(self) -> Ask:
        """The next request; where all threads have one now, another thread waits for those to come."""
        with self._listening:
            line = self._lines.readline()
        if not line:
            os._exit(0)  # not waiting for threads: what they do is no longer wanted
        with self._counting:
            self._busy += 1
            more = self._busy == self._threads < MOST_THREADS
            self._threads += more
        if more:
            threading.Thread(target=self.serve, name=f"transfer-{self._threads}", daemon=True).start()
        return self._decoder.decode(line)

    def _perform(self, ask: Ask) -> AnyResult:
        """Run the mover behind the plug-in border: whatever it raises becomes a failure of this one request."""
        try:
            try:
                return self._run(ask.request, self._progress(ask.number))
            except TransferError as error:
                return _with_place(_as_it_arrives(error.failure, TransferFailure, error), ask.request)
        except BaseException as error:  # noqa: BLE001 - the plug-in border; a mover may raise anything at all
            return _with_place(_broken_mover(error, ask.request), ask.request)

    def _run(self, request: AnyRequest, progress: Callable[[int], None]) -> AnyResult:
        if isinstance(request, ReplicasRequest):
            return self._look_up(request)
        mover = self._movers.for_address(request.surl, request.movers)
        match request:
            case FetchRequest():
                return _as_it_arrives(mover.fetch(request, progress), Transferred, mover)
            case StoreRequest():
                stored = _as_it_arrives(mover.store(request, progress), Transferred, mover)
                if request.register:
                    (self._movers.catalogue(request.movers) or mover).register(request, stored)
                return stored
            case RegisterRequest(stored=request_before, done=done):
                catalogue = self._movers.catalogue(request.movers) or mover
                as_now = msgspec.structs.replace(request_before, context=request.context)
                catalogue.register(as_now, done)
                return Registered(catalogue=catalogue.name)
            case StatRequest():
                return _as_it_arrives(mover.stat(request), FileFacts, mover)
            case RemoveRequest():
                return _as_it_arrives(mover.remove(request), Removed, mover)
            case OpenRequest():
                return _as_it_arrives(mover.open_check(request), Opened, mover)

    def _look_up(self, request: ReplicasRequest) -> Replicas:
        catalogue = self._movers.catalogue(request.movers)
        if catalogue is None:
            return Replicas(files=(), catalogue="")
        return _as_it_arrives(catalogue.replicas(request), Replicas, catalogue)

    def _progress(self, number: int) -> Callable[[int], None]:
        passed_bytes = 0
        said_at = time.monotonic()

        def passed(count: int) -> None:
            nonlocal passed_bytes, said_at
            passed_bytes += count
            now = time.monotonic()
            if now - said_at >= PROGRESS_INTERVAL_S:
                said_at = now
                self._say(Passed(number=number, passed_bytes=passed_bytes))

        return passed

    def _say(self, reply: Reply) -> None:
        line = msgspec.json.encode(reply) + b"\n"
        try:
            with self._sending:
                self._pilot.sendall(line)
        except OSError:
            os._exit(0)  # the pilot is gone: nobody wants these bytes any more


ready(AnyResult)


def _as_it_arrives(answer: object, wanted: type[Result], whose: object) -> Result:
    """A mover's answer as the pilot will read it. Raises TypeError for one that is not what the interface says."""
    try:
        if isinstance(answer, wanted):
            return msgspec.json.decode(msgspec.json.encode(answer), type=wanted)
        why = f"it is {type(answer).__name__}, not {wanted.__name__}"
    except (msgspec.ValidationError, TypeError, UnicodeEncodeError) as error:
        why = str(error)
    kind = type(whose)
    raise TypeError(f"the answer of {kind.__module__}:{kind.__qualname__} cannot be used: {why}")


def _with_place(failure: TransferFailure, request: AnyRequest) -> TransferFailure:
    """The failure with the endpoint and address of its request, and a sentence of bounded length."""
    endpoint = request.context.endpoint
    surl = failure.surl or request.surl
    unsaid = _unsaid(request)
    return msgspec.structs.replace(
        failure,
        says=unsaid.text(failure.says)[:SAYS_LIMIT_CHARACTERS],
        code=unsaid.text(failure.code)[:CODE_LIMIT_CHARACTERS] if failure.code else None,
        endpoint=failure.endpoint or (endpoint.name if endpoint else None),
        surl=without_query(surl) if surl else None,
    )


def _unsaid(request: AnyRequest) -> Unsaid:
    """Programs and libraries repeat what they were given: an address, a token."""
    return Unsaid([request.surl or ""], request.context.access.token)


def _broken_mover(error: BaseException, request: AnyRequest) -> TransferFailure:
    import traceback

    sys.stderr.write(_unsaid(request).text("".join(traceback.format_exception(error))))
    where = traceback.extract_tb(error.__traceback__)[-1]
    said = f"the mover raised {type(error).__name__}: {error} ({where.filename}, line {where.lineno})"
    return TransferFailure(
        kind=FailureClass.TRANSFER,
        says=said.encode("utf-8", "backslashreplace").decode(),
        side=Side.NODE,
    )


def die_with_parent(parent_pid: int) -> None:
    """Let the kernel kill this process when the pilot dies, also while it is stopped or stuck."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before we asked
        os._exit(0)


def main(arguments: list[str]) -> int:
    """Serve on the inherited socket: the arguments are its descriptor and the pilot's pid."""
    descriptor, parent_pid = int(arguments[0]), int(arguments[1])
    die_with_parent(parent_pid)
    worker_log.never_fail()
    # A signal to the pilot's process group is the pilot's to answer: it may still want outputs stored.
    for number in (
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGXCPU,
    ):
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as pilot:
        Worker(pilot).serve()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
