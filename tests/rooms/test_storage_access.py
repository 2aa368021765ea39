"""As whom the pilot goes to storages: found where the grid agreed, read anew for each request, never shown."""

import base64
import json
import logging
import os
import secrets
from pathlib import Path

import pytest
from worker_kit import HERE, good, request, run

from picard_pilot.data.worker import TransferWorker
from picard_pilot.experiments.environment import payload_environment
from picard_pilot.model.transfer import StorageAccess
from picard_pilot.pilot.access import StorageCredentials
from picard_pilot.settings.environment import storage_authorities, storage_environment
from picard_pilot.settings.read import settings_for
from picard_pilot.system.redact import Redactor
from picard_pilot.system.x509 import ends_at
from picard_pilot.testing.certificates import Authority

NOBODY = 4_000_000
"""A user id under which nothing lies in /tmp."""

NOW = 1_700_000_000.0


def _jwt(**claims: object) -> str:
    parts = ({"alg": "none"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, secrets.token_urlsafe(20)])


def _file(path: Path, text: str, mode: int = 0o600) -> str:
    """Put a file in place as those who renew tokens do: at once, as a whole."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.chmod(mode)
    new.replace(path)
    return str(path)


class _Credentials(StorageCredentials):
    """With what tests look at: the clock, and the secrets that were told."""

    def __init__(self, environment: dict[str, str], ca: str | None = None) -> None:
        self.now = NOW
        self.secrets: list[str] = []
        super().__init__(
            environment, euid=NOBODY, ca=ca, secret=self.secrets.append, now_utc=lambda: self.now
        )


def test_nothing_is_found_where_there_is_nothing() -> None:
    """Public storages do not mind."""
    access = _Credentials({})
    assert access() == StorageAccess()
    assert access.describe() == "storages are shown no credential"


def test_token_proxy_and_authorities(tmp_path: Path) -> None:
    """All that is there is shown: which of it a storage wants is the mover's business."""
    token = secrets.token_urlsafe(20)
    environment = {
        "BEARER_TOKEN_FILE": _file(tmp_path / "token", token + "\n"),
        "X509_USER_PROXY": _file(tmp_path / "proxy", "a proxy"),
    }
    access = _Credentials(environment, ca=str(tmp_path))
    assert access() == StorageAccess(
        token=token,
        token_source=environment["BEARER_TOKEN_FILE"],
        certificate=environment["X509_USER_PROXY"],
        ca_dir=str(tmp_path),
    )
    assert access.secrets == [token]
    assert token not in access.describe() and environment["X509_USER_PROXY"] in access.describe()
    assert token not in repr(access())


def test_a_renewed_token_counts_at_once(tmp_path: Path) -> None:
    """The next request goes with what the file holds then, and each token is told as a secret before."""
    path = tmp_path / "token"
    first, second = secrets.token_urlsafe(20), secrets.token_urlsafe(20)
    access = _Credentials({"BEARER_TOKEN_FILE": _file(path, first)})
    assert access().token == first
    _file(path, second)
    assert access().token == second
    path.unlink()
    assert access().token == second  # somebody is renewing it
    assert access.secrets == [first, second]


def test_a_token_that_appears_later_is_found(tmp_path: Path) -> None:
    """The runtime directory was empty at the pilot's start."""
    access = _Credentials({"XDG_RUNTIME_DIR": str(tmp_path)})
    assert access().token is None
    mine = StorageCredentials(
        {"XDG_RUNTIME_DIR": str(tmp_path)},
        euid=os.geteuid(),
        ca=None,
        secret=lambda _: None,
        now_utc=lambda: NOW,
    )
    token = secrets.token_urlsafe(20)
    _file(tmp_path / f"bt_u{os.geteuid()}", token)
    assert mine().token == token


def test_a_token_that_ends_is_said_in_time_and_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One line ten minutes before, one when it is over, none for the token that follows; the token in none."""
    path = tmp_path / "token"
    old = _jwt(exp=NOW + 3600)
    access = _Credentials({"BEARER_TOKEN_FILE": _file(path, old)})
    with caplog.at_level(logging.WARNING):
        access()
        assert caplog.messages == []
        access.now += 3300
        access()
        access()
        assert caplog.messages == [f"the token for storages from {path} ends in 300 s"]
        access.now += 400
        access()
        access()
        assert caplog.messages[1:] == [f"the token for storages from {path} has expired"]
        _file(path, _jwt(exp=access.now + 3600))
        access()
        assert len(caplog.messages) == 2
    assert old not in caplog.text


def test_a_proxy_that_ends_is_said_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its end is read from the file; one that is renewed is silent again, one that is none is said and shown."""
    authority = Authority(tmp_path)
    proxy = authority.issue("pilot")
    environment = {"X509_USER_PROXY": str(tmp_path / "proxy")}
    _file(tmp_path / "proxy", Path(proxy).read_text())
    access = _Credentials(environment)
    access.now = ends_at(tmp_path / "proxy") - 3600
    with caplog.at_level(logging.WARNING):
        access()
        assert caplog.messages == []
        access.now += 3400
        access()
        access()
        assert caplog.messages == [f"the certificate or proxy for storages in {tmp_path}/proxy ends in 200 s"]
        access.now += 300
        access()
        access()
        assert caplog.messages[1:] == [
            f"the certificate or proxy for storages in {tmp_path}/proxy has expired"
        ]
        _file(tmp_path / "proxy", "no certificate at all")
        assert access().certificate == environment["X509_USER_PROXY"]
        access()
        assert len(caplog.messages) == 3 and "holds no certificate" in caplog.messages[2]


