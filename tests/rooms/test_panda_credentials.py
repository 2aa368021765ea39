"""Which credential the pilot takes, what it says about it, and that it never says what it is."""

import base64
import json
import os
import secrets
from pathlib import Path

import pytest

from picard_pilot.panda.credentials import discover
from picard_pilot.system.bearer import Token, TokenUnusable, claims_of

EUID = os.geteuid()
NOBODY = 4_000_000
"""A user id under which nothing lies in /tmp."""


def _jwt(**claims: object) -> str:
    """An unsigned token with these claims, and a part that makes it unique."""
    parts = ({"alg": "none"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, secrets.token_urlsafe(20)])


def _file(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_the_order_of_places(tmp_path: Path) -> None:
    """Taking the first place away, one after another, shows the order."""
    runtime = tmp_path / "run"
    runtime.mkdir()
    _file(runtime / f"bt_u{NOBODY}", "in-the-runtime-directory")
    environment = {
        "OIDC_AUTH_TOKEN": _file(tmp_path / "oidc", "of-oidc"),
        "PANDA_AUTH_TOKEN": _file(tmp_path / "panda", "of-panda"),
        "BEARER_TOKEN": "as-text",
        "BEARER_TOKEN_FILE": _file(tmp_path / "bearer", "of-the-file"),
        "XDG_RUNTIME_DIR": str(runtime),
        "X509_USER_PROXY": _file(tmp_path / "x509", "a proxy"),
    }
    # What belongs to the user who runs the test can be found in the runtime directory only under his own id.
    (runtime / f"bt_u{EUID}").write_text("in-the-runtime-directory")
    expected = ["of-oidc", "of-panda", "as-text", "of-the-file", "in-the-runtime-directory"]
    for name, token in zip(list(environment)[:5], expected, strict=True):
        assert discover(environment, euid=EUID).headers()["Authorization"] == f"Bearer {token}"
        del environment[name]
    last = discover(environment, euid=NOBODY)
    assert last.headers() == {}
    assert last.certificate == environment["X509_USER_PROXY"]


def test_an_empty_or_missing_place_means_the_next_one(tmp_path: Path) -> None:
    """And it is said why it was passed over."""
    credential = discover(
        {
            "OIDC_AUTH_TOKEN": str(tmp_path / "gone"),
            "BEARER_TOKEN": "  ",
            "BEARER_TOKEN_FILE": _file(tmp_path / "empty", "\n"),
            "X509_USER_PROXY": str(tmp_path / "no-proxy"),
        },
        euid=NOBODY,
    )
    assert "no credential" in credential.describe()
    first, second, third, last = credential.warnings
    assert "gone" in first
    assert "empty" in second
    assert "no-proxy" in third
    assert "no credential" in last


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "  \n\n"])
def test_a_token_file_may_end_in_a_newline(tmp_path: Path, ending: str) -> None:
    """Every editor writes one."""
    token = secrets.token_urlsafe(20)
    credential = discover({"BEARER_TOKEN_FILE": _file(tmp_path / "token", token + ending)}, euid=NOBODY)
    assert credential.headers()["Authorization"] == f"Bearer {token}"


def test_pandas_token_variable_names_a_file_in_its_directory_with_or_without_a_slash(tmp_path: Path) -> None:
    """Today's pilot lost the directory's last part when the slash was missing."""
    _file(tmp_path / "robot.token", "of-the-robot")
    for directory in (str(tmp_path), f"{tmp_path}/"):
        environment = {
            "PANDA_AUTH_TOKEN": "robot.token",
            "PANDA_AUTH_DIR": directory,
            "PANDA_AUTH_ORIGIN": "panda_dev.pilot",
        }
        credential = discover(environment, euid=NOBODY)
        assert credential.headers() == {"Authorization": "Bearer of-the-robot", "Origin": "panda_dev.pilot"}
        assert "PANDA_AUTH_TOKEN" in credential.describe()


def test_pandas_token_variable_may_hold_the_token_itself() -> None:
    """Some sites put the token there instead of a file name."""
    token = _jwt(exp=1)
    credential = discover({"OIDC_AUTH_TOKEN": token}, euid=NOBODY)
    assert credential.headers()["Authorization"] == f"Bearer {token}"
    assert token not in str(credential) + repr(credential) + credential.describe()


def test_the_origin_is_the_one_given_beside_the_token() -> None:
    """Else that of the other family."""
    environment = {"PANDA_AUTH_TOKEN": _jwt(exp=1), "OIDC_AUTH_ORIGIN": "a.pilot"}
    assert discover(environment, euid=NOBODY).headers()["Origin"] == "a.pilot"
    environment["PANDA_AUTH_VO"] = "b.pilot"
    assert discover(environment, euid=NOBODY).headers()["Origin"] == "b.pilot"
    environment["PANDA_AUTH_ORIGIN"] = "c.pilot"
    assert discover(environment, euid=NOBODY).headers()["Origin"] == "c.pilot"


