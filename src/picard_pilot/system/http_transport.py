"""One HTTP exchange with urllib3: connections kept alive, proxies, client certificates, troubles told apart.

Deadlines, threads and the event loop live in `http`; this module blocks, so it runs in a thread.
"""

import http.client
import socket
import ssl
import threading
from typing import Any
from urllib.parse import unquote, urlsplit

import picard_pilot.system.light_urllib3  # noqa: F401 # isort: skip - before urllib3 itself
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import BaseHTTPResponse
from urllib3.util import Timeout, make_headers

from picard_pilot.system.http import Call, HttpAnswer, HttpClient, HttpError
from picard_pilot.system.http_proxies import proxy_for, without_credentials
from picard_pilot.system.http_troubles import trouble_of
from picard_pilot.system.tls import client_context, identity_stamp

# One read from the connection; large enough that a 64 MB answer costs a thousand of them.
CHUNK_BYTES = 64 << 10
# Different servers and proxies a pilot talks to at a time; PanDA's own and its cache are two.
MAX_SERVERS = 8

# Which call this thread performs, so that a connection can say that it was sent and how it is cut.
_here = threading.local()


def _cut(connection: "_Watched", call: Call) -> None:
    """Wake whoever reads from this connection for `call`; the socket stays open until its owner closes it."""
    sock = connection.sock
    if sock is None or connection.used_by is not call:
        return
    try:
        # Not SSLSocket.shutdown, which takes the TLS state away under the reading thread.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # not connected yet, or already gone


class _Watched(HTTPConnection):
    """Tells the call of this thread how its connection is cut, and when its request begins to leave."""

    exchanges = 0
    """Requests sent since it was connected."""
    used_by: Call | None = None
    """The last call that took it out of the pool."""

    def connect(self) -> None:
        self._announce()
        self.exchanges = 0
        super().connect()

    def request(self, *args: Any, **options: Any) -> None:
        if self.is_closed:
            # Before the request counts as sent: what cannot connect has carried nothing over.
            self.connect()
        call = self._announce()
        if call is not None:
            call.sent = True
            _here.reused = self.exchanges > 0
        self.exchanges += 1
        super().request(*args, **options)

    def _announce(self) -> Call | None:
        call: Call | None = getattr(_here, "call", None)
        self.used_by = call
        if call is not None:
            call.attach(lambda: _cut(self, call))
        return call


