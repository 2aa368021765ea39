"""The kept connections of transfers by http: one kind per server, proxy and identity; made with urllib3.

What is said over them is `http_wire`; TLS contexts come from `tls`, proxies from `http_proxies`.
"""

import functools
import ssl
import threading
from collections.abc import Mapping
from time import monotonic
from urllib.parse import unquote, urlsplit

from picard_pilot.model.transfer import StorageAccess
from picard_pilot.system.http import TlsSettings
from picard_pilot.system.http_proxies import proxy_for, without_credentials
from picard_pilot.system.http_wire import Wire
from picard_pilot.system.tls import client_context, identity_stamp

import picard_pilot.system.light_urllib3  # noqa: F401 # isort: skip - before urllib3 itself
from urllib3.connection import HTTPConnection, HTTPSConnection, ProxyConfig
from urllib3.exceptions import HTTPError, ProxyError
from urllib3.util import make_headers, parse_url

from picard_pilot.system.http_troubles import trouble_of

CONNECT_LIMIT_S = 5.0
"""Ten round trips of a bad path with two lost packets; the second try covers what that misses."""
CONNECT_TRIES = 2
IDLE_LIMIT_S = 20.0
"""Servers close idle connections after 15 to 60 s; one that is closed already costs a second try."""
KEPT_PER_SERVER = 8
"""As many as the worker has threads."""
PORTS = {"http": 80, "https": 443}

Identity = tuple[object, ...]


@functools.lru_cache(maxsize=64)  # asked for several times in each request
def origin_of(url: str) -> str:
    """Scheme, host and port of an address, in lower case, the port only where it is not the usual one.

    Raises ValueError for an address without a host or with a port that is none.
    """
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    for end in "/?#":
        rest = rest.partition(end)[0]
    if not rest or "@" in rest or scheme not in PORTS:
        raise ValueError("the address has no host, or a password in it")
    host, colon, port = rest.lower().rpartition(":")
    if not colon or port.endswith("]"):  # the colon of an IPv6 address
        return f"{scheme}://{rest.lower()}"
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("the address has no valid port")
    return f"{scheme}://{host}" if int(port) == PORTS[scheme] else f"{scheme}://{host}:{port}"


