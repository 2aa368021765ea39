"""The HTTP client against a server on real sockets that misbehaves in every way a night can bring."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from picard_pilot.system.http import HttpAnswer, HttpClient, HttpError, HttpRequest, TlsSettings
from picard_pilot.system.redact import Redactor
from picard_pilot.testing.faulty_server import (
    Drip,
    FaultyServer,
    Hang,
    Hangup,
    Raw,
    Reset,
    Say,
    Seen,
    Slow,
    Truncate,
)

DEADLINE_S = 10.0


@pytest.fixture
def client() -> Iterator[HttpClient]:
    made = HttpClient(user_agent="picard-test")
    yield made
    made.close(wait_s=5.0)


def _get(client: HttpClient, url: str, deadline_s: float = DEADLINE_S) -> HttpAnswer:
    return asyncio.run(client.get_json(url, deadline_s=deadline_s))


def _post(client: HttpClient, url: str, body: bytes = b"{}", *, repeatable: bool = False) -> HttpAnswer:
    return asyncio.run(client.post_json(url, body, deadline_s=DEADLINE_S, repeatable=repeatable))


def test_an_answer_of_any_status_is_an_answer(client: HttpClient) -> None:
    """Only the caller knows what 403 or 500 means to it."""
    with FaultyServer(
        [Say(status=500, body=b"died"), Say(status=302, headers=(("Location", "/x"),))]
    ) as server:
        first, second = _post(client, server.url + "/a"), _post(client, server.url + "/b")
    assert (first.status, first.body) == (500, b"died")
    assert (second.status, second.headers["location"]) == (302, "/x")
    assert len(server.seen) == 2, "a redirect is not followed"


def test_json_goes_out_with_bare_types_and_the_query_encoded(client: HttpClient) -> None:
    """PanDA compares content types letter by letter, and takes lists by repeated keys."""
    with FaultyServer([Say(body=b"ok")]) as server:
        _post(client, server.url + "/api/v1/pilot/update_job", b'{"job_id":1}')
        asyncio.run(
            client.get_json(server.url + "/q", [("job_ids", "1"), ("job_ids", "2")], deadline_s=DEADLINE_S)
        )
    post, get = server.seen
    assert post.headers["content-type"] == post.headers["accept"] == "application/json"
    assert post.headers["user-agent"] == "picard-test"
    assert post.body == b'{"job_id":1}'
    assert get.target == "/q?job_ids=1&job_ids=2"


def test_connections_are_kept_alive(client: HttpClient) -> None:
    """Ten requests one after another share one connection."""
    with FaultyServer([Say(body=b"ok")]) as server:
        for _ in range(10):
            _post(client, server.url)
        assert server.connections == 1


def test_a_stale_connection_is_replaced_for_a_repeatable_request(client: HttpClient) -> None:
    """A server that drops a connection just as we reuse it costs a heartbeat nothing."""
    with FaultyServer([Say(body=b"1"), Hangup(), Say(body=b"2")]) as server:
        _post(client, server.url, repeatable=True)
        assert _post(client, server.url, repeatable=True).body == b"2"
        assert server.connections == 2


def test_a_request_that_must_not_be_repeated_is_not(client: HttpClient) -> None:
    """Asking twice for a job could lose one, so the trouble is reported instead."""
    with FaultyServer([Say(body=b"1"), Hangup(), Say(body=b"2")]) as server:
        _post(client, server.url)
        with pytest.raises(HttpError) as caught:
            _post(client, server.url)
    assert caught.value.trouble == "reset"
    assert caught.value.may_have_arrived
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("reaction", "trouble"),
    [
        (Truncate(body=b'{"success": tr', announced_bytes=400), "truncated"),
        (Reset(), "reset"),
        (Hangup(), "reset"),
        (Raw(data=b"220 mail.example.org ready\r\n"), "protocol"),
        (Raw(data=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), "truncated"),
        (Raw(data=b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"), "protocol"),
    ],
)
def test_a_broken_answer_is_a_typed_trouble(client: HttpClient, reaction: object, trouble: str) -> None:
    """A cut body is noticed, never taken for a short one."""
    with FaultyServer([reaction]) as server:  # type: ignore[list-item]
        with pytest.raises(HttpError) as caught:
            _post(client, server.url)
    assert caught.value.trouble == trouble
    assert caught.value.evidence
    assert caught.value.may_have_arrived


def test_nobody_listening_is_refused_and_nothing_arrived(client: HttpClient) -> None:
    """A server that is down is told apart from one that failed while working."""
    server = FaultyServer([Say()])
    server.close()
    with pytest.raises(HttpError) as caught:
        _post(client, server.url)
    assert caught.value.trouble == "refused"
    assert not caught.value.may_have_arrived


def test_a_server_that_comes_back_is_found_again(client: HttpClient) -> None:
    """The client needs no restart after an outage."""
    with FaultyServer([Say(body=b"ok")]) as server:
        _post(client, server.url)
        server.down()
        with pytest.raises(HttpError):
            _post(client, server.url)
        server.up()
        assert _post(client, server.url).body == b"ok"


def test_an_unknown_name_is_a_trouble_of_the_resolver(client: HttpClient) -> None:
    """`.invalid` never resolves (RFC 6761)."""
    with pytest.raises(HttpError) as caught:
        _get(client, "http://panda.invalid:25080/")
    assert caught.value.trouble == "resolve"
    assert not caught.value.may_have_arrived


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999/", "panda.example.org", "ftp://127.0.0.1/", "http://[::1/"]
)
def test_a_bad_address_is_a_trouble_of_the_request(client: HttpClient, url: str) -> None:
    """A typing error in the server's address is reported, not crashed on."""
    with pytest.raises(HttpError) as caught:
        _get(client, url)
    assert caught.value.trouble == "request"
    assert not caught.value.may_have_arrived


