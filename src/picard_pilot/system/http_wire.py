"""One kept connection of a transfer: a request's head out, an answer's head in, and its body straight into a buffer.

urllib3 connects, verifies TLS and goes through proxies; its own answers cost a small file twice its time, and the
standard library's do not notice a body that is cut. Which request to send where is `http_transfer`.
"""

import socket
import ssl
from collections.abc import Mapping
from http.client import BadStatusLine, IncompleteRead, LineTooLong, RemoteDisconnected
from io import BufferedReader
from time import monotonic
from typing import Protocol, cast

import picard_pilot.system.light_urllib3  # noqa: F401 # isort: skip - before urllib3 itself
from urllib3.connection import HTTPConnection
from urllib3.util.wait import wait_for_read

BUFFER_BYTES = 16 << 10
"""An answer's head and a small file come in one read; larger reads pass this buffer by."""
LINE_LIMIT_BYTES = 64 << 10
HEADERS_LIMIT = 200
SHORT_BODY_BYTES = 64 << 10
"""What is kept of an answer that is no file; the rest is of no interest."""
DIGITS_LIMIT = 18
"""No file has more bytes than fit into a machine's word, and Python refuses to read much longer numbers."""
INTERIM_LIMIT = 1000
"""Of heads before the answer: a server that says every second that it works is done after this, or hangs."""
FRAMING = frozenset({"content-length", "transfer-encoding"})
"""The headers that say where a body ends."""
EXCERPT_CHARACTERS = 40
"""Of a header that makes no sense, for people."""
WAKE_S = 10.0
"""While a server thinks (it computes a checksum, say) a sign of life is given this often."""


_HEXADECIMAL = b"0123456789abcdefABCDEF"


class Waiting(Protocol):
    """Called now and then while nothing but waiting happens."""

    def __call__(self, count: int, /) -> object: ...


def number_of(said: str) -> int | None:
    """A number of bytes in a header; None for what cannot be one."""
    return int(said) if said.isascii() and said.isdigit() and len(said) <= DIGITS_LIMIT else None


