"""Storages that send us elsewhere: no token goes there, and no request that they may not make."""

from pathlib import Path

import pytest
from transfer_kit import DATA, OPEN, PATIENT_S, Parrot, Sent, get, trouble

from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    Remedy,
    StorageAccess,
    TransferContext,
)
from picard_pilot.movers.http import HttpMover
from picard_pilot.system.http_transfer import REDIRECTS_LIMIT, HttpTransfers
from picard_pilot.system.http_trip import Trip
from picard_pilot.testing.certificates import Authority
from picard_pilot.testing.faulty_server import FaultyServer, Say, Seen
from picard_pilot.testing.mover_kit import failed, ignore

OK = b"HTTP/1.1 200 OK\r\n"
TOKEN = "a-token-for-one-storage-alone"


def sent_to(url: str) -> Say:
    """A redirect."""
    return Say(status=302, headers=(("Location", url),))


# the token, and where we are sent


def test_a_token_does_not_come_back(transfers: HttpTransfers) -> None:
    """Who was sent elsewhere and from there back again goes where the other one says: not with the storage's token."""

    def door(seen: Seen) -> Say:
        return sent_to(f"{other.url}/x") if seen.target == "/f" else Say(body=b"someone else's file")

    with FaultyServer(door) as storage, FaultyServer(lambda _: sent_to(f"{storage.url}/private")) as other:
        get(transfers, f"{storage.url}/f", StorageAccess(token=TOKEN))
        assert [(seen.target, "authorization" in seen.headers) for seen in storage.seen] == [
            ("/f", True),
            ("/private", False),
        ]
        assert "authorization" not in other.seen[0].headers


def test_a_token_stays_with_its_server(transfers: HttpTransfers) -> None:
    """A redirect within the same server, as for a folder's new name, is still the one the token is for."""
    answers = [sent_to("/elsewhere"), sent_to("//{}/again"), Say(body=b"x")]
    with FaultyServer(lambda seen: answers.pop(0)) as storage:
        answers[1] = sent_to(f"//127.0.0.1:{storage.port}/again")
        get(transfers, f"{storage.url}/f", StorageAccess(token=TOKEN))
        assert [seen.headers["authorization"] for seen in storage.seen] == [f"Bearer {TOKEN}"] * 3


def test_a_redirect_from_tls_into_the_clear_takes_no_token(tmp_path: Path) -> None:
    """Nor does one from the clear to TLS; the file itself is the catalogue's to judge."""
    authority = Authority(tmp_path)
    tls = authority.server_context("localhost")
    made = HttpTransfers(user_agent="test")
    access = StorageAccess(token=TOKEN, ca_file=str(authority.ca_file))
    with FaultyServer([Say(body=b"in the clear")]) as clear:
        target = f"http://localhost:{clear.port}/f"
        with FaultyServer(lambda _: sent_to(target), tls=tls) as secure:
            assert get(made, f"https://localhost:{secure.port}/f", access)[1].data == b"in the clear"
            assert secure.seen[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert "authorization" not in clear.seen[0].headers
    made.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_other_server_gets_a_token_with_an_upload(transfers: HttpTransfers, status: int) -> None:
    """By no status that sends us on, and with no part of what we ask for."""
    with (
        FaultyServer([Say()]) as other,
        FaultyServer([Say(status=status, headers=(("Location", f"{other.url}/f"),))]) as storage,
    ):
        transfers.upload(f"{storage.url}/f", StorageAccess(token=TOKEN), Sent(DATA[:100]))
        transfers.ask(
            "MOVE",
            f"{storage.url}/f",
            StorageAccess(token=TOKEN),
            headers={"Destination": f"{storage.url}/g", "Overwrite": "F"},
        )
        assert len(other.seen) == 2
        assert TOKEN not in str(other.seen)


@pytest.mark.parametrize(
    "location",
    [
        "http://me:secret-word@127.0.0.1/f",
        "//me:secret-word@127.0.0.1/f",
        "http://secret-word@127.0.0.1/f",
        "http://127.0.0.1:99999/f",
        "http://127.0.0.1:0/f",
        "http:///f",
        "http:/f",
        "unix:///run/docker.sock",
        "file:///etc/passwd",
        "ftp://127.0.0.1/f",
        "javascript:alert(1)",
        "\\\\127.0.0.1\\f",
        "http://[::1/f",
        "?" + "x" * 60_000,
        "a" * 60_000,
        "/f\x0b\x00g",
        "../../../..",
    ],
    ids=lambda location: location[:20],
)
def test_a_location_that_is_none(location: str, tmp_path: Path) -> None:
    """It is the storage's failure, whatever it says: others are asked, nobody else is to blame, and no password or
    token of it is repeated."""
    answer = f"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {location}\r\n\r\n".encode("latin-1")
    with Parrot(answer) as storage:
        request = FetchRequest(
            lfn="f",
            surl=f"{storage.url}/f",
            target=str(tmp_path / "f"),
            size_bytes=1,
            context=TransferContext(access=StorageAccess(token=TOKEN)),
        )
        failure = failed(lambda: HttpMover(read_limit_s=PATIENT_S).fetch(request, ignore))
        assert len(storage.heads) <= REDIRECTS_LIMIT + 1
    assert (failure.kind, failure.remedy) == (FailureClass.SPECIFICATION, Remedy.NEXT), failure
    assert "secret-word" not in str(failure) and TOKEN not in str(failure)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.8.8",
        "127.1",
        "2130706433",
        "0x7f.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[::]",
        "169.254.169.254",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
    ],
)
def test_no_storage_sends_us_to_our_own_machine(host: str) -> None:
    """What listens here, and where a cloud tells its machine secrets, is nothing that a storage may let us ask."""
    asked: list[str] = []

    def proxy(seen: Seen) -> Say:
        asked.append(seen.target)
        return sent_to(f"http://{host}:8080/latest/meta-data/")

    with FaultyServer(proxy) as storage:
        made = HttpTransfers(user_agent="test", environment={"http_proxy": storage.url})
        met = trouble(made, "http://storage.example.org/f")
        assert (met.trouble, "nothing to tell us" in met.evidence) == ("redirect", True)
        assert asked == ["http://storage.example.org/f"]
        made.close()


@pytest.mark.parametrize(
    ("before", "there"),
    [
        ("https://door.example", "https://pool.example:1094/f"),
        ("https://door.example", "http://10.1.2.3/f"),
        ("https://door.example", "https://[2001:db8::1]:1094/f"),
        ("http://127.0.0.1:1", "http://127.0.0.2:2/f"),
        ("http://localhost:1", "http://[::1]:2/f"),
    ],
)
def test_a_federation_sends_us_around(before: str, there: str) -> None:
    """To its servers, also inside of a site; on this machine to others on it."""
    assert Trip("GET", f"{before}/f", OPEN, {}, None).may_follow(there)


def test_hundreds_of_redirects(transfers: HttpTransfers) -> None:
    """Each to another name; few are followed."""
    with FaultyServer(lambda seen: sent_to(f"{seen.target}x")) as storage:
        assert trouble(transfers, f"{storage.url}/f").trouble == "redirect"
        assert len(storage.seen) == REDIRECTS_LIMIT + 1
