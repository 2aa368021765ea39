"""Finding the credential with which the pilot goes to the server: a token or an X.509 certificate or proxy.

How it is sent is `client`; the environment comes in as a mapping, since one place alone reads it.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from picard_pilot.panda.tokens import Token, TokenUnusable, claims_of
from picard_pilot.system.files import is_file
from picard_pilot.system.http import TlsSettings

_OTHERS_MAY_READ = stat.S_IRGRP | stat.S_IROTH
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_ROOT = 0


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
        origin = claims.origin() if claims is not None else self.origin
        if origin:
            headers["Origin"] = origin
        return headers

    def expires_at(self) -> float | None:
        """When the token ends, in seconds since 1970; None when it does not say so or there is none."""
        if self.token is None:
            return None
        try:
            return _expiry(self.token.value())
        except TokenUnusable:
            return None

    def tls(self, ca: str | None) -> TlsSettings:
        """How to meet the server; `ca` is a file or a directory of authorities, None means the system's."""
        is_dir = ca is not None and os.access(f"{ca}/.", os.F_OK)
        return TlsSettings(
            ca_file=None if is_dir else ca,
            ca_dir=ca if is_dir else None,
            certificate=self.certificate,
            key=self.key,
        )


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
            expires_at = _expiry(token.value())
        except TokenUnusable as error:
            passed_over.append(str(error))
            continue
        warnings = [*passed_over, *_expired(token.source, expires_at, time.time() if now is None else now)]
        if token.path is not None:
            warnings += _file_warnings(token.path, euid)
        origin = _origin(environment, token)
        return Credential(token=token, origin=origin, source=token.source, warnings=tuple(warnings))
    for source, certificate, key in _certificates(environment, euid):
        if not is_file(Path(certificate)):
            passed_over.append(f"{source}: no such file")
            continue
        files = {certificate, key or certificate}
        warnings = [*passed_over, *(line for path in files for line in _file_warnings(Path(path), euid))]
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
    text = environment.get("BEARER_TOKEN", "").strip()
    if text:
        yield Token("BEARER_TOKEN", text=text)
    file = environment.get("BEARER_TOKEN_FILE", "").strip()
    if file:
        yield Token(file, path=Path(file))  # named by the variable, or by a setting
    runtime = environment.get("XDG_RUNTIME_DIR", "").strip()
    for folder in filter(None, (runtime, "/tmp")):
        path = Path(folder) / f"bt_u{euid}"
        if _is_ours(path, euid):
            yield Token(str(path), path=path)


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


def _certificates(environment: Mapping[str, str], euid: int) -> Iterator[tuple[str, str, str | None]]:
    proxy = environment.get("X509_USER_PROXY", "").strip()
    if proxy:
        yield f"X509_USER_PROXY ({proxy})", proxy, None
    usual = f"/tmp/x509up_u{euid}"
    if _is_ours(Path(usual), euid):
        yield usual, usual, None
    certificate = environment.get("X509_USER_CERT", "").strip()
    if certificate:
        yield (
            f"X509_USER_CERT ({certificate})",
            certificate,
            environment.get("X509_USER_KEY", "").strip() or None,
        )


def _is_ours(path: Path, euid: int) -> bool:
    """In a directory that all may write to, a file of somebody else would make us act as he likes."""
    try:
        facts = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(facts.st_mode) and facts.st_uid in (euid, _ROOT)


def _file_warnings(path: Path, euid: int) -> Iterator[str]:
    try:
        facts = path.stat()
    except OSError as error:
        yield f"{path}: {error.strerror}"
        return
    if facts.st_uid not in (euid, _ROOT):
        yield f"{path} belongs to user {facts.st_uid}, not to us: somebody else chose this credential"
    if facts.st_mode & _OTHERS_MAY_WRITE:
        yield f"{path} can be changed by other users (mode {stat.S_IMODE(facts.st_mode):04o}); use 0600"
    elif facts.st_mode & _OTHERS_MAY_READ:
        yield f"{path} can be read by other users (mode {stat.S_IMODE(facts.st_mode):04o}); use 0600"


def _expiry(token: str) -> float | None:
    claims = claims_of(token)
    return claims.exp if claims else None


def _expired(source: str, expires_at: float | None, now: float) -> Iterator[str]:
    if expires_at is not None and expires_at <= now:
        yield f"the token from {source} expired {_duration(now - expires_at)} ago"


def _duration(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