class Head:
    """Status and headers of an answer; names in lower case, of repeated ones the first."""

    __slots__ = ("headers", "status")

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status = status
        self.headers = headers

    @property
    def length(self) -> int | None:
        """The announced length of the body in bytes; None where none, or none that makes sense, is given."""
        return number_of(self.headers.get("content-length", ""))

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks, whose sum nobody has said before."""
        return "transfer-encoding" in self.headers


class Wire:
    """A connection and what is left to read of its current answer. Used by one thread at a time.

    All methods raise what the system, `ssl`, `http.client` and urllib3 raise; after that it must be closed.
    """

    def __init__(self, connection: HTTPConnection, read_limit_s: float) -> None:
        self._connection = connection
        connection.connect()
        assert connection.sock is not None
        self.sock: socket.socket = connection.sock
        self.sock.settimeout(read_limit_s)
        self._read_limit_s = read_limit_s
        self._stream = cast(BufferedReader, self.sock.makefile("rb", BUFFER_BYTES))
        self._left: int | None = 0
        """Bytes left of the body or of its current chunk; None: until the server closes."""
        self._chunked = False
        self._ended = True
        self._buffered = True
        self._keep = True
        self._last = False
        self.exchanges = 0

    def close(self) -> None:
        """Close at once; may be called twice."""
        self._stream.close()
        self._connection.close()

    @property
    def reusable(self) -> bool:
        """Whether the next request can go over it."""
        return self._ended and self._keep and not self._last

    @property
    def is_dropped(self) -> bool:
        """Whether the server has closed it, or said something unasked, with its last answer or while it was idle."""
        try:
            return self.answers_within(0.0)
        except OSError:
            return True

    def send_head(self, method: str, target: str, headers: Mapping[str, str]) -> None:
        """Send a request's head. Raises ValueError where a line would break it."""
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a header of the request has a line break")
        self.exchanges += 1
        self._last = headers.get("Connection") == "close"
        self.send(memoryview("\r\n".join([*lines, "", ""]).encode("latin-1")))

    def send(self, data: memoryview) -> None:
        """Send all of `data`."""
        self.sock.sendall(data)

    def answers_within(self, limit_s: float) -> bool:
        """Whether something to read comes within so many seconds."""
        # What was read already is not seen by the system; so the stream is asked first, without waiting.
        self.sock.settimeout(0)
        try:
            if self._stream.peek(1):
                return True
        except ssl.SSLWantReadError:
            pass
        finally:
            self.sock.settimeout(self._read_limit_s)
        return bool(wait_for_read(self.sock, timeout=limit_s))

    def read_head(
        self, method: str, *, patience_s: float | None = None, waiting: Waiting | None = None
    ) -> Head:
        """The head of the answer; interim answers are passed over, but for 100 while it is waited for."""
        if patience_s is not None and patience_s > self._read_limit_s + 1.0:
            self._be_patient(patience_s, waiting)
        for _ in range(INTERIM_LIMIT):
            head = self._read_one_head()
            if head.status >= 200:
                self._begin_body(method, head)
                return head
        raise BadStatusLine(f"more than {INTERIM_LIMIT} heads and no answer")

    def may_go_on(self, method: str, limit_s: float) -> Head | None:
        """After `Expect: 100-continue`: status 100 where the body is wanted, or the answer; None for no word at all."""
        if not self.answers_within(limit_s):
            return None
        for _ in range(INTERIM_LIMIT):
            head = self._read_one_head()
            if head.status == 100:
                return head
            if head.status >= 200:
                self._begin_body(method, head)
                return head
        raise BadStatusLine(f"more than {INTERIM_LIMIT} heads and no answer")

    def _be_patient(self, patience_s: float, waiting: Waiting | None) -> None:
        end = monotonic() + patience_s
        while (left_s := end - monotonic()) > 0:
            if self.answers_within(min(WAKE_S, left_s)):
                return
            if waiting is not None:
                waiting(0)
        raise TimeoutError(f"no answer for {patience_s:.0f} s")

    def _line(self) -> bytes:
        line = self._stream.readline(LINE_LIMIT_BYTES + 1)
        if len(line) > LINE_LIMIT_BYTES:
            raise LineTooLong("the head of the answer")
        return line

    def _head_lines(self) -> list[bytes]:
        """The lines of a head without the empty one that ends it; nearly always all of them have come together."""
        here = self._stream.peek(1)
        end = here.find(b"\r\n\r\n")
        if end >= 0:
            # A line may end in a bare LF (RFC 9112, 2.2); XRootD's door ends one so before a Digest that it adds.
            return self._stream.read(end + 4)[:-4].split(b"\n")
        lines = [self._line()]
        if lines[0] and not lines[0].startswith(b"HTTP/1."):
            return lines
        while lines[-1] not in (b"\r\n", b"\n"):
            if not lines[-1]:
                raise RemoteDisconnected("the connection was closed without a whole answer")
            if len(lines) > HEADERS_LIMIT:
                raise BadStatusLine(f"more than {HEADERS_LIMIT} headers")
            lines.append(self._line())
        return lines[:-1] or [b""]

    def _read_one_head(self) -> Head:
        lines = self._head_lines()
        words = lines[0].split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not _is_status(words[1]):
            raise BadStatusLine(lines[0][:80].decode("latin-1"))
        if len(lines) > HEADERS_LIMIT:
            raise BadStatusLine(f"more than {HEADERS_LIMIT} headers")
        headers: dict[str, str] = {}
        for line in lines[1:]:
            said, _, value = line.decode("latin-1").partition(":")
            name, value = said.strip().lower(), value.strip()
            if headers.setdefault(name, value) != value and name in FRAMING:
                raise BadStatusLine(f"{name} is said twice, and differently")
        _must_have_one_end(headers)
        connection = headers.get("connection", "").lower()
        self._keep = "close" not in connection and (words[0] != b"HTTP/1.0" or "keep-alive" in connection)
        return Head(int(words[1]), headers)

    def _begin_body(self, method: str, head: Head) -> None:
        self._chunked, self._left, self._ended, self._buffered = False, 0, False, True
        if method == "HEAD" or head.status in (204, 304):
            self._ended = True
        elif head.is_chunked:
            self._chunked = True
        else:
            self._left = head.length
            if self._left is None:
                self._keep = False
            self._ended = self._left == 0

    def read_into(self, block: memoryview) -> int:
        """Some bytes of the body, by one read of the connection; 0 at its end. IncompleteRead where it is cut."""
        if self._ended:
            return 0
        if self._chunked and not self._left and not self._next_chunk():
            return 0
        if self._buffered:
            # What came with the head, without waiting for more; after that the buffer is passed by.
            block = block[:BUFFER_BYTES]
            self._buffered = self._chunked
        count = self._stream.readinto1(block if self._left is None else block[: self._left])
        if not count:
            if self._left is None:
                self._ended = True
                return 0
            raise IncompleteRead(b"", self._left)
        if self._left is not None:
            self._left -= count
            if not self._left and not self._chunked:
                self._ended = True
        return count

    def _next_chunk(self) -> bool:
        """Read on to the next chunk; False when that was the last."""
        line = self._line()
        if line in (b"\r\n", b"\n"):  # the end of the chunk before
            line = self._line()
        size = line.partition(b";")[0].strip()
        if not size or len(size) > DIGITS_LIMIT or size.strip(_HEXADECIMAL):
            raise IncompleteRead(b"")
        self._left = int(size, 16)
        if self._left:
            return True
        for _ in range(HEADERS_LIMIT):
            if self._line() in (b"\r\n", b"\n", b""):
                self._ended = True
                return False
        raise BadStatusLine(f"more than {HEADERS_LIMIT} lines behind the body")

    def short_body(self) -> bytes:
        """The body of an answer that is no file: its beginning. A long one ends the connection."""
        kept = bytearray()
        block = memoryview(bytearray(BUFFER_BYTES))
        while len(kept) < SHORT_BODY_BYTES:
            count = self.read_into(block)
            if not count:
                break
            kept += block[:count]
        return bytes(kept)


def _must_have_one_end(headers: Mapping[str, str]) -> None:
    """Refuse a body whose end nobody can tell for sure: what stands behind it would be taken for the next answer."""
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None and coding.lower() != "chunked":
        raise BadStatusLine(f"the body is coded as {coding[:EXCERPT_CHARACTERS]!r}, which nobody asked for")
    if coding is None and length is not None and number_of(length) is None:
        raise BadStatusLine(f"the length of the body is said to be {length[:EXCERPT_CHARACTERS]!r}")


def _is_status(word: bytes) -> bool:
    return len(word) == 3 and word.isdigit()