class Pool:
    """Connections that are kept alive, shared by all threads of a process."""

    def __init__(self, environment: Mapping[str, str], read_limit_s: float) -> None:
        self._environment = dict(environment)
        self._read_limit_s = read_limit_s
        self._lock = threading.Lock()
        self._idle: dict[Identity, list[tuple[float, Wire]]] = {}
        self._contexts: dict[TlsSettings, tuple[Identity, ssl.SSLContext]] = {}
        self._keys: dict[Wire, Identity] = {}
        self._proxies: dict[str, str | None] = {}

    def take(self, url: str, access: StorageAccess, *, fresh: bool = False) -> Wire:
        """A connection to the server of `url`, which the caller gives back or closes.

        Raises what connecting raises: urllib3's errors, OSError, and ValueError for what is no certificate.
        """
        origin = origin_of(url)
        proxy = self._proxy(origin)
        tls = TlsSettings(
            ca_file=access.ca_file, ca_dir=access.ca_dir, certificate=access.certificate, key=access.key
        )
        context: ssl.SSLContext | None = None
        if origin.startswith("https:") or (proxy or "").startswith("https:"):
            context, stamp = self._context(tls)
            key: Identity = (origin, proxy, tls, stamp)
        else:
            key = (origin, proxy)
        if not fresh and (kept := self._kept(key)) is not None:
            return kept
        wire = self._connect(origin, proxy, context)
        with self._lock:
            self._keys[wire] = key
        return wire

    def give_back(self, wire: Wire) -> None:
        """The exchange is over; the connection is kept where it can be used again."""
        with self._lock:
            key = self._keys.get(wire)
            if key is not None and wire.reusable:
                idle = self._idle.setdefault(key, [])
                if len(idle) < KEPT_PER_SERVER:
                    idle.append((monotonic(), wire))
                    return
        self.drop(wire)

    def drop(self, wire: Wire) -> None:
        """Close a connection for good."""
        with self._lock:
            self._keys.pop(wire, None)
        wire.close()

    def target(self, url: str) -> str:
        """What a request's first line says for `url`: the path, or the whole address for a plain proxy."""
        origin = origin_of(url)
        rest = url.partition("://")[2].partition("#")[0]
        at = min((rest.find(each) for each in "/?" if each in rest), default=len(rest))
        path = rest[at:] if rest[at : at + 1] == "/" else f"/{rest[at:]}"
        return f"{origin}{path}" if origin.startswith("http:") and self._proxy(origin) else path

    def proxy_headers(self, url: str) -> dict[str, str]:
        """What a plain proxy wants to be told by each request; nothing without one."""
        if url[:5].lower() != "http:":
            return {}
        return _login(self._proxy(origin_of(url)))

    def close(self) -> None:
        """Close all idle connections."""
        with self._lock:
            wires = [wire for idle in self._idle.values() for _, wire in idle]
            self._idle.clear()
            for wire in wires:
                self._keys.pop(wire, None)
        for wire in wires:
            wire.close()

    def _proxy(self, origin: str) -> str | None:
        if not self._environment:
            return None
        if origin not in self._proxies:
            self._proxies[origin] = proxy_for(origin, self._environment)
        return self._proxies[origin]

    def _kept(self, key: Identity) -> Wire | None:
        while True:
            with self._lock:
                idle = self._idle.get(key)
                if not idle:
                    return None
                since, wire = idle.pop()
            if monotonic() - since < IDLE_LIMIT_S and not wire.is_dropped:
                return wire
            self.drop(wire)

    def _context(self, tls: TlsSettings) -> tuple[ssl.SSLContext, Identity]:
        """The TLS context, made anew when the certificate's file was renewed."""
        stamp = identity_stamp(tls)
        with self._lock:
            known = self._contexts.get(tls)
            if known is None or known[0] != stamp:
                known = self._contexts[tls] = (stamp, client_context(tls))
            return known[1], stamp

    def _connect(self, origin: str, proxy: str | None, context: ssl.SSLContext | None) -> Wire:
        for tries_left in range(CONNECT_TRIES - 1, -1, -1):
            connection = _connection(origin, proxy, context)
            try:
                return Wire(connection, self._read_limit_s)
            except (HTTPError, OSError) as error:
                connection.close()
                if tries_left and trouble_of(error, sent=False)[0] == "timeout":
                    continue
                if proxy is not None and isinstance(error, HTTPError):
                    raise ProxyError(f"the proxy {without_credentials(proxy)} failed", error) from None
                raise
        raise AssertionError("the last try returns or raises")


def _connection(origin: str, proxy: str | None, context: ssl.SSLContext | None) -> HTTPConnection:
    scheme, _, place = origin.partition("://")
    parts = urlsplit(f"//{place}")
    host, port = parts.hostname or "", parts.port or PORTS[scheme]
    if proxy is None:
        if scheme == "http":
            return HTTPConnection(host, port, timeout=CONNECT_LIMIT_S)
        return HTTPSConnection(host, port, timeout=CONNECT_LIMIT_S, ssl_context=context)
    via = parse_url(without_credentials(proxy))
    if scheme == "http":
        if via.scheme == "https":
            return HTTPSConnection(
                via.host or "", via.port or 443, timeout=CONNECT_LIMIT_S, ssl_context=context
            )
        return HTTPConnection(via.host or "", via.port or 80, timeout=CONNECT_LIMIT_S)
    to_proxy = ProxyConfig(
        ssl_context=context, use_forwarding_for_https=False, assert_hostname=None, assert_fingerprint=None
    )
    connection = HTTPSConnection(
        via.host or "",
        via.port or 80,
        timeout=CONNECT_LIMIT_S,
        ssl_context=context,
        proxy=via,
        proxy_config=to_proxy,
    )
    connection.set_tunnel(host, port, headers=_login(proxy), scheme=via.scheme or "http")  # the proxy's
    return connection


def _login(proxy: str | None) -> dict[str, str]:
    login = parse_url(proxy).auth if proxy else None
    return dict(make_headers(proxy_basic_auth=unquote(login))) if login else {}
