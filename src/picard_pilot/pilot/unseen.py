"""What of the pilot's a payload must not see, and what it must see all the same.

Paths only; hiding and showing them is `isolation`.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from picard_pilot.model.bundle import Bundle
from picard_pilot.model.policy import CredentialNeeds
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.work import JobWork
from picard_pilot.settings.environment import credential_environment
from picard_pilot.system.grid_places import certificate_places, token_places

NOBODYS_HOMES = ("/", "/usr", "/var", "/tmp", "/var/tmp")
"""Homes of users that have none, which cannot be hidden."""


def to_hide(parts: Parts, bundle: Bundle) -> tuple[str, ...]:
    """The pilot's work area with all its other jobs, its records of this one, its credentials and its home."""
    home = parts.environ.get("HOME", "")
    homes = [home] if home.startswith("/") and home not in NOBODYS_HOMES and _is_ours(home) else []
    return tuple(dict.fromkeys((str(parts.workdir), bundle.private, *_credentials(parts), *homes)))


def to_show(parts: Parts, work: JobWork, needs: CredentialNeeds) -> tuple[str, ...]:
    """What the job's inputs lead to on mounted storages, and the credentials that the experiment wants it to have."""
    bundle, staged = work.bundle, work.case.staged
    links = [Path(bundle.directory, file.lfn) for file in work.case.job.inputs]
    targets = [str(link.parent / link.readlink()) for link in links if link.is_symlink()]
    direct = [_local(found.turl) for found in staged.values() if found.turl is not None]
    wanted = [parts.environ.get(name, "") for name in needs.variables]
    asked = [each for each in wanted if each.startswith("/") and Path(each).is_file()]
    return tuple(dict.fromkeys((*targets, *(each for each in direct if each), *asked)))


def _credentials(parts: Parts) -> Iterator[str]:
    """Every file that is, or may become, a credential of the pilot's, and the folder of its user's session."""
    settings, environ = parts.settings, parts.environ
    # The variables alone too: what a setting overrules is a credential all the same.
    for variables in (credential_environment(environ), credential_environment(environ, settings)):
        for token in token_places(variables, os.geteuid()):
            if token.path is not None:
                yield _whole(str(token.path))
        for place in certificate_places(variables, os.geteuid()):
            yield _whole(place.certificate)
            if place.key is not None:
                yield _whole(place.key)
    folders = {"OIDC": environ.get("OIDC_AUTH_DIR", ""), "PANDA": environ.get("PANDA_AUTH_DIR", "")}
    for prefix, folder in folders.items():
        named = environ.get(f"{prefix}_AUTH_TOKEN", "").strip()
        if named and (path := Path(folder, named)).is_file():
            yield _whole(str(path))
    others = (settings.storage_token_file, settings.storage_x509_proxy, environ.get("GLEXEC_CLIENT_CERT"))
    yield from (_whole(each) for each in others if each)
    if (session := environ.get("XDG_RUNTIME_DIR", "")) and Path(session).is_dir():
        yield session


def _whole(path: str) -> str:
    return str(Path(path).absolute())


def _is_ours(folder: str) -> bool:
    try:
        return Path(folder).stat().st_uid == os.geteuid()
    except OSError:
        return False


def _local(turl: str) -> str | None:
    """The path of an address on a mounted storage; None for all others."""
    parts = urlsplit(turl)
    return unquote(parts.path) if parts.scheme == "file" else None