class _Secure(_Watched, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class Transport:
    """Connections of one client, used by its threads; renewed when the client certificate's file changes."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._identity: tuple[object, ...] = ()
        self._managers: dict[tuple[str | None, bool], urllib3.PoolManager] = {}

    def prepare(self) -> None:
        """Load the certificates now. Raises OSError or ValueError when they cannot be used."""
        with self._lock:
            self._current_context()

    def exchange(self, call: Call) -> HttpAnswer:
        """Send the request and read the whole answer. Raises HttpError."""
        _here.call, _here.reused = call, False
        try:
            answer = self._attempt(call)
            # A server may close an idle connection just when we send on it. That says nothing about the
            # server, and a request that may be repeated gets a fresh connection at once.
            stale = isinstance(answer, HttpError) and answer.trouble == "reset" and _here.reused
            if stale and call.request.repeatable and not call.abandoned:
                answer = self._attempt(call)
        finally:
            call.attach(None)
            _here.call = None
        if isinstance(answer, HttpError):
            raise answer
        return answer

    def close(self) -> None:
        """Close all idle connections; one in use is closed by its thread."""
        with self._lock:
            self._drop_connections()

    def _attempt(self, call: Call) -> HttpAnswer | HttpError:
        """An error is returned, not raised, so that no library's exception hangs on to it as its context."""
        remaining_s = call.remaining_s()
        if remaining_s <= 0 or call.abandoned:
            return call.error("timeout", "the time was up before a connection was free")
        if not _is_address(call.request.url):
            return call.error("request", "the address must be http:// or https:// and a host")
        proxy = proxy_for(call.request.url, self._client.environment)
        if proxy is not None and not _is_address(proxy):
            return call.error("proxy", "the proxy's address must be http:// or https:// and a host")
        try:
            headers = self._headers(call)
            manager = self._manager(proxy, call.request.url)
        except (OSError, ValueError) as error:
            # The text of these is ours or the system's and names files, never their content.
            reason = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
            return call.error("credential", reason)
        timeout = Timeout(
            connect=min(self._client.connect_timeout_s, remaining_s),
            read=min(self._client.read_timeout_s, remaining_s),
        )
        try:
            response = manager.urlopen(
                call.request.method,
                call.request.url,
                body=call.request.body,
                headers=headers,
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            return self._read(call, response, headers)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            trouble, evidence = trouble_of(error, sent=call.sent)
            return call.error(trouble, _scrubbed(evidence.encode("utf-8", "replace"), headers).decode())

    def _read(self, call: Call, response: BaseHTTPResponse, sent: dict[str, str]) -> HttpAnswer | HttpError:
        limit_bytes = self._client.max_answer_bytes
        parts, size_bytes = [], 0
        try:
            while chunk := response.read(CHUNK_BYTES):
                size_bytes += len(chunk)
                if size_bytes > limit_bytes:
                    return call.error("too_large", f"the answer is larger than {limit_bytes} bytes")
                if call.remaining_s() <= 0:
                    return call.error("timeout", f"time was up after {size_bytes} bytes of the answer")
                parts.append(chunk)
        finally:
            call.attach(None)
            # A connection with unread bytes on it is of no use to the next request.
            if response.connection is not None:
                response.close()
            response.release_conn()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return HttpAnswer(status=response.status, headers=headers, body=_scrubbed(b"".join(parts), sent))

    def _headers(self, call: Call) -> dict[str, str]:
        headers = {"User-Agent": self._client.user_agent, "Accept-Encoding": "identity"}
        headers.update(call.request.headers)
        if self._client.authorise is not None:
            headers.update(self._client.authorise())
        for name, value in headers.items():
            # Checked here, because the library would print the value it refuses.
            if not value.isascii() or not value.isprintable():
                raise ValueError(f"the value of header {name} has characters that no header may have")
        return headers

    def _manager(self, proxy: str | None, url: str) -> urllib3.PoolManager:
        # Plain http needs no certificates, and reading the system's authorities takes 30 ms.
        is_secure = any(address.lower().startswith("https:") for address in (url, proxy or ""))
        with self._lock:
            context = self._current_context() if is_secure else None
            manager = self._managers.get((proxy, is_secure))
            if manager is None:
                manager = self._managers[proxy, is_secure] = self._new_manager(proxy, context)
            return manager

    def _current_context(self) -> ssl.SSLContext:
        """The TLS context, made anew when the certificate file was renewed. Called with the lock held."""
        identity = identity_stamp(self._client.tls)
        if self._context is None or identity != self._identity:
            self._drop_connections()
            self._context, self._identity = client_context(self._client.tls), identity
        return self._context

    def _drop_connections(self) -> None:
        managers, self._managers = self._managers, {}
        for manager in managers.values():
            manager.clear()

    def _new_manager(self, proxy: str | None, context: ssl.SSLContext | None) -> urllib3.PoolManager:
        options: dict[str, Any] = {
            "num_pools": MAX_SERVERS,
            "maxsize": self._client.max_connections,
            "ssl_context": context,
        }
        manager: urllib3.PoolManager
        if proxy is None:
            manager = urllib3.PoolManager(**options)
        else:
            shown = without_credentials(proxy)
            login = urllib3.util.parse_url(proxy).auth
            headers = make_headers(proxy_basic_auth=unquote(login)) if login else None
            manager = urllib3.ProxyManager(shown, proxy_headers=headers, proxy_ssl_context=context, **options)
        manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}
        return manager


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _scrubbed(text: bytes, headers: dict[str, str]) -> bytes:
    """A server may quote our own header back, in a refusal say; the token must not get into evidence that way."""
    secret = headers.get("Authorization", "")
    for word in filter(None, (secret, secret.rpartition(" ")[2])):
        text = text.replace(word.encode(), b"[removed]")
    return text
