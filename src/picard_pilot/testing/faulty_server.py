"""A server on real sockets that misbehaves as told: hangs, lies, cuts, resets, goes down and comes back.

It knows nothing of PanDA: a test scripts what each request gets.
"""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from typing import BinaryIO, Self

import msgspec

_MAX_HEAD_BYTES = 64 << 10
_TLS_HANDSHAKE = b"\x16"
"""First byte of a TLS record that opens a conversation."""
_LINGER_OFF = struct.pack("ii", 1, 0)
"""SO_LINGER with zero seconds: closing sends a reset instead of a goodbye."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    """Which connection it came on, counted from 1."""
    client_subject: str | None = None
    """Subject of the client's certificate, when one was asked for and shown."""


class Say(msgspec.Struct, frozen=True, kw_only=True):
    """An orderly HTTP answer, right or wrong in content."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/plain"),)
    close: bool = False
    """Close the connection after it without having said so."""


class Truncate(msgspec.Struct, frozen=True, kw_only=True):
    """Announce `announced_bytes`, send `body` and close."""

    body: bytes
    announced_bytes: int


class Drip(msgspec.Struct, frozen=True, kw_only=True):
    """Send the answer byte by byte with a pause before each."""

    body: bytes
    pause_s: float = 0.02


class Slow(msgspec.Struct, frozen=True, kw_only=True):
    """Answer after a pause."""

    pause_s: float
    then: Say = Say()


class Raw(msgspec.Struct, frozen=True, kw_only=True):
    """Send these bytes, which need not be HTTP, and close."""

    data: bytes


class Hang(msgspec.Struct, frozen=True):
    """Never answer; the connection stays open until the client goes or the server is closed."""


class Reset(msgspec.Struct, frozen=True):
    """Cut the connection with a TCP reset, after the request was read."""


class Hangup(msgspec.Struct, frozen=True):
    """Close the connection without a word, after the request was read."""


Reaction = Say | Truncate | Drip | Slow | Raw | Hang | Reset | Hangup

HTML_PAGE = Say(
    body=b"<html><body><h1>Service temporarily unavailable</h1></body></html>",
    headers=(("Content-Type", "text/html"),),
)
"""What a load balancer says with status 200 when nobody is behind it."""

ERROR_500 = Say(status=500, body=b"Traceback (most recent call last): the handler died")


class FaultyServer:
    """Listens on a free port of 127.0.0.1 and reacts as scripted; a context manager.

    `script` is called with every request, or is a sequence used up one by one, the last repeated for ever.
    """

    def __init__(
        self, script: Callable[[Seen], Reaction] | Iterable[Reaction], *, tls: ssl.SSLContext | None = None
    ) -> None:
        self._script = script if callable(script) else _one_by_one(script)
        self._tls = tls
        self.seen: list[Seen] = []
        self.connections = 0
        self._lock = threading.Lock()
        self.closing = threading.Event()
        """Set while it is down or going down: what waits for something else must end."""
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._start_accepting()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def down(self) -> None:
        """Stop listening and cut all connections; further attempts are refused until `up`."""
        self.closing.set()
        # A blocked accept is woken by shutdown, not by close.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections, threads = list(self._open), self._threads
            self._threads = []
        for connection in connections:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in threads:
            thread.join()

    def up(self) -> None:
        """Listen again on the same port."""
        self.closing.clear()
        self._listener = self._listen(self.port)
        self._start_accepting()

    def close(self) -> None:
        """End for good, leaving no thread and no socket."""
        self.down()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        return listener

    def _start_accepting(self) -> None:
        self._start(self._accept, self._listener)

    def _start(self, function: Callable[[socket.socket], None], argument: socket.socket) -> None:
        thread = threading.Thread(target=function, args=(argument,), daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            secured = self._secure(connection)
            if secured is not None:
                with self._lock:
                    self._open.discard(connection)
                    self._open.add(secured)
                    self.connections += 1
                    number = self.connections
                connection = secured
                if not self.closing.is_set():
                    self.converse(connection, number)
        except OSError:
            pass  # the client went, or the test is over
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _secure(self, connection: socket.socket) -> socket.socket | None:
        if self._tls is None:
            return connection
        try:
            return self._tls.wrap_socket(connection, server_side=True)
        except OSError:
            return None  # the client did not like us

    def converse(self, connection: socket.socket, number: int) -> None:
        """Serve one connection to its end, in a thread of its own; a subclass may speak otherwise."""
        with connection.makefile("rb") as stream:
            while (seen := _read_request(stream, connection, number)) is not None:
                with self._lock:
                    self.seen.append(seen)
                    reaction = self._script(seen)
                if not self._react(connection, reaction):
                    return

    def _react(self, connection: socket.socket, reaction: Reaction) -> bool:
        """True when the connection goes on."""
        if isinstance(reaction, Slow):
            self.closing.wait(reaction.pause_s)
            reaction = reaction.then
        if isinstance(reaction, Say):
            connection.sendall(_head(reaction.status, reaction.headers, len(reaction.body)) + reaction.body)
            return not reaction.close
        if isinstance(reaction, Truncate):
            connection.sendall(_head(200, (), reaction.announced_bytes) + reaction.body)
        elif isinstance(reaction, Drip):
            for byte in _head(200, (), len(reaction.body)) + reaction.body:
                if self.closing.wait(reaction.pause_s):
                    break
                connection.sendall(bytes([byte]))
        elif isinstance(reaction, Raw):
            connection.sendall(reaction.data)
        elif isinstance(reaction, Hang):
            # Readable means that the client is gone, or that this server closes.
            connection.recv(1)
        elif isinstance(reaction, Reset):
            reset_at_close(connection)
        return False


def reset_at_close(connection: socket.socket) -> None:
    """Let the end of this connection be a reset instead of a goodbye."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)


def _one_by_one(reactions: Iterable[Reaction]) -> Callable[[Seen], Reaction]:
    waiting = list(reactions)

    def next_one(_: Seen) -> Reaction:
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    return next_one


def _head(status: int, headers: Iterable[tuple[str, str]], size_bytes: int) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", f"Content-Length: {size_bytes}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _read_request(stream: BinaryIO, connection: socket.socket, number: int) -> Seen | None:
    start = stream.read(1)
    if start == _TLS_HANDSHAKE:
        return None  # a client that speaks TLS to a plain server would wait for ever
    first = (start + stream.readline(_MAX_HEAD_BYTES)).decode("latin-1").split()
    if len(first) != 3:
        return None
    headers: dict[str, str] = {}
    while line := stream.readline(_MAX_HEAD_BYTES).decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", "0")))
    return Seen(
        method=first[0],
        target=first[1],
        headers=headers,
        body=body,
        connection=number,
        client_subject=_subject_of(connection),
    )


def _subject_of(connection: socket.socket) -> str | None:
    certificate = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
    if not certificate:
        return None
    subject: tuple[tuple[tuple[str, str], ...], ...] = certificate["subject"]  # type: ignore[assignment]
    return "".join(f"/{key}={value}" for part in subject for key, value in part)
