"""A bounded pool of daemon threads for calls that may hang in a socket or in the resolver.

No deadline lives here: whoever submits work decides how long to wait and then walks away.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class DaemonThreads:
    """Runs submitted functions in at most `limit` threads, started when first needed.

    The threads are daemons, so a call that never returns cannot hold the exit of the process;
    `concurrent.futures.ThreadPoolExecutor` joins its threads at exit and would.
    """

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        # Idle threads minus work still queued, so below zero when everyone is busy.
        self._idle = 0
        self._closed = False

    def submit(self, function: Callable[[], T]) -> "Future[T]":
        """Queue `function`; its result or exception arrives in the future.

        A future cancelled before a thread takes it up is skipped. Raises RuntimeError after `close`.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError(f"thread pool {self._name} is closed")
            if self._idle <= 0 and len(self._threads) < self._limit:
                name = f"{self._name}-{len(self._threads)}"
                thread = threading.Thread(target=self._serve, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
            else:
                self._idle -= 1
            self._work.put((future, function))
        return future

    def close(self, wait_s: float = 0.0) -> None:
        """Let idle threads end and take no more work; wait at most `wait_s` for each busy one."""
        with self._lock:
            self._closed = True
            threads, self._threads = self._threads, []
        for _ in threads:
            self._work.put(None)
        for thread in threads:
            thread.join(wait_s)

    def _serve(self) -> None:
        while (item := self._work.get()) is not None:
            future, function = item
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:  # noqa: BLE001 - handed on to whoever waits, never swallowed
                    future.set_exception(error)
            # An idle thread must not keep the last call's body and answer alive.
            del item, future, function
            with self._lock:
                self._idle += 1
