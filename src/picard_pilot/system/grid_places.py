"""Where the grid agreed to look for credentials: bearer tokens by the WLCG's discovery, X.509 by its variables.

Which of them is used for what is `panda.credentials` for the server, `pilot.access` for storages.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from picard_pilot.system.bearer import Token

_OTHERS_MAY_READ = stat.S_IRGRP | stat.S_IROTH
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_ROOT = 0


class CertificatePlace(NamedTuple):
    """A certificate or proxy that may be there: where the name came from, its file, its key's file if apart."""

    source: str
    certificate: str
    key: str | None = None


def token_places(environment: Mapping[str, str], euid: int) -> Iterator[Token]:
    """The tokens of the WLCG's discovery, first come first served: BEARER_TOKEN, BEARER_TOKEN_FILE,
    $XDG_RUNTIME_DIR/bt_u<euid>, /tmp/bt_u<euid>; the last two only as files of ours or of root."""
    text = environment.get("BEARER_TOKEN", "").strip()
    if text:
        yield Token("BEARER_TOKEN", text=text)
    file = environment.get("BEARER_TOKEN_FILE", "").strip()
    if file:
        yield Token(file, path=Path(file))  # named by the variable, or by a setting
    runtime = environment.get("XDG_RUNTIME_DIR", "").strip()
    for folder in filter(None, (runtime, "/tmp")):
        path = Path(folder) / f"bt_u{euid}"
        if is_ours(path, euid):
            yield Token(str(path), path=path)


def certificate_places(environment: Mapping[str, str], euid: int) -> Iterator[CertificatePlace]:
    """X509_USER_PROXY, /tmp/x509up_u<euid> as a file of ours, X509_USER_CERT with X509_USER_KEY."""
    proxy = environment.get("X509_USER_PROXY", "").strip()
    if proxy:
        yield CertificatePlace(f"X509_USER_PROXY ({proxy})", proxy)
    usual = f"/tmp/x509up_u{euid}"
    if is_ours(Path(usual), euid):
        yield CertificatePlace(usual, usual)
    certificate = environment.get("X509_USER_CERT", "").strip()
    if certificate:
        key = environment.get("X509_USER_KEY", "").strip() or None
        yield CertificatePlace(f"X509_USER_CERT ({certificate})", certificate, key)


def is_ours(path: Path, euid: int) -> bool:
    """In a directory that all may write to, a file of somebody else would make us act as he likes."""
    try:
        facts = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(facts.st_mode) and facts.st_uid in (euid, _ROOT)


def file_warnings(path: Path, euid: int) -> Iterator[str]:
    """What a careful person wants to know of a credential's file: others can read or change it, or own it."""
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


def authorities(path: str | None) -> tuple[str | None, str | None]:
    """A setting for certificate authorities as file or directory, one of them None."""
    if path is not None and os.access(f"{path}/.", os.F_OK):
        return None, path
    return path, None
