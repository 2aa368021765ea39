"""The embedded server's settings: address, credentials, intervals and limits, each with its reason.

Where a value comes from (flag, environment, file) is not known here; whoever starts the server fills this in.
"""

from __future__ import annotations

import msgspec


class WatchLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long a job may stay silent in a state before the watcher ends it; the real server's figures, in seconds."""

    sent_s: float = 30 * 60
    """`sent` without a first update: the answer to the pilot was lost, or the pilot died."""
    running_s: float = 2 * 3600
    """`starting` or `running` without an update: room for three lost heartbeats of 30 minutes."""
    holding_user_s: float = 3 * 3600
    holding_production_s: float = 48 * 3600
    holding_urgent_s: float = 3 * 3600
    """As `holding_user_s`, for production jobs above `urgent_priority`."""
    urgent_priority: int = 800
    any_s: float = 21 * 24 * 3600
    """Since its creation, in any state that is not final."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set on the embedded server."""

    data_dir: str
    """Database, keys, certificates, tokens and `server.json` live here; made with mode 0700."""
    host: str = "127.0.0.1"
    port: int = 0
    """0 asks the system for a free one; the one it gave stands in `server.json`."""
    allow_remote: bool = False
    """Whether `host` may be anything but a loopback address."""
    plain_http: bool = False
    """Serve without TLS. Tokens then cross the wire readable: only for tests on one host."""
    pages: bool = True
    """Whether the monitor's pages are served."""
    vo: str = "picard"
    """The virtual organisation of the tokens; callers send `Origin: <vo>.<role>`."""
    token_lifetime_s: float = 365 * 24 * 3600
    """A year: a private server has no one to renew a token every day. Renewed at start in its last half."""
    adder_interval_s: float = 5.0
    """The adder runs as soon as a final report is accepted; this is its look for what it could not do then."""
    watcher_interval_s: float = 30.0
    """Far below the shortest limit it watches."""
    watch_limits: WatchLimits = WatchLimits()
    max_body_bytes: int = 64 * 1024 * 1024
    """A job may carry 10 MB of parameters, a submission several of them; more than this is no request."""
    durable: bool = True
    """Whether an answer waits for the disk. Without, a power cut (not a crash) may lose the last second."""


LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


class SettingsError(ValueError):
    """Settings that contradict each other; the text has three lines for people."""


def check(settings: ServerSettings) -> None:
    """Refuse what must not be served.

    Raises:
        SettingsError: an address other than loopback without `allow_remote`, or plain http beyond this host.
    """
    if settings.host in LOOPBACK_HOSTS:
        return
    if not settings.allow_remote:
        raise SettingsError(
            "the server would be open to other machines\n"
            f"its address is {settings.host}, which is no loopback address\n"
            "take --host 127.0.0.1, or allow it with --allow-remote"
        )
    if settings.plain_http:
        raise SettingsError(
            "tokens would cross the network readable\n"
            f"plain http is asked for at {settings.host}, which is no loopback address\n"
            "leave plain http out, or take --host 127.0.0.1"
        )
