"""A stand-alone XRootD door with TLS and tokens: roots://, root:// and https:// on one port.

No issuer runs: its key, made for this door, is put where the server's token library keeps the keys it has fetched.
"""

import getpass
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa

from federation import EXPORT, Storage, lay_out, program, server_folder
from picard_pilot.testing.certificates import Authority
from xrootd_server import RUN_AS, free_ports, hand_over, listens

ISSUER = "https://issuer.invalid/picard"
"""A name that cannot exist: no test reaches outside."""

AUDIENCE = "https://wlcg.cern.ch/jwt/v1/any"
KEY_ID = "picard-test"
DAY_S = 86400

_CONFIG = """
all.role server
all.adminpath {folder}/adm
all.pidpath {folder}/adm
all.export {export}
oss.localroot {root}
xrd.trace off
xrd.port {port}
xrd.tls {host_pem} {host_pem}
xrd.tlsca certdir {cert_dir}
xrootd.tls capable none
xrd.protocol http libXrdHttp.so
http.header2cgi Authorization authz
xrootd.seclib libXrdSec.so
sec.protocol ztn
sec.protocol unix
sec.protbind * ztn unix
ofs.authorize 1
acc.authdb {folder}/authdb
ofs.authlib ++ libXrdAccSciTokens.so config={folder}/tokens
xrootd.chksum max 32 adler32 md5 crc32c
"""

_TOKENS = """
[Global]
audience = {audience}
onmissing = passthrough
[Issuer picard]
issuer = {issuer}
base_path = {export}/tok
default_user = {user}
map_subject = false
"""


class SecureDoor:
    """The door. Below `/data/open` everybody may do everything, below `/data/tok` a token's scopes decide.

    `root`, `roots` and `https` are addresses of `/data`; `ca_file` and `cert_dir` hold who signed its certificate.
    """

    def __init__(self, base: Path) -> None:
        self._base = folder = base / "door"
        port = free_ports(1)[0]
        self.port = port
        self.root, self.roots = (f"{scheme}://localhost:{port}/{EXPORT}" for scheme in ("root", "roots"))
        self.https = f"https://localhost:{port}{EXPORT}"
        self.cert_dir = folder / "certificates"
        config = _CONFIG.format(
            folder=folder,
            export=EXPORT,
            root=folder / "tree",
            port=port,
            host_pem=folder / "localhost.pem",
            cert_dir=self.cert_dir,
        )
        lay_out(folder, config)
        self.storage = Storage(folder / "tree" / EXPORT.strip("/"))
        authority = Authority(folder)
        self.ca_file = authority.ca_file
        self.cert_dir.mkdir()
        authority.add_to_directory(self.cert_dir)
        self._key = rsa.generate_private_key(65537, 2048)
        made = [
            authority.issue("localhost", hosts=("localhost", "127.0.0.1")),
            self.storage.folder / "open",
            self.storage.folder / "tok",
            *self._know_issuer(folder / "cache"),
        ]
        for name in ("open", "tok"):
            self.storage.path(name).mkdir()
        (folder / "authdb").write_text(f"u * {EXPORT}/open a\n")
        user = RUN_AS if os.geteuid() == 0 else getpass.getuser()
        (folder / "tokens").write_text(
            _TOKENS.format(audience=AUDIENCE, issuer=ISSUER, export=EXPORT, user=user)
        )
        hand_over(*made, folder / "authdb", folder / "tokens", self.ca_file)
        self.xrootd = program(
            "xrootd", "door", folder, lambda: listens(port), XDG_CACHE_HOME=str(folder / "cache")
        )

    def _know_issuer(self, cache: Path) -> list[Path]:
        """The token library's store of issuers' keys, with ours in it; what was made."""
        folder = cache / "scitokens"
        folder.mkdir(parents=True)
        key: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        known = {"kid": KEY_ID, "alg": "RS256", "use": "sig", **key}
        now = int(time.time())
        keys = {"jwks": {"keys": [known]}, "next_update": now + 5 * DAY_S, "expires": now + 9 * DAY_S}
        store = folder / "scitokens_cpp.sqllite"
        database = sqlite3.connect(store)
        try:
            with database:
                database.execute(
                    "CREATE TABLE keycache (issuer text UNIQUE PRIMARY KEY NOT NULL, keys text NOT NULL)"
                )
                database.execute(
                    "INSERT INTO keycache VALUES (?, ?)", (ISSUER, msgspec.json.encode(keys).decode())
                )
        finally:
            database.close()
        return [cache, folder, store]

    def token(self, *scopes: str, life_s: float = 600.0) -> str:
        """A signed token: `storage.read:/`, `storage.modify:/`, below `/data/tok`. A negative life has passed."""
        now = time.time()
        claims = {
            "wlcg.ver": "1.0",
            "iss": ISSUER,
            "sub": "pilot",
            "aud": AUDIENCE,
            "iat": int(min(now, now + life_s)) - 60,
            "nbf": int(min(now, now + life_s)) - 60,
            "exp": int(now + life_s),
            "jti": str(uuid.uuid4()),
            "scope": " ".join(scopes),
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": KEY_ID})

    def start(self) -> None:
        """Start it; returns when it listens."""
        self.xrootd.start()

    def mend(self) -> None:
        """After a test: it goes on, or runs again."""
        self.xrootd.thaw()
        if not self.xrootd.is_alive():
            self.xrootd.start()

    def end(self) -> None:
        """End it."""
        self.xrootd.kill()


@contextmanager
def running_door() -> Iterator[SecureDoor]:
    """A door that is up, and gone afterwards."""
    with server_folder() as base:
        door = SecureDoor(base)
        try:
            door.start()
            yield door
        finally:
            door.end()
