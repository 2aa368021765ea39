"""Proxies from the environment: which requests go through one, and how its refusals look."""

import asyncio
import base64
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from connect_proxy import ConnectProxy

from picard_pilot.system.http import HttpClient, HttpError, TlsSettings
from picard_pilot.system.http_proxies import proxy_for, without_credentials
from picard_pilot.testing.certificates import Authority
from picard_pilot.testing.faulty_server import FaultyServer, Say

DEADLINE_S = 10.0


@pytest.fixture
def clients() -> Iterator[list[HttpClient]]:
    made: list[HttpClient] = []
    yield made
    for client in made:
        client.close(wait_s=5.0)


def test_tls_goes_through_the_proxy_and_is_verified_end_to_end(
    tmp_path: Path, clients: list[HttpClient]
) -> None:
    """The proxy resolves the name and sees neither our headers nor the path; its login is not for the server."""
    authority = Authority(tmp_path)
    word = secrets.token_urlsafe(8)
    with FaultyServer([Say(body=b"ok")], tls=authority.server_context("panda.picard.test")) as server:
        proxy = ConnectProxy(server.port)
        client = HttpClient(
            user_agent="picard-test",
            tls=TlsSettings(ca_file=str(authority.ca_file)),
            environment={"https_proxy": f"http://robot:{word}%40@{proxy.address}"},
        )
        clients.append(client)
        for _ in range(2):
            url = f"https://panda.picard.test:{server.port}/secret-path"
            answer = asyncio.run(client.get_json(url, deadline_s=DEADLINE_S))
            assert answer.body == b"ok"
        client.close(wait_s=5.0)
        proxy.close()
    assert len(proxy.asked) == 1, "the tunnel is kept alive"
    assert proxy.asked[0].startswith(f"CONNECT panda.picard.test:{server.port} ")
    assert base64.b64encode(f"robot:{word}@".encode()).decode() in proxy.asked[0]
    assert "secret-path" not in proxy.asked[0]
    assert "proxy-authorization" not in server.seen[0].headers


def test_plain_http_goes_to_the_proxy_with_the_whole_address(clients: list[HttpClient]) -> None:
    """As caches such as squid expect it."""
    with FaultyServer([Say(body=b"cached")]) as proxy:
        client = HttpClient(user_agent="picard-test", environment={"http_proxy": f"127.0.0.1:{proxy.port}"})
        clients.append(client)
        answer = asyncio.run(client.get_json("http://cric.picard.test/queues", deadline_s=DEADLINE_S))
    assert answer.body == b"cached"
    assert proxy.seen[0].target == "http://cric.picard.test/queues"


@pytest.mark.parametrize("up", [True, False])
def test_a_proxy_that_refuses_or_is_gone_is_named_as_the_cause(clients: list[HttpClient], up: bool) -> None:
    """Not the server is to blame, and the proxy's password stays out of the sentence."""
    word = secrets.token_urlsafe(8)
    with FaultyServer([Say(status=403)]) as proxy:
        if not up:
            proxy.down()
        client = HttpClient(
            user_agent="picard-test",
            environment={"HTTPS_PROXY": f"http://robot:{word}@127.0.0.1:{proxy.port}"},
        )
        clients.append(client)
        with pytest.raises(HttpError) as caught:
            asyncio.run(client.get_json("https://panda.picard.test/", deadline_s=DEADLINE_S))
    assert caught.value.trouble == "proxy"
    assert not caught.value.may_have_arrived
    assert word not in str(caught.value)


def test_a_proxy_of_an_unknown_kind_is_named_as_the_cause(clients: list[HttpClient]) -> None:
    """A SOCKS proxy is not spoken to."""
    client = HttpClient(user_agent="picard-test", environment={"all_proxy": "socks5://127.0.0.1:1080"})
    clients.append(client)
    with pytest.raises(HttpError) as caught:
        asyncio.run(client.get_json("http://panda.picard.test/", deadline_s=DEADLINE_S))
    assert caught.value.trouble == "proxy"


@pytest.mark.parametrize(
    ("url", "no_proxy", "direct"),
    [
        ("https://panda.example.org/", "", False),
        ("https://panda.example.org/", "example.org", True),
        ("https://panda.example.org/", ".example.org", True),
        ("https://panda.example.org/", "*.example.org", True),
        ("https://notexample.org/", "example.org", False),
        ("https://panda.example.org:25443/", "panda.example.org:25443", True),
        ("https://panda.example.org:25443/", "panda.example.org:80", False),
        ("https://panda.example.org/", "other, panda.example.org", True),
        ("https://panda.example.org/", "*", True),
        ("https://10.1.2.3/", "10.0.0.0/8", True),
        ("https://192.0.2.1/", "10.0.0.0/8", False),
        ("https://127.0.0.1:25443/", "", True),
        ("https://localhost:25443/", "", True),
    ],
)
def test_exceptions_from_the_proxy(url: str, no_proxy: str, direct: bool) -> None:
    """The forms of no_proxy that sites write; loopback never leaves the node."""
    environment = {"https_proxy": "http://squid.example.org:3128", "no_proxy": no_proxy}
    expected = None if direct else "http://squid.example.org:3128"
    assert proxy_for(url, environment) == expected


def test_the_variables_of_the_environment() -> None:
    """Small letters win; all_proxy serves both; a missing scheme means plain http."""
    url = "http://cric.example.org/"
    assert proxy_for(url, {"http_proxy": "a:1", "HTTP_PROXY": "b:2"}) == "http://a:1"
    assert proxy_for(url, {"ALL_PROXY": "b:2"}) == "http://b:2"
    assert proxy_for(url, {"https_proxy": "a:1"}) is None
    assert without_credentials("http://robot:word@squid.example.org:3128/") == "http://squid.example.org:3128"
    assert without_credentials("http://a:b@[2001:db8::1]:3128") == "http://[2001:db8::1]:3128"
