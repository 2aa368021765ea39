"""Which proxy, if any, a request goes through, from the usual variables of the environment.

Nothing is read from the process here: the caller passes the variables in.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

_LOOPBACK = re.compile(r"127(?:\.\d{1,3}){3}")
LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


def proxy_for(url: str, environment: Mapping[str, str]) -> str | None:
    """The proxy's URL for `url`, or None for a direct connection.

    Lower-case names win over upper-case ones, as with curl. Loopback is always direct: a proxy on another
    host would take 127.0.0.1 for itself, and the embedded server lives there.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower().rstrip(".")
    if not host or is_loopback(host) or _is_excluded(host, parts.port, _read("no_proxy", environment)):
        return None
    proxy = _read(f"{parts.scheme}_proxy", environment) or _read("all_proxy", environment)
    if not proxy:
        return None
    # Sites write "squid.example.org:3128"; without a scheme that means plain http to the proxy.
    return proxy if "://" in proxy else f"http://{proxy}"


def without_credentials(proxy_url: str) -> str:
    """The proxy's URL as it may be shown: scheme, host and port, no user and no password."""
    parts = urlsplit(proxy_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _read(name: str, environment: Mapping[str, str]) -> str:
    return environment.get(name, "").strip() or environment.get(name.upper(), "").strip()


def is_loopback(host: str) -> bool:
    """Whether a host's name or address, in lower case, is this machine; not that of one which only begins so."""
    return host in LOOPBACK_NAMES or host == "::1" or _LOOPBACK.fullmatch(host) is not None


def is_private(host: str) -> bool:
    """Whether a host is this machine, or has an address that no router passes on: clouds tell machines their secrets
    at such a one. A name that leads there is not seen here."""
    import ipaddress  # only where a storage sends us on
    from socket import inet_aton

    if is_loopback(host):
        return True
    try:
        # As the system's resolver reads addresses: 2130706433 and 127.1 are 127.0.0.1.
        found = ipaddress.ip_address(host if ":" in host else inet_aton(host))
    except (OSError, ValueError):
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return found.is_loopback or found.is_link_local or found.is_unspecified


def _is_excluded(host: str, port: int | None, no_proxy: str) -> bool:
    for entry in no_proxy.lower().replace(",", " ").split():
        if entry == "*":
            return True
        if "/" in entry:
            if _in_network(host, entry):
                return True
            continue
        name, _, entry_port = entry.partition(":") if entry.count(":") == 1 else (entry, "", "")
        if entry_port and entry_port != str(port):
            continue
        name = name.lstrip("*").lstrip(".").rstrip(".")
        if name and (host == name or host.endswith(f".{name}")):
            return True
    return False


def _in_network(host: str, network: str) -> bool:
    import ipaddress  # only for sites that write networks into no_proxy

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
