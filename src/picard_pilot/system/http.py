"""HTTP as the pilot uses it: typed answers, typed troubles, verified TLS and a deadline for each call.

How a single exchange is made with urllib3 lives in `http_transport`, which is imported when first needed.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from time import monotonic
from typing import Literal

import msgspec

from picard_pilot.system.daemon_threads import DaemonThreads

Trouble = Literal[
    "resolve",  # the name has no address
    "refused",  # nobody listens there
    "unreachable",  # no route, or the network said no
    "tls",  # certificate not trusted, wrong name, handshake refused
    "proxy",  # the proxy could not be reached or said no
    "timeout",  # connect, read or overall time limit
    "reset",  # the connection was cut before the whole answer head came
    "truncated",  # the body is shorter than announced
    "too_large",  # the body is larger than we take
    "protocol",  # what answers does not speak HTTP
    "credential",  # our token or certificate cannot be used
    "request",  # the URL or a header is not valid; nothing was sent
    "closed",  # this client was closed
]

# A job description with ten megabytes of parameters must pass; an endless answer must not fill the node.
MAX_ANSWER_BYTES = 64 << 20
# Ten times the round trip of a bad transatlantic path with one lost SYN (1 s, then 2 s, then 4 s).
CONNECT_TIMEOUT_S = 20.0
# The PanDA server's own dispatcher takes up to 60 s to look for a job.
READ_TIMEOUT_S = 90.0
# Heartbeats of several jobs, the request for the next job and a status poll at once.
DEFAULT_THREADS = 4

JSON_TYPE = "application/json"


class TlsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Whom we trust and as whom we go; all are paths of PEM files or, for `ca_dir`, of a hashed directory."""

    ca_file: str | None = None
    ca_dir: str | None = None
    """Neither given: the system's certificate authorities."""
    certificate: str | None = None
    """Client certificate with its chain; an X.509 proxy file holds the key too."""
    key: str | None = None
    """Private key, when it is not in `certificate`."""


class HttpAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the server said; any status, since only the caller knows which ones are good."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class HttpError(Exception):
    """No usable answer. Carries no header, token, query or body in its text, attributes or context."""

    def __init__(self, trouble: Trouble, evidence: str, *, where: str, may_have_arrived: bool) -> None:
        # What follows "credential:" would be taken for one, and hidden in every log.
        shown = "our credential cannot be used" if trouble == "credential" else trouble
        super().__init__(f"{shown}: {evidence} ({where})")
        self.trouble: Trouble = trouble
        self.evidence = evidence
        self.where = where
        """Method, scheme, host, port and path."""
        self.may_have_arrived = may_have_arrived
        """True when the server may have acted on the request although we have no answer."""


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request; `repeatable` says that sending it twice does no harm."""

    method: str
    url: str
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    repeatable: bool = False


class Call:
    """A request on its way: how far it got, and the handle with which it is abandoned.

    Written by the thread that performs it, read by whoever waits.
    """

    def __init__(self, request: HttpRequest, deadline: float) -> None:
        self.request = request
        self.deadline = deadline
        """On the clock of `time.monotonic`."""
        self.sent = False
        self.abandoned = False
        self._lock = threading.Lock()
        self._cut: Callable[[], None] | None = None

    def remaining_s(self) -> float:
        return self.deadline - monotonic()

    def attach(self, cut: Callable[[], None] | None) -> None:
        """Say how the connection in use is cut; None when the call no longer owns one."""
        with self._lock:
            self._cut = cut

    def abandon(self) -> None:
        """Nobody waits any more: cut the connection, which frees the thread at once."""
        with self._lock:
            self.abandoned = True
            if self._cut is not None:
                self._cut()

    def error(self, trouble: Trouble, evidence: str) -> HttpError:
        """A trouble of this call; the query is left out, since it may name what is private."""
        where = f"{self.request.method} {self.request.url.partition('?')[0]}"
        return HttpError(trouble, evidence, where=where, may_have_arrived=self.sent)


class HttpClient:
    """Requests from a bounded pool of threads, over connections that are kept alive.

    `authorise` is asked before every request, in the thread that sends it, for the headers that identify us;
    it may read a file and may raise OSError or ValueError. Redirects are not followed: a redirected POST
    would lose its body or its credentials.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        tls: TlsSettings | None = None,
        authorise: Callable[[], Mapping[str, str]] | None = None,
        environment: Mapping[str, str] | None = None,
        threads: int = DEFAULT_THREADS,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        """`environment` gives http_proxy, https_proxy, all_proxy and no_proxy; None means no proxy."""
        self.user_agent = user_agent
        self.tls = tls or TlsSettings()
        self.authorise = authorise
        self.environment = dict(environment or {})
        self.connect_timeout_s = connect_timeout_s
        self.read_timeout_s = read_timeout_s
        self.max_answer_bytes = max_answer_bytes
        self.max_connections = threads
        self._threads = DaemonThreads("http", threads)
        self._lock = threading.Lock()
        # Imported here, not above: commands that never speak HTTP need not pay for it.
        from picard_pilot.system.http_transport import Transport

        self._transport: Transport = Transport(self)
        self._calls: set[Call] = set()
        self._closed = False

    async def request(self, request: HttpRequest, *, deadline_s: float) -> HttpAnswer:
        """Send and wait at most `deadline_s`, waiting for a free thread included.

        Raises HttpError; past the deadline, or when the task is cancelled, the call is abandoned.
        """
        call = Call(request, monotonic() + deadline_s)
        future = asyncio.wrap_future(self._start(call))
        try:
            async with asyncio.timeout(deadline_s):
                return await future
        except TimeoutError:
            pass
        finally:
            self._leave(call)
        # Raised out here, so that the time limit is no context of it.
        raise self._too_late(call, deadline_s)

    def request_now(self, request: HttpRequest, *, deadline_s: float) -> HttpAnswer:
        """The same for callers without an event loop."""
        call = Call(request, monotonic() + deadline_s)
        future = self._start(call)
        try:
            return future.result(deadline_s)
        except TimeoutError:
            pass
        finally:
            self._leave(call)
        raise self._too_late(call, deadline_s)

    async def post_json(
        self, url: str, document: bytes, *, deadline_s: float, repeatable: bool = False
    ) -> HttpAnswer:
        """POST an encoded JSON document; the types are sent bare, since PanDA compares them to the letter."""
        headers = (("Content-Type", JSON_TYPE), ("Accept", JSON_TYPE))
        request = HttpRequest(method="POST", url=url, body=document, headers=headers, repeatable=repeatable)
        return await self.request(request, deadline_s=deadline_s)

    async def get_json(
        self, url: str, query: Iterable[tuple[str, str]] = (), *, deadline_s: float
    ) -> HttpAnswer:
        """GET with an encoded query; repeat a key for a list."""
        from urllib.parse import urlencode

        text = urlencode(list(query))
        headers = (("Content-Type", JSON_TYPE), ("Accept", JSON_TYPE))
        full = f"{url}?{text}" if text else url
        request = HttpRequest(method="GET", url=full, headers=headers, repeatable=True)
        return await self.request(request, deadline_s=deadline_s)

    def warm_up(self) -> None:
        """Load the certificates in a thread, beside other work of a start; troubles show with the first call."""
        self._threads.submit(self._transport.prepare)

    def close(self, wait_s: float = 0.0) -> None:
        """Abandon what is under way and close all connections; may be called twice."""
        with self._lock:
            self._closed = True
            calls = list(self._calls)
        for call in calls:
            call.abandon()
        self._threads.close(wait_s)
        self._transport.close()

    def _start(self, call: Call) -> "Future[HttpAnswer]":
        with self._lock:
            if self._closed:
                raise call.error("closed", "this client was closed")
            self._calls.add(call)
        return self._threads.submit(lambda: self._transport.exchange(call))

    def _leave(self, call: Call) -> None:
        # After a good end this finds nothing attached, and does nothing.
        call.abandon()
        with self._lock:
            self._calls.discard(call)

    def _too_late(self, call: Call, deadline_s: float) -> HttpError:
        stage = "the request was sent, no full answer came" if call.sent else "the request was not yet sent"
        return call.error("timeout", f"no answer within {deadline_s:g} s; {stage}")