def test_what_cannot_be_used_is_passed_over_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An empty token file and a missing proxy are no reason to go without what else there is."""
    runtime = tmp_path / "run"
    runtime.mkdir()
    environment = {
        "BEARER_TOKEN_FILE": _file(tmp_path / "empty", "\n"),
        "X509_USER_PROXY": str(tmp_path / "gone"),
        "X509_USER_CERT": _file(tmp_path / "cert", "a certificate"),
        "X509_USER_KEY": _file(tmp_path / "key", "a key"),
    }
    access = _Credentials(environment)
    for _ in range(3):
        found = access()
    assert (found.token, found.certificate, found.key) == (
        None,
        environment["X509_USER_CERT"],
        environment["X509_USER_KEY"],
    )
    empty, gone, strange = caplog.messages
    assert "empty" in empty and "gone" in gone and "cert holds no certificate" in strange


def test_a_token_file_that_others_can_read_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is used all the same: the transfer matters more."""
    access = _Credentials({"BEARER_TOKEN_FILE": _file(tmp_path / "token", "open-to-all", 0o644)})
    assert access().token == "open-to-all"
    assert any("can be read by other users" in line for line in caplog.messages)


def test_settings_win_over_variables_and_no_storage_sees_the_servers_token() -> None:
    """A token that was given for the server is made out to the server; a proxy is for both."""
    environ = {
        "PANDA_AUTH_TOKEN": "for-the-server",
        "OIDC_AUTH_TOKEN": "for-the-server",
        "BEARER_TOKEN": "of-the-grid",
        "X509_USER_PROXY": "/proxy",
        "HOME": "/home/somebody",
    }
    plain = storage_environment(environ, settings_for())
    assert plain == {"BEARER_TOKEN": "of-the-grid", "X509_USER_PROXY": "/proxy"}
    of_the_server = storage_environment(environ, settings_for(token_file="/t/server"))
    assert of_the_server == plain
    assert storage_environment(environ, settings_for(x509_proxy="/p/server")) == {
        "BEARER_TOKEN": "of-the-grid",
        "X509_USER_PROXY": "/p/server",
    }
    own = storage_environment(environ, settings_for(token_file="/t/server", storage_token_file="/t/storage"))
    assert own == {"BEARER_TOKEN_FILE": "/t/storage", "X509_USER_PROXY": "/proxy"}
    proxy = storage_environment(
        environ, settings_for(token_file="/t/server", storage_x509_proxy="/p/storage")
    )
    assert proxy == {"X509_USER_PROXY": "/p/storage"}


def test_the_grids_authorities_count_for_storages() -> None:
    """A server of one's own has an authority of its own, which signed no storage's certificate."""
    grid = {"X509_CERT_DIR": "/etc/grid-security/certificates"}
    assert storage_authorities({}, settings_for()) is None
    assert storage_authorities({}, settings_for(ca="/server/ca.pem")) == "/server/ca.pem"
    assert storage_authorities(grid, settings_for(ca="/server/ca.pem")) == grid["X509_CERT_DIR"]
    assert storage_authorities(grid, settings_for(storage_ca="/own")) == "/own"


def test_the_payload_gets_none_of_it() -> None:
    """Neither the variables nor the settings that lead to a storage's credentials."""
    inherited = {
        "PATH": "/usr/bin",
        "PICARD_STORAGE_TOKEN_FILE": "/t/storage",
        "PICARD_STORAGE_X509_PROXY": "/p/storage",
        "BEARER_TOKEN": "t",
        "BEARER_TOKEN_FILE": "/t",
        "X509_USER_PROXY": "/p",
        "XDG_RUNTIME_DIR": "/run/user/1",
    }
    assert payload_environment(inherited) == {"PATH": "/usr/bin"}


def test_each_request_travels_with_the_credential_of_its_moment(tmp_path: Path) -> None:
    """A file replaced between two requests: the worker's mover sees the first token, then the second."""
    path = tmp_path / "token"
    first, second = _jwt(exp=NOW - 1), _jwt(exp=NOW + 9999)
    access = _Credentials({"BEARER_TOKEN_FILE": _file(path, first)})

    async def work() -> None:
        async with TransferWorker(
            log_path=tmp_path / "worker.log", environment={**os.environ, "PYTHONPATH": HERE}, access=access
        ) as client:
            seen = []
            for name, token in (("one", first), ("two", second)):
                _file(path, token)
                good(await client.transfer(request(tmp_path, name, mover="Seeing")))
                seen.append((tmp_path / "node" / f"{name}.seen").read_text())
            assert seen == [first, second]

    run(work())


def test_no_token_is_ever_in_a_log(tmp_path: Path) -> None:
    """What the redactor was told is hidden, also when a program prints it."""
    redactor = Redactor()
    token = secrets.token_urlsafe(30)
    access = StorageCredentials(
        {"BEARER_TOKEN_FILE": _file(tmp_path / "token", token)},
        euid=NOBODY,
        ca=None,
        secret=redactor.register,
        now_utc=lambda: NOW,
    )
    access()
    assert token not in redactor.line(f"the storage was sent {token}", False)[0]


def test_the_file_is_read_once(tmp_path: Path) -> None:
    """However many requests there are: the same file is only looked at."""
    path = tmp_path / "token"
    access = _Credentials({"BEARER_TOKEN_FILE": _file(path, "first-token")})
    access()
    stamp = path.stat()
    path.write_text("other-token")  # as long, and said to be as old: nobody could tell but by reading
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert {access().token for _ in range(100)} == {"first-token"}
