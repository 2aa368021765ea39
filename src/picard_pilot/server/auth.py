"""Who is let in: the server's own key, the tokens of its roles, and the browser's login. Loopback or not is settings'.

A token never stands in a log, a URL of a call, or a command line; the one-time login address is the exception
that browsers need, and it is used up by opening it.
"""

from __future__ import annotations

import time
import typing
import uuid
from pathlib import Path

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from picard_pilot.server.caller import Caller
from picard_pilot.server.login import Logins
from picard_pilot.server.tls import private_key_pem
from picard_pilot.system.files import write_durably

ALGORITHM = "ES256"
ISSUER = "picard-server"

SESSION_COOKIE = "picard_session"
"""The browser's cookie."""

ROLES = ("pilot", "production", "user")
"""Roles of which a token is made at the first start."""

_PRODUCTION_ROLES = frozenset({"pilot", "production"})
"""A robot called "Robot Pilot" is known to hold the production role, as sites configure it on a real server."""

_NAMES = {"pilot": "Robot Pilot", "production": "Robot Production", "user": "Local User"}

SESSION_LIFETIME_S = 30 * 24 * 3600
"""A month for a browser on one's own machine."""

_MAX_KNOWN = 10_000
"""Verified tokens remembered; there are three, unless someone plays."""


class BadToken(ValueError):
    """A token that is not accepted; the text is what the caller is told with HTTP 403."""


class _Verified(msgspec.Struct, frozen=True):
    name: str
    groups: frozenset[str]
    expires_at: float


class Tokens:
    """The tokens of one server, kept in its data directory with the key that signs them."""

    def __init__(self, data_dir: Path, vo: str, lifetime_s: float) -> None:
        self._folder = data_dir / "tokens"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self.vo = vo
        self._lifetime_s = lifetime_s
        self._key = _load_or_make_key(self._folder / "signing.key")
        self._public = self._key.public_key()
        self._known: dict[str, _Verified] = {}
        self._logins = Logins(private_key_pem(self._key))

    def prepare(self) -> None:
        """Make the tokens that are missing, or renew those in the last half of their life."""
        for role in ROLES:
            path = self.path(role)
            if not path.exists() or not self._is_fresh(path.read_text(encoding="ascii")):
                write_durably(path, self.issue(role, self._lifetime_s).encode())

    def path(self, role: str) -> Path:
        """The file with a role's token."""
        return self._folder / f"{role}.token"

    def issue(self, role: str, lifetime_s: float, name: str | None = None) -> str:
        """A new token for a role of this server's virtual organisation."""
        groups = [self.vo, f"{self.vo}/{role}"]
        return self._sign("call", lifetime_s, name=name or _NAMES[role], groups=groups)

    def caller(self, authorization: str, origin: str) -> Caller:
        """Who calls, by the two headers.

        Raises:
            BadToken: no token of ours, an expired one, no Origin, or one whose group the token does not hold.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise BadToken("Corrupted token. Authorization must be: Bearer <token>")
        verified = self._known.get(token)
        if verified is None:
            verified = self._verify_call(token)
        if verified.expires_at <= time.time():
            raise BadToken("Corrupted token. Signature has expired")
        if not origin:
            raise BadToken("Unknown vo : None")
        vo, _, role = origin.replace(":", ".").partition(".")
        if vo != self.vo:
            raise BadToken(f"Unknown vo : {vo}")
        group = f"{vo}/{role}" if role else vo
        if group not in verified.groups:
            raise BadToken(f"Not a member of the {group} group")
        return Caller(name=verified.name, is_production=role in _PRODUCTION_ROLES)

    def login_token(self) -> str:
        """A code for one login of a browser; works on the running server only."""
        return self._logins.issue()

    def sign_in(self, token: str) -> str | None:
        """The value of a new session's cookie for a login code, which is used up; None for a bad one."""
        if not self._logins.use(token):
            return None
        return self._sign("session", SESSION_LIFETIME_S)

    def knows(self, session: str) -> bool:
        """Whether this is the cookie of a session that has not expired."""
        return self._claims(session, "session") is not None

    def _verify_call(self, token: str) -> _Verified:
        claims = self._claims(token, "call")
        if claims is None:
            raise BadToken("Corrupted token. It was not issued by this server, or it has expired")
        verified = _Verified(claims["name"], frozenset(claims["groups"]), claims["exp"])
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[token] = verified
        return verified

    def _claims(self, token: str, purpose: str) -> dict[str, typing.Any] | None:
        try:
            return jwt.decode(
                token,
                self._public,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=purpose,
                options={"require": ["exp", "iat", "jti"]},
            )
        except jwt.PyJWTError:
            return None

    def _sign(self, purpose: str, lifetime_s: float, **claims: object) -> str:
        now = int(time.time())
        return jwt.encode(
            {
                "iss": ISSUER,
                "aud": purpose,
                "iat": now,
                "exp": now + int(lifetime_s),
                "jti": str(uuid.uuid4()),
                **claims,
            },
            self._key,
            algorithm=ALGORITHM,
        )

    def _is_fresh(self, token: str) -> bool:
        claims = self._claims(token, "call")
        if claims is None or self.vo not in claims["groups"]:
            return False
        return bool(claims["exp"] - time.time() > self._lifetime_s / 2)


def _load_or_make_key(path: Path) -> ec.EllipticCurvePrivateKey:
    if path.exists():
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key
    key = ec.generate_private_key(ec.SECP256R1())
    write_durably(path, private_key_pem(key))
    return key
