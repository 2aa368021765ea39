"""Verified TLS, client certificates and secrets: what the HTTP client trusts, shows and never says."""

import asyncio
import logging
import secrets
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from picard_pilot.system.http import HttpAnswer, HttpClient, HttpError, TlsSettings
from picard_pilot.testing.certificates import Authority
from picard_pilot.testing.faulty_server import FaultyServer, Hangup, Raw, Reset, Say, Seen

DEADLINE_S = 10.0
MakeClient = Callable[..., HttpClient]


@pytest.fixture
def make_client() -> Iterator[MakeClient]:
    made: list[HttpClient] = []

    def make(*, authorise: Callable[[], Mapping[str, str]] | None = None, **tls: str | None) -> HttpClient:
        client = HttpClient(user_agent="picard-test", tls=TlsSettings(**tls), authorise=authorise)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close(wait_s=5.0)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def _get(client: HttpClient, url: str) -> HttpAnswer:
    return asyncio.run(client.get_json(url, deadline_s=DEADLINE_S))


def _trouble(client: HttpClient, url: str) -> HttpError:
    with pytest.raises(HttpError) as caught:
        _get(client, url)
    return caught.value


def test_a_server_of_the_trusted_authority_is_believed(authority: Authority, make_client: MakeClient) -> None:
    """The private authority's file is all a pilot needs, and the connection is kept."""
    client = make_client(ca_file=str(authority.ca_file))
    with FaultyServer([Say(body=b"ok")], tls=authority.server_context("127.0.0.1")) as server:
        for _ in range(3):
            assert _get(client, server.url).body == b"ok"
        assert server.connections == 1


def test_an_authority_directory_with_hashed_names_works(
    authority: Authority, make_client: MakeClient, tmp_path: Path
) -> None:
    """Grid nodes keep their authorities in a directory (X509_CERT_DIR), found by the hash of the subject."""
    authority.add_to_directory(tmp_path)
    with FaultyServer([Say(body=b"ok")], tls=authority.server_context("127.0.0.1")) as server:
        assert _get(make_client(ca_dir=str(tmp_path)), server.url).body == b"ok"


def test_a_server_of_a_strange_authority_is_refused(
    authority: Authority, make_client: MakeClient, tmp_path: Path
) -> None:
    """Today's pilot talked to anyone; ours sends such a server nothing."""
    stranger = Authority(tmp_path, "Somebody else")
    client = make_client(ca_file=str(authority.ca_file))
    with FaultyServer([Say(body=b"ok")], tls=stranger.server_context("127.0.0.1")) as server:
        error = _trouble(client, server.url)
    assert error.trouble == "tls"
    assert "certificate not accepted" in error.evidence
    assert not error.may_have_arrived
    assert not server.seen


def test_the_systems_authorities_do_not_know_a_private_one(
    authority: Authority, make_client: MakeClient
) -> None:
    """Without a setting the system's own list counts."""
    with FaultyServer([Say()], tls=authority.server_context("127.0.0.1")) as server:
        assert _trouble(make_client(), server.url).trouble == "tls"


def test_a_certificate_for_another_name_is_refused(authority: Authority, make_client: MakeClient) -> None:
    """A good certificate of another host proves nothing."""
    client = make_client(ca_file=str(authority.ca_file))
    with FaultyServer([Say()], tls=authority.server_context("other.example.org")) as server:
        error = _trouble(client, server.url)
    assert error.trouble == "tls"
    assert "127.0.0.1" in error.evidence
    assert not server.seen


def test_a_plain_server_behind_https_is_a_trouble_of_tls(
    authority: Authority, make_client: MakeClient
) -> None:
    """A wrong port is a common mistake."""
    client = make_client(ca_file=str(authority.ca_file))
    with FaultyServer([Say()]) as server:
        assert _trouble(client, server.url.replace("http:", "https:")).trouble in ("tls", "reset")