def test_a_hanging_server_is_abandoned_at_the_deadline(client: HttpClient) -> None:
    """The deadline is for the whole call, and the thread is free at once afterwards."""
    with FaultyServer([Hang()]) as server:
        started = time.monotonic()
        with pytest.raises(HttpError) as caught:
            _get(client, server.url, deadline_s=0.3)
        assert time.monotonic() - started < 5
    assert caught.value.trouble == "timeout"
    assert caught.value.may_have_arrived


def test_a_dripping_server_cannot_stretch_the_deadline(client: HttpClient) -> None:
    """One byte now and then renews a socket's time limit, but not ours."""
    with FaultyServer([Drip(body=b"x" * 10_000)]) as server:
        with pytest.raises(HttpError) as caught:
            _get(client, server.url, deadline_s=0.3)
    assert caught.value.trouble == "timeout"


def test_abandoned_calls_free_their_threads() -> None:
    """Many hanging calls, more than there are threads, do not stop the one that follows."""
    client = HttpClient(user_agent="picard-test", threads=2)

    def script(seen: Seen) -> Hang | Say:
        return Hang() if seen.target == "/hang" else Say(body=b"ok")

    async def storm(url: str) -> bytes:
        calls = (client.get_json(url + "/hang", deadline_s=0.2) for _ in range(6))
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(result, HttpError) for result in results)
        return (await client.get_json(url + "/good", deadline_s=DEADLINE_S)).body

    with FaultyServer(script) as server:
        assert asyncio.run(storm(server.url)) == b"ok"
        client.close(wait_s=5.0)


def test_cancelling_the_task_abandons_the_call(client: HttpClient) -> None:
    """A pilot that is told to leave does not wait for the server."""

    async def run(url: str) -> None:
        task = asyncio.create_task(client.get_json(url, deadline_s=60))
        async with asyncio.timeout(DEADLINE_S):
            while not server.seen:  # noqa: ASYNC110 - the server is a thread, not a task
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with FaultyServer([Hang()]) as server:
        asyncio.run(run(server.url))


def test_a_slow_answer_within_the_deadline_is_fine(client: HttpClient) -> None:
    """Slow is not broken."""
    with FaultyServer([Slow(pause_s=0.1, then=Say(body=b"late"))]) as server:
        assert _get(client, server.url).body == b"late"


def test_an_endless_answer_is_cut_at_the_limit() -> None:
    """No answer may fill the memory of the node."""
    client = HttpClient(user_agent="picard-test", max_answer_bytes=1000)
    with FaultyServer([Say(body=b"x" * 5000)]) as server:
        with pytest.raises(HttpError) as caught:
            _get(client, server.url)
        assert caught.value.trouble == "too_large"
        client.close(wait_s=5.0)


def test_without_an_event_loop_the_same_holds(client: HttpClient) -> None:
    """Tools and the transfer worker call it directly."""
    with FaultyServer([Say(body=b"ok"), Hang()]) as server:
        request = HttpRequest(method="GET", url=server.url)
        assert client.request_now(request, deadline_s=DEADLINE_S).body == b"ok"
        with pytest.raises(HttpError) as caught:
            client.request_now(request, deadline_s=0.2)
    assert caught.value.trouble == "timeout"


def test_a_closed_client_says_so(client: HttpClient) -> None:
    """Closing twice is fine; a request afterwards is an error of ours, not of the server."""
    client.close()
    client.close()
    with pytest.raises(HttpError) as caught:
        _get(client, "http://127.0.0.1:1/")
    assert caught.value.trouble == "closed"


def test_a_missing_ca_file_is_named(tmp_path: Path) -> None:
    """The sentence tells which file is missing."""
    client = HttpClient(user_agent="picard-test", tls=TlsSettings(ca_file=str(tmp_path / "gone.pem")))
    with pytest.raises(HttpError) as caught:
        _get(client, "https://127.0.0.1:1/")
    client.close(wait_s=5.0)
    assert caught.value.trouble == "credential"
    assert "gone.pem" in caught.value.evidence
    assert "No such file or directory" in Redactor().text(str(caught.value))


def test_a_pilot_does_not_pay_for_what_it_never_uses() -> None:
    """HTTP brings no package metadata along, and whoever wants that afterwards still gets the real one."""
    program = (
        "import sys; import picard_pilot.system.http_transport, urllib3; "
        "assert 'importlib.metadata' not in sys.modules and 'zipfile' not in sys.modules; "
        "from importlib.metadata import version; assert version('urllib3') == urllib3.__version__"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
