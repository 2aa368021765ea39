"""The bytes of a transfer by http: download into a function, upload from a file, and short questions about a file.

It follows redirects, keeps connections and resumes a broken download; what a status means, where the bytes go and
whether they are right is the movers' business.
"""

import re
import threading
import weakref
from collections.abc import Callable, Mapping
from http.client import HTTPException, IncompleteRead
from urllib.parse import quote, unquote_to_bytes, urljoin

from picard_pilot.model.transfer import StorageAccess
from picard_pilot.system.http_pool import PORTS, Pool, origin_of
from picard_pilot.system.http_trip import (
    READ_LIMIT_S,
    Answer,
    Body,
    Bytes,
    Incoming,
    TransferTrouble,
    Trip,
)
from picard_pilot.system.http_wire import Head, Waiting, Wire
from picard_pilot.system.redact import Redactor

import picard_pilot.system.light_urllib3  # noqa: F401 # isort: skip - before urllib3 itself
from urllib3.exceptions import HTTPError as LibraryError

from picard_pilot.system.http_troubles import trouble_of

BLOCK_BYTES = 256 << 10
"""Fits the processor's cache; larger and smaller blocks were measured to be slower or equal."""
REDIRECTS_LIMIT = 5
EXPECT_FROM_BYTES = 64 << 10
"""Larger bodies wait for the server's 100: a redirecting or refusing one says so before they are sent."""
EXPECT_LIMIT_S = 2.0
"""A server that does not know the question gets the body after this; RFC 9110 10.1.1 asks for no longer wait."""
THINKING_BYTES_PER_S = 20e6
"""How slowly a storage may compute a checksum or commit a file before its answer counts as overdue."""
CONTINUE, EXPECTATION_FAILED = 100, 417
PAGE_CHARACTERS = 8 << 10
"""How much of an error page is looked at for words: a hostile one costs the more the longer it is, by its square."""
SAID_CHARACTERS = 200
"""How much of an error page's text is evidence."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TAGS = re.compile(r"<(?:style|script)\b.*?</(?:style|script)>|<[^<>]*>", re.DOTALL | re.IGNORECASE)
_BREAKING = re.compile(r"[\0-\x1f\x7f]")
_KEPT = "/:?#&=%+,;@!$'()*~[]|"
_PASSWORD = re.compile(r"//[^/@]*@")
_QUERY = re.compile(r"(\b[a-z]+://[^\s?\"'<>]*)\?[^\s\"'<>]*", re.IGNORECASE)


class HttpTransfers:
    """Transfers over kept connections, for any number of threads; each call blocks its own.

    `environment` gives http_proxy, https_proxy, all_proxy and no_proxy. Raises TransferTrouble from every call that
    did not come to an answer; exceptions of the functions given to it pass through.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        environment: Mapping[str, str] | None = None,
        read_limit_s: float = READ_LIMIT_S,
    ) -> None:
        self._pool = Pool(environment or {}, read_limit_s)
        # A mover is never told that it is over; its sockets must not be left to chance.
        weakref.finalize(self, self._pool.close)
        self._read_limit_s = read_limit_s
        self._user_agent = user_agent
        self._redactor = Redactor()
        self._blocks = threading.local()
        self._without_expect: set[str] = set()
        """Servers that answered nothing to `Expect`, or refused it."""

    def close(self) -> None:
        """Close all idle connections."""
        self._pool.close()

    def ask(
        self,
        method: str,
        url: str,
        access: StorageAccess,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        size_bytes: int = 0,
        waiting: Waiting | None = None,
    ) -> Answer:
        """One short request and its short answer.

        `size_bytes` is the size of the file asked about, where the server may have to read all of it first.
        """
        trip = Trip(method, url, access, dict(headers or {}), Bytes(body) if body else None)
        trip.patience_s = self._read_limit_s + size_bytes / THINKING_BYTES_PER_S
        trip.waiting = waiting
        wire, head = self._send(trip)
        try:
            answer = self._short(trip, wire, head)
        except (LibraryError, HTTPException, OSError, ValueError) as error:
            self._pool.drop(wire)
            raise self._trouble(error, trip) from None
        self._pool.give_back(wire)
        return answer

    def download(
        self,
        url: str,
        access: StorageAccess,
        *,
        begin: Callable[[Answer], None],
        write: Callable[[memoryview], None],
        headers: Mapping[str, str] | None = None,
        may_resume: bool = True,
        size_bytes: int = 0,
        waiting: Waiting | None = None,
    ) -> Answer:
        """GET a file; `begin` sees the head before the first byte, `write` gets each block, which is reused.

        Where the connection breaks in mid-file it goes on from there, if the server can, if the file is the same
        one (ETag or Last-Modified), and, where it cannot say that, if `may_resume`: that the caller knows the
        checksum. An answer that is neither 200 nor 206 is returned, in whose place nothing was written.
        """
        file = Incoming(begin, write)
        while True:
            trip = Trip("GET", url, access, {**(headers or {}), **file.range_headers()}, None)
            trip.reached_bytes = file.at
            trip.patience_s = self._read_limit_s + size_bytes / THINKING_BYTES_PER_S
            trip.waiting = waiting
            started_at = file.at
            wire: Wire | None = None
            try:
                wire, head = self._send(trip)
                if head.status == 416 and file.at:
                    raise self._stop("truncated", f"the file ended after {file.at} bytes", trip)
                if head.status not in (200, 206):
                    answer = self._short(trip, wire, head)
                    self._pool.give_back(wire)
                    return answer
                answer = self._answer(trip, head)
                if (why := file.refuses(answer)) is not None:
                    raise self._stop("changed", why, trip)
                self._stream(wire, file)
                if (missing_bytes := file.missing_bytes) > 0:
                    raise IncompleteRead(b"", missing_bytes)
            except (LibraryError, HTTPException, OSError, ValueError) as error:
                if wire is not None:
                    self._pool.drop(wire)
                trip.reached_bytes = file.at
                trouble = self._trouble(error, trip)
                if not file.may_go_on(trouble, file.at - started_at, may_resume):
                    raise trouble from None
            except BaseException:
                if wire is not None:
                    self._pool.drop(wire)
                raise
            else:
                self._pool.give_back(wire)
                return answer

    def upload(
        self,
        url: str,
        access: StorageAccess,
        body: Body,
        *,
        headers: Mapping[str, str] | None = None,
        waiting: Waiting | None = None,
    ) -> Answer:
        """PUT a file. `waiting` is called now and then while the server commits it."""
        named = {"Content-Type": "application/octet-stream", **(headers or {})}
        trip = Trip("PUT", url, access, named, body)
        trip.patience_s = self._read_limit_s + body.size_bytes / THINKING_BYTES_PER_S
        trip.waiting = waiting
        wire, head = self._send(trip)
        if head.status == EXPECTATION_FAILED and origin_of(trip.url) not in self._without_expect:
            self._without_expect.add(origin_of(trip.url))
            self._pool.drop(wire)
            wire, head = self._send(trip)
        try:
            answer = self._short(trip, wire, head)
        except (LibraryError, HTTPException, OSError, ValueError) as error:
            self._pool.drop(wire)
            raise self._trouble(error, trip) from None
        if trip.body_sent_bytes == body.size_bytes:
            self._pool.give_back(wire)
        else:
            self._pool.drop(wire)
        return answer

    # one request, through its redirects

    def _send(self, trip: "Trip") -> tuple[Wire, Head]:
        """Send the request to whoever is to answer it."""
        for _ in range(REDIRECTS_LIMIT + 1):
            try:
                wire, head = self._exchange(trip)
            except (LibraryError, HTTPException, OSError, ValueError) as error:
                raise self._trouble(error, trip) from None
            location = head.headers.get("location")
            if head.status not in _REDIRECTS or not location:
                return wire, head
            if trip.body is not None:
                self._pool.drop(wire)  # nobody knows whether it still waits for a body
            else:
                self._drain(wire)
            self._follow(trip, location, head.status)
        raise self._stop("redirect", f"more than {REDIRECTS_LIMIT} redirects", trip)

    def _drain(self, wire: Wire) -> None:
        try:
            wire.short_body()
        except (LibraryError, HTTPException, OSError, ValueError):
            self._pool.drop(wire)
        else:
            self._pool.give_back(wire)

    def _follow(self, trip: "Trip", location: str, status: int) -> None:
        try:
            url = _coded(urljoin(trip.url, location), trip.url)
            scheme, separator, _ = url.partition("://")
            if not separator or scheme.lower() not in PORTS:
                raise ValueError(f"it leads to {url.partition(':')[0]}:")
            if not trip.may_follow(url):
                raise ValueError(
                    f"it leads to {origin_of(url)}, where another machine has nothing to tell us"
                )
        except ValueError as error:
            raise self._stop("redirect", self._clean(str(error), trip), trip) from None
        if status == 303 and trip.method != "HEAD":
            trip.method, trip.body = "GET", None
        destination = trip.headers.get("Destination")
        if destination and origin_of(destination) == origin_of(trip.url):
            # The server that is to move the file must find the new name at itself.
            trip.headers["Destination"] = origin_of(url) + destination[len(origin_of(destination)) :]
        trip.follow(url)

    def _exchange(self, trip: "Trip") -> tuple[Wire, Head]:
        """One request to one server. A kept connection that turns out to be closed is replaced, once."""
        trip.begin()
        wire = self._pool.take(trip.url, trip.access, fresh=trip.goes_alone)
        try:
            return wire, self._talk(wire, trip)
        except (LibraryError, HTTPException, OSError) as error:
            self._pool.drop(wire)
            stale = wire.exchanges > 1 and trip.repeatable and trouble_of(error, sent=True)[0] == "reset"
            if not stale:
                raise
        except BaseException:
            self._pool.drop(wire)
            raise
        trip.begin()
        wire = self._pool.take(trip.url, trip.access, fresh=True)
        try:
            return wire, self._talk(wire, trip)
        except BaseException:
            self._pool.drop(wire)
            raise

    def _talk(self, wire: Wire, trip: "Trip") -> Head:
        target, headers = self._pool.target(trip.url), self._headers(trip)
        trip.sent = True
        wire.send_head(trip.method, target, headers)
        if trip.body is not None:
            if "Expect" in headers:
                head = wire.may_go_on(trip.method, EXPECT_LIMIT_S)
                if head is None:
                    self._without_expect.add(origin_of(trip.url))
                elif head.status != CONTINUE:
                    return head
            self._send_body(wire, trip, trip.body)
        return wire.read_head(trip.method, patience_s=trip.patience_s, waiting=trip.waiting)

    def _send_body(self, wire: Wire, trip: "Trip", body: Body) -> None:
        block = self._block()
        try:
            while count := body.read_into(block):
                if trip.body_sent_bytes + count > body.size_bytes:
                    raise ValueError("the file grew while it was sent")
                wire.send(block[:count])
                trip.body_sent_bytes += count
            if trip.body_sent_bytes < body.size_bytes:
                raise ValueError("the file shrank while it was sent")
        except ConnectionError:
            # A server that refuses in mid-file says why before it closes, if we still listen.
            if not wire.answers_within(EXPECT_LIMIT_S):
                raise

    def _headers(self, trip: "Trip") -> dict[str, str]:
        headers = {
            "Host": origin_of(trip.url).partition("://")[2],
            "User-Agent": self._user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            **self._pool.proxy_headers(trip.url),
            **trip.headers,
        }
        if trip.goes_alone:
            headers["Connection"] = "close"
        token = trip.access.token
        if token and trip.may_show_token:
            headers["Authorization"] = f"Bearer {token}"
        if trip.body is not None:
            headers["Content-Length"] = str(trip.body.size_bytes)
            asks = origin_of(trip.url) not in self._without_expect
            if asks and trip.body.size_bytes >= EXPECT_FROM_BYTES:
                headers["Expect"] = "100-continue"
        elif trip.method in ("PUT", "POST"):
            headers["Content-Length"] = "0"
        for name, value in headers.items():
            # Checked here, because a library would print the value it refuses.
            if not value.isprintable() and _BREAKING.search(value):
                raise ValueError(f"the value of header {name} has characters that no header may have")
        return headers

    def _stream(self, wire: Wire, file: "Incoming") -> None:
        block, write = self._block(), file.write
        while count := wire.read_into(block):
            write(block[:count])
            file.at += count

    def _block(self) -> memoryview:
        """This thread's buffer."""
        block: memoryview | None = getattr(self._blocks, "block", None)
        if block is None:
            block = self._blocks.block = memoryview(bytearray(BLOCK_BYTES))
        return block

    # what came of it

    def _answer(self, trip: "Trip", head: Head, body: bytes = b"", says: str = "") -> Answer:
        return Answer(
            status=head.status, headers=head.headers, url=trip.url.partition("?")[0], body=body, says=says
        )

    def _short(self, trip: "Trip", wire: Wire, head: Head) -> Answer:
        body = wire.short_body()
        says = self._clean(body.decode("utf-8", "replace"), trip) if head.status >= 300 else ""
        return self._answer(trip, head, body, says)

    def _clean(self, text: str, trip: "Trip") -> str:
        """The first line that says something, for people."""
        plain = _TAGS.sub(" ", text[:PAGE_CHARACTERS]).strip().partition("\n")[0]
        plain = self._redactor.text(_QUERY.sub(r"\1", trip.unsaid().text(plain)))
        return "".join(" " if not each.isprintable() else each for each in " ".join(plain.split()))[
            :SAID_CHARACTERS
        ]

    def _trouble(self, error: BaseException, trip: "Trip") -> TransferTrouble:
        if not trip.sent and isinstance(error, OSError) and error.filename is not None:
            # The text is ours or the system's and names a certificate's file, never its content.
            return self._stop("credential", f"{error.strerror}: {error.filename}", trip)
        trouble, evidence = trouble_of(error, sent=trip.sent)
        return self._stop(trouble, self._clean(evidence, trip), trip)

    def _stop(self, trouble: str, evidence: str, trip: "Trip") -> TransferTrouble:
        shown = _PASSWORD.sub("//", trip.url.partition("?")[0])
        try:
            origin = origin_of(trip.url)
        except ValueError:
            origin = ""
        return TransferTrouble(
            trouble,
            evidence,
            where=f"{trip.method} {shown}",
            reached_bytes=max(trip.reached_bytes, trip.body_sent_bytes),
            origin=origin,
        )


def _coded(location: str, asked_for: str) -> str:
    """A redirect's address as it can be asked for: XRootD's redirector names the path plainly, not percent-coded."""
    origin, path = origin_of(asked_for), asked_for.partition("?")[0]
    coded = path[len(origin) :]
    plain = unquote_to_bytes(coded).decode("latin-1")
    try:
        elsewhere = origin_of(location)
    except ValueError:
        return location  # no address of ours: told so by who asked
    rest = location[len(elsewhere) :]
    if rest == plain or rest.startswith(f"{plain}?"):
        location, path = rest[len(plain) :], f"{elsewhere}{coded}"
    else:
        path = ""
    return path + quote(location.encode("latin-1", "replace"), safe=_KEPT)
