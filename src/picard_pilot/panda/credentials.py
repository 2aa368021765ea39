"""Finding the credential with which the pilot goes to the server: a token or an X.509 certificate or proxy.

How it is sent is `client`; the environment comes in as a mapping, since one place alone reads it.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from picard_pilot.system.bearer import Claims, Token, TokenUnusable, claims_of, expires_at
from picard_pilot.system.files import is_file
from picard_pilot.system.grid_places import authorities, certificate_places, file_warnings, token_places
from picard_pilot.system.http import TlsSettings

PILOT_ROLES = ("pilot", "production")
"""The roles with which a server lets a pilot report, in the order in which we take them."""


class Credential:
    """What was chosen, and how to use it. Its text forms hold no secret.

    If a token and a certificate are both there, the token wins and no certificate is shown, as PanDA's
    pilots have always done.
    """

    def __init__(
        self,
        *,
        token: Token | None = None,
        origin: str | None = None,
        certificate: str | None = None,
        key: str | None = None,
        source: str = "none",
        warnings: tuple[str, ...] = (),
    ) -> None:
        self.token = token
        self.origin = origin
        """`<vo>.<role>`, sent with a token; None: the token's own groups say it."""
        self.certificate = certificate
        self.key = key
        self.source = source
        """Which variable or place it came from."""
        self.warnings = warnings
        """What a careful person wants to know: places passed over and why, an expired token, a file that others
        can read or change, no credential at all."""

    def __repr__(self) -> str:
        return f"Credential({self.describe()})"

    def describe(self) -> str:
        """One sentence for the log: what was chosen, and where it was found."""
        if self.token is not None:
            origin = f", origin {self.origin}" if self.origin else ""
            return f"the server is shown the token from {self.source}{origin}"
        if self.certificate is not None:
            return f"the server is shown the X.509 certificate or proxy from {self.source}"
        return "the server is shown no credential"

    def headers(self) -> dict[str, str]:
        """The headers that identify us, from the file as it is now; empty without a token.

        Raises TokenUnusable.
        """
        if self.token is None:
            return {}
        value = self.token.value()
        headers = {"Authorization": f"Bearer {value}"}
        claims = claims_of(value) if self.origin is None else None
        origin = origin_of(claims) if claims is not None else self.origin
        if origin:
            headers["Origin"] = origin
        return headers

    def expires_at(self) -> float | None:
        """When the token ends, in seconds since 1970; None when it does not say so or there is none."""
        if self.token is None:
            return None
        try:
            return expires_at(self.token.value())
        except TokenUnusable:
            return None

    def tls(self, ca: str | None) -> TlsSettings:
        """How to meet the server; `ca` is a file or a directory of authorities, None means the system's."""
        ca_file, ca_dir = authorities(ca)
        return TlsSettings(
            ca_file=ca_file,
            ca_dir=ca_dir,
            certificate=self.certificate,
            key=self.key,
        )


def origin_of(claims: Claims) -> str | None:
    """`<vo>.<role>` of the first group that a pilot can act for; None when the token names none."""
    groups = claims.groups or claims.wlcg_groups
    if not isinstance(groups, list):
        return None
    paths = [group.strip("/").split("/") for group in groups if isinstance(group, str)]
    for role in PILOT_ROLES:
        for path in paths:
            if len(path) == 2 and path[1] == role:
                return f"{path[0]}.{role}"
    return None


def discover(
    environment: Mapping[str, str],
    *,
    euid: int,
    now: float | None = None,
    secret: Callable[[str], None] | None = None,
) -> Credential:
    """The first credential that is there.

    Order: OIDC_AUTH_TOKEN and PANDA_AUTH_TOKEN, which are meant for this server; then the WLCG's discovery
    (BEARER_TOKEN, BEARER_TOKEN_FILE, $XDG_RUNTIME_DIR/bt_u<euid>, /tmp/bt_u<euid>); then X509_USER_PROXY,
    /tmp/x509up_u<euid>, X509_USER_CERT with X509_USER_KEY. An empty or missing file means: the next one.
    `secret` is told every token that is read, now and later, so that it can be kept out of logs.
    """
    passed_over: list[str] = []
    for token in _tokens(environment, euid):
        token.secret = secret
        try:
            end = expires_at(token.value())
        except TokenUnusable as error:
            passed_over.append(str(error))
            continue
        warnings = [*passed_over, *_expired(token.source, end, time.time() if now is None else now)]
        if token.path is not None:
            warnings += file_warnings(token.path, euid)
        origin = _origin(environment, token)
        return Credential(token=token, origin=origin, source=token.source, warnings=tuple(warnings))
    for source, certificate, key in certificate_places(environment, euid):
        if not is_file(Path(certificate)):
            passed_over.append(f"{source}: no such file")
            continue
        files = {certificate, key or certificate}
        warnings = [*passed_over, *(line for path in files for line in file_warnings(Path(path), euid))]
        return Credential(certificate=certificate, key=key, source=source, warnings=tuple(warnings))
    return Credential(
        warnings=(*passed_over, "no credential was found; a server that wants one will refuse us")
    )


def _tokens(environment: Mapping[str, str], euid: int) -> Iterator[Token]:
    for prefix in ("OIDC", "PANDA"):
        name = f"{prefix}_AUTH_TOKEN"
        given = environment.get(name, "").strip()
        if given:
            yield _panda_token(name, given, environment.get(f"{prefix}_AUTH_DIR", "").strip())
    yield from token_places(environment, euid)


def _origin(environment: Mapping[str, str], token: Token) -> str | None:
    """The origin given beside the token, else one of the other families'; PANDA_AUTH_VO is the older name."""
    names = ["OIDC_AUTH_ORIGIN", "PANDA_AUTH_ORIGIN", "PANDA_AUTH_VO"]
    names.sort(key=lambda name: not token.source.startswith(name.partition("_")[0]))
    return next((environment[name].strip() for name in names if environment.get(name, "").strip()), None)


def _panda_token(name: str, given: str, directory: str) -> Token:
    """PanDA's variable names a file, in the directory of its own variable if it is no path; or is the token."""
    path = Path(given)
    in_directory = Path(directory) / given if directory else None
    if in_directory is not None and not path.is_absolute() and is_file(in_directory):
        return Token(f"{name} ({in_directory})", path=in_directory)
    if "/" not in given and claims_of(given) is not None:
        return Token(name, text=given)
    return Token(f"{name} ({path})", path=path)


def _expired(source: str, expires_at: float | None, now: float) -> Iterator[str]:
    if expires_at is not None and expires_at <= now:
        yield f"the token from {source} expired {_duration(now - expires_at)} ago"


def _duration(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