@pytest.mark.parametrize(
    ("claims", "origin"),
    [
        ({"groups": ["vo", "vo/production", "vo/pilot"]}, "vo.pilot"),
        ({"groups": ["vo/user", "vo/production"]}, "vo.production"),
        ({"wlcg.groups": ["/vo/pilot"]}, "vo.pilot"),
        ({"groups": ["vo/user"]}, None),
        ({"groups": "vo/pilot"}, None),
        ({}, None),
    ],
)
def test_without_an_origin_the_tokens_own_groups_say_it(
    claims: dict[str, object], origin: str | None
) -> None:
    """A token file alone is enough for a server that wants to know the group."""
    assert discover({"BEARER_TOKEN": _jwt(**claims)}, euid=NOBODY).headers().get("Origin") == origin


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    """A pilot outlives its first token, whether the file is rewritten or replaced."""
    path = tmp_path / "token"
    _file(path, "first")
    token = Token("test", path=path)
    assert token.value() == "first"
    path.write_text("second-longer")
    assert token.value() == "second-longer"
    _file(tmp_path / "new", "third")
    (tmp_path / "new").replace(path)
    assert token.value() == "third"


def test_a_file_that_is_being_renewed_leaves_the_last_token_in_use(tmp_path: Path) -> None:
    """Gone or empty for a moment is no reason to fail a heartbeat."""
    path = tmp_path / "token"
    _file(path, "first")
    token = Token("test", path=path)
    token.value()
    path.write_text("")
    assert token.value() == "first"
    path.unlink()
    assert token.value() == "first"
    path.write_text("second")
    assert token.value() == "second"


@pytest.mark.parametrize("content", ["two words", "a\nb", "<html>", "caf\u00e9", "x" * 70_000, ""])
def test_what_is_no_token_is_refused_without_being_shown(tmp_path: Path, content: str) -> None:
    """The sentence names the place."""
    path = tmp_path / "token"
    _file(path, content)
    with pytest.raises(TokenUnusable) as caught:
        Token("THE_PLACE", path=path).value()
    assert "THE_PLACE" in str(caught.value)
    assert not content or content[:40] not in str(caught.value)


def test_expiry_is_read_from_the_token_itself() -> None:
    """Unverified: it serves a warning, not trust."""
    environment = {"BEARER_TOKEN": _jwt(exp=1000)}
    credential = discover(environment, euid=NOBODY, now=999)
    assert credential.expires_at() == 1000
    assert credential.warnings == ()
    later = discover(environment, euid=NOBODY, now=1000 + 7260)
    assert later.warnings == ("the token from BEARER_TOKEN expired 2 h 1 min ago",)


@pytest.mark.parametrize(
    "token", ["opaque", "a.b.c", "a.!!!.c", "..", f"a.{base64.b64encode(b'[1]').decode()}.c"]
)
def test_a_token_that_is_no_jwt_has_no_claims(token: str) -> None:
    """Opaque tokens are fine; they just do not tell when they end."""
    assert claims_of(token) is None


def test_files_that_others_can_touch_are_warned_of(tmp_path: Path) -> None:
    """A token that all may read is nobody's secret."""
    private = discover({"BEARER_TOKEN_FILE": _file(tmp_path / "a", "token")}, euid=EUID)
    readable = discover({"BEARER_TOKEN_FILE": _file(tmp_path / "b", "token", 0o644)}, euid=EUID)
    writable = discover({"X509_USER_PROXY": _file(tmp_path / "c", "proxy", 0o666)}, euid=NOBODY)
    assert private.warnings == ()
    assert "read by other users" in readable.warnings[0]
    assert any("changed by other users" in line for line in writable.warnings)


def test_every_token_that_is_read_is_made_known_as_a_secret(tmp_path: Path) -> None:
    """Also the renewed one, so that the log can hide it."""
    path = tmp_path / "token"
    secrets_known: list[str] = []
    _file(path, "first-token")
    credential = discover({"BEARER_TOKEN_FILE": str(path)}, euid=EUID, secret=secrets_known.append)
    for _ in range(2):
        credential.headers()
    path.write_text("second-token-longer")
    credential.headers()
    assert secrets_known == ["first-token", "second-token-longer"]


def test_authorities_are_a_file_or_a_directory(tmp_path: Path) -> None:
    """X509_CERT_DIR names a directory, a private authority is a file."""
    credential = discover({}, euid=NOBODY)
    file = _file(tmp_path / "ca.pem", "authority")
    assert credential.tls(file).ca_file == file
    assert credential.tls(str(tmp_path)).ca_dir == str(tmp_path)
    assert credential.tls(None).ca_file is credential.tls(None).ca_dir is None


def test_places_where_nobody_can_look_are_passed_over(tmp_path: Path) -> None:
    """A runtime directory of another user's, a name that is no name: no reason to end."""
    nowhere = str(tmp_path / ("x" * 300))
    found = discover({"XDG_RUNTIME_DIR": nowhere, "X509_USER_PROXY": f"{nowhere}/proxy"}, euid=NOBODY)
    assert found.token is None and found.certificate is None
    assert any("X509_USER_PROXY" in warning for warning in found.warnings)
    assert found.tls(nowhere).ca_file == nowhere
    token = _jwt(sub="a" * 300)
    environment = {"PANDA_AUTH_TOKEN": token, "PANDA_AUTH_DIR": str(tmp_path)}
    assert discover(environment, euid=NOBODY).headers()["Authorization"] == f"Bearer {token}"