@pytest.mark.parametrize("kind", ["certificate", "proxy"])
def test_the_client_shows_its_certificate_or_proxy(
    authority: Authority, make_client: MakeClient, kind: str
) -> None:
    """An X.509 proxy file serves as certificate, chain and key."""
    issue = authority.issue if kind == "certificate" else authority.issue_proxy
    path = issue("robot pilot")
    context = authority.server_context("127.0.0.1", ask_client=True)
    with FaultyServer([Say(body=b"ok")], tls=context) as server:
        client = make_client(ca_file=str(authority.ca_file), certificate=str(path))
        assert _get(client, server.url).body == b"ok"
    assert "robot pilot" in (server.seen[0].client_subject or "")


def test_a_renewed_proxy_is_used_without_a_restart(authority: Authority, make_client: MakeClient) -> None:
    """A pilot outlives its first proxy."""
    path = authority.issue("first robot")
    context = authority.server_context("127.0.0.1", ask_client=True)
    client = make_client(ca_file=str(authority.ca_file), certificate=str(path))
    with FaultyServer([Say(body=b"ok")], tls=context) as server:
        _get(client, server.url)
        authority.issue("second robot").replace(path)
        _get(client, server.url)
    assert ["first" in (seen.client_subject or "") for seen in server.seen] == [True, False]


def test_without_the_certificate_a_server_wants_the_trouble_is_tls(
    authority: Authority, make_client: MakeClient
) -> None:
    """TLS 1.3 says so only after the request left."""
    context = authority.server_context("127.0.0.1", ask_client=True)
    with FaultyServer([Say()], tls=context) as server:
        error = _trouble(make_client(ca_file=str(authority.ca_file)), server.url)
    assert error.trouble in ("tls", "reset")


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(
    authority: Authority, make_client: MakeClient
) -> None:
    """A pilot has no terminal to type at."""
    path = authority.issue("locked", passphrase=secrets.token_bytes(8))
    error = _trouble(
        make_client(ca_file=str(authority.ca_file), certificate=str(path)), "https://127.0.0.1:1/"
    )
    assert error.trouble == "credential"
    assert "passphrase" in error.evidence


def test_rubbish_in_a_certificate_file_is_named(
    authority: Authority, make_client: MakeClient, tmp_path: Path
) -> None:
    """The sentence names the file, not its content."""
    path = tmp_path / "proxy.pem"
    path.write_text("rubbish-in-a-file")
    error = _trouble(
        make_client(ca_file=str(authority.ca_file), certificate=str(path)), "https://127.0.0.1:1/"
    )
    assert error.trouble == "credential"
    assert str(path) in error.evidence
    assert "rubbish-in-a-file" not in error.evidence


def _echo(seen: Seen) -> Raw:
    """A server that sends our own header back as if it were a status line."""
    return Raw(data=f"WHAT {seen.headers.get('authorization')}\r\n\r\n".encode())


@pytest.mark.parametrize("script", [[Hangup()], [Reset()], _echo])
def test_no_trouble_ever_tells_the_token(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture, script: object
) -> None:
    """Neither the text, nor the traceback, nor a chained exception, nor the log at its loudest."""
    caplog.set_level(logging.DEBUG)
    token = secrets.token_urlsafe(30)
    client = make_client(authorise=lambda: {"Authorization": f"Bearer {token}", "Origin": "vo.pilot"})
    with FaultyServer(script) as server:  # type: ignore[arg-type]
        error = _trouble(client, server.url)
    assert server.seen[0].headers["authorization"] == f"Bearer {token}"
    told = "".join(traceback.format_exception(error)) + caplog.text + repr(vars(error))
    chained = error.__context__
    while chained is not None:
        told += repr(chained)
        chained = chained.__context__
    assert token not in told


@pytest.mark.parametrize("ending", ["\n", "\r\nX-Evil: 1", "\u00e9"])
def test_a_token_that_is_no_header_is_refused_without_showing_it(
    make_client: MakeClient, ending: str
) -> None:
    """Today's pilot printed the token when its file ended in a newline."""
    token = secrets.token_urlsafe(30)
    client = make_client(authorise=lambda: {"Authorization": f"Bearer {token}{ending}"})
    with FaultyServer([Say()]) as server:
        error = _trouble(client, server.url)
    assert error.trouble == "credential"
    assert "Authorization" in error.evidence
    assert token not in "".join(traceback.format_exception(error))
    assert not server.seen
