"""Storages that send us elsewhere, and answers whose end nobody can tell: no token goes there, no half file stays."""

import gzip
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from transfer_kit import DATA, OPEN, PATIENT_S, Sent, get, trouble

from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    Remedy,
    StorageAccess,
    StoreRequest,
    TransferContext,
)
from picard_pilot.movers.http import HttpMover
from picard_pilot.system.http_transfer import REDIRECTS_LIMIT, HttpTransfers
from picard_pilot.system.http_trip import Trip
from picard_pilot.testing.certificates import Authority
from picard_pilot.testing.faulty_server import FaultyServer, Reset, Say, Seen
from picard_pilot.testing.faulty_storage import FaultyStorage
from picard_pilot.testing.mover_kit import failed, ignore

OK = b"HTTP/1.1 200 OK\r\n"
TOKEN = "a-token-for-one-storage-alone"


class Parrot(FaultyServer):
    """Says these bytes to each request, whatever it is, and keeps the connection; the last ones again and again."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.heads: list[bytes] = []
        super().__init__([Say()])

    def converse(self, connection: socket.socket, number: int) -> None:
        """Serve one connection."""
        head = b""
        while more := connection.recv(65536):
            head += more
            if head.endswith(b"\r\n\r\n"):
                self.heads.append(head)
                head = b""
                connection.sendall(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])


@pytest.fixture
def transfers() -> Iterator[HttpTransfers]:
    """Transfers that do not wait long."""
    made = HttpTransfers(user_agent="test", read_limit_s=PATIENT_S)
    yield made
    made.close()


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


# answers whose end nobody can tell


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nContent-Length: 4\r\n",
        b"Content-Length: 5, 4\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: five\r\n",
        b"Content-Length: " + b"9" * 30 + b"\r\n",
        b"Content-Length:\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: notchunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
        b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
    ],
)
def test_a_body_whose_end_nobody_can_tell(transfers: HttpTransfers, headers: bytes) -> None:
    """It is refused as a whole, since a half of it would look like all of it."""
    with Parrot(OK + headers + b"\r\nhello") as storage:
        met = trouble(transfers, f"{storage.url}/f")
    assert met.trouble == "protocol", met


def test_a_length_that_is_said_twice_alike(transfers: HttpTransfers) -> None:
    """Proxies do that."""
    with Parrot(OK + b"Content-Length: 5\r\ncontent-length:  5\r\n\r\nhello") as storage:
        assert get(transfers, f"{storage.url}/f")[1].data == b"hello"


def test_a_length_beside_chunks_means_nothing(transfers: HttpTransfers) -> None:
    """Neither for the end of the body nor for the size of the file."""
    answer = OK + b"Content-Length: 3\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    with Parrot(answer) as storage:
        for _ in range(2):
            found, got = get(transfers, f"{storage.url}/f")
            assert (bytes(got.data), found.size_bytes) == (b"hello", None)
        assert storage.connections == 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_stands_behind_an_answer_is_not_the_next_one(transfers: HttpTransfers, method: str) -> None:
    """A connection on which more was said than announced is not used again."""
    poison = OK + b"Content-Length: 5\r\n\r\nwrong"
    with Parrot(
        OK + b"Content-Length: 5\r\n\r\n" + (b"right" if method == "GET" else b"") + poison
    ) as storage:
        if method == "GET":
            assert get(transfers, f"{storage.url}/one")[1].data == b"right"
        else:
            assert transfers.ask("HEAD", f"{storage.url}/one", OPEN).status == 200
        storage.answers = [OK + b"Content-Length: 5\r\n\r\nafter"]
        assert get(transfers, f"{storage.url}/two")[1].data == b"after"
        assert storage.connections == 2


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 " + b"x" * (1 << 20) + b"\r\n\r\n",
        b"x" * (1 << 20),
        OK + b"X: " + b"y" * (1 << 20) + b"\r\n\r\n",
        OK + b"".join(b"X-%d: y\r\n" % number for number in range(100_000)) + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000,
        b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 100_000,
        b"HTTP/1.1 200\r\n\r\n"[:9] + b"\xff\xfe\x00\r\n\r\n",
        b"\x00" * 1000,
    ],
    ids=["status line", "no line", "header", "headers", "continues", "hints", "binary", "zeros"],
)
def test_a_head_without_measure(transfers: HttpTransfers, head: bytes) -> None:
    """It is given up after a bounded part, as no HTTP, and said in few words."""
    with Parrot(head + OK + b"Content-Length: 0\r\n\r\n") as storage:
        met = trouble(transfers, f"{storage.url}/f")
    assert met.trouble in ("protocol", "reset", "truncated"), met
    assert len(str(met)) < 500


@pytest.mark.parametrize("page", [b"<style " * 100_000, b"<" * 700_000, b"://" * 200_000, b"a" * 700_000])
def test_an_error_page_that_is_hard_to_read(transfers: HttpTransfers, page: bytes) -> None:
    """What is found in it is worth no more than a moment: the other transfers of the process wait meanwhile."""
    with Parrot(b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n" % len(page) + page) as storage:
        answer, _ = get(transfers, f"{storage.url}/f")
    assert (answer.status, len(answer.says) <= 200) == (500, True)


# halves of files


@pytest.mark.parametrize(
    ("headers", "met"),
    [
        (b"Content-Range: bytes 4-9/10\r\n", "changed"),
        (b"Content-Range: bytes 6-9/10\r\n", "changed"),
        (b"Content-Range: bytes 5-9/11\r\n", "changed"),
        (b"Content-Range: bytes */10\r\n", "changed"),
        (b"Content-Range: lines 5-9/10\r\n", "changed"),
        (b"", "changed"),
        (b'Content-Range: bytes 5-9/10\r\nETag: "other"\r\n', "changed"),
        (b'Content-Range: bytes 5-9/10\r\nETag: W/"same"\r\n', "changed"),
        (b'Content-Range: bytes 5-9/10\r\nETag: "same"\r\n', None),
        (b'Content-Range: bytes 5-9/*\r\nETag: "same"\r\n', None),
    ],
)
def test_the_second_half_of_a_file(transfers: HttpTransfers, headers: bytes, met: str | None) -> None:
    """It must be the rest, of the same file, from where the first half ended."""
    same = headers if b"ETag" in headers else headers + b'ETag: "same"\r\n'
    rest = b"HTTP/1.1 206 Partial\r\nContent-Length: 5\r\n" + same + b"\r\nworld"
    first = OK + b'ETag: "same"\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhello'
    with Cutting(first, rest) as storage:
        if met is None:
            assert get(transfers, f"{storage.url}/f")[1].data == b"helloworld"
        else:
            assert trouble(transfers, f"{storage.url}/f").trouble == met


class Cutting(Parrot):
    """Ends the first connection after its answer."""

    def converse(self, connection: socket.socket, number: int) -> None:
        """Serve one connection."""
        if number > 1:
            return super().converse(connection, number)
        connection.recv(65536)
        connection.sendall(self.answers.pop(0))
        return None


@pytest.mark.parametrize("ends", [True, False])
def test_the_rest_comes_in_pieces_or_not_at_all(transfers: HttpTransfers, ends: bool) -> None:
    """A server may answer with less than the rest: it is asked again. A file that is short for ever is not whole, also
    where no catalogue knows its size."""
    piece = (
        b'HTTP/1.1 206 Partial\r\nETag: "x"\r\nContent-Length: %d\r\nContent-Range: bytes %d-%d/10\r\n\r\n%s'
    )
    first = OK + b'ETag: "x"\r\nContent-Length: 10\r\n\r\nhello'
    last = piece % (2, 8, 9, b"ld") if ends else piece % (0, 8, 8, b"")
    with Cutting(first, piece % (3, 5, 7, b"wor"), last) as storage:
        if ends:
            assert get(transfers, f"{storage.url}/f")[1].data == b"helloworld"
        else:
            met = trouble(transfers, f"{storage.url}/f")
            assert (met.trouble, met.reached_bytes) == ("truncated", 8)


def test_a_name_for_the_content_that_cannot_be_said(transfers: HttpTransfers) -> None:
    """It would break our question for the rest; so the file has no name, which is the storage's fault and not ours."""
    first = OK + b'ETag: "a\x01b"\r\nContent-Length: 10\r\n\r\nhello'
    with Cutting(first, first) as storage:
        assert trouble(transfers, f"{storage.url}/f", may_resume=False).trouble == "truncated"


# what stands there


def test_what_came_back_in_two_pieces_is_what_was_stored(tmp_path: Path) -> None:
    """A read of a stored file that broke and was resumed proves as much as one in one piece."""
    (tmp_path / "out").write_bytes(DATA[:1000])
    with FaultyStorage(tmp_path / "storage") as storage:
        storage.fault("GET", cut_at=500, last=1)
        store = StoreRequest(lfn="out", source=str(tmp_path / "out"), surl=storage.surl("out"))
        HttpMover().store(store, ignore)
        assert (storage.read("out"), storage.count("PUT")) == (DATA[:1000], 1)


@pytest.mark.parametrize("size_bytes", [1 << 20, None])
def test_whatever_is_coded_is_not_decoded(tmp_path: Path, size_bytes: int | None) -> None:
    """We ask for the file as it is; a megabyte of zeros stays the kilobyte that came, which is not what was meant."""
    packed = gzip.compress(bytes(1 << 20))
    answer = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    passed: list[int] = []
    with Parrot(answer) as storage:
        request = FetchRequest(
            lfn="f", surl=f"{storage.url}/f", target=str(tmp_path / "f"), size_bytes=size_bytes
        )
        failure = failed(lambda: HttpMover().fetch(request, passed.append))
        assert b"\r\naccept-encoding: identity\r\n" in storage.heads[0].lower()
    assert (failure.kind, failure.remedy, passed) == (FailureClass.CHECKSUM, Remedy.NEXT, [])
    assert list(tmp_path.iterdir()) == []


def test_a_packed_file_is_its_own_coding(tmp_path: Path) -> None:
    """Servers that go by names call it coded, and send it as it is."""
    packed = gzip.compress(b"data")
    with Parrot(
        OK + b"Content-Encoding: x-gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    ) as storage:
        target = tmp_path / "f.tar.gz"
        request = FetchRequest(lfn="f.tar.gz", surl=f"{storage.url}/f.tar.gz", target=str(target))
        HttpMover().fetch(request, ignore)
    assert target.read_bytes() == packed


def test_free_space_that_is_no_number(tmp_path: Path) -> None:
    """A storage that cuts an upload and then says rubbish of its free space is unknown, not our mistake."""
    (tmp_path / "out").write_bytes(DATA[:1000])

    def door(seen: Seen) -> Say | Reset:
        if seen.method == "PUT":
            return Reset()
        said = b"<D:quota-available-bytes>" + b"9" * 5000 + b"</D:quota-available-bytes>"
        return Say(status=207, body=said) if seen.method == "PROPFIND" else Say(status=404)

    with FaultyServer(door) as storage:
        request = StoreRequest(lfn="out", source=str(tmp_path / "out"), surl=f"{storage.url}/data/out")
        failure = failed(lambda: HttpMover(read_limit_s=PATIENT_S).store(request, ignore))
    assert (failure.kind, failure.remedy) == (FailureClass.SPACE, Remedy.NEXT)
    assert "nothing about its free space" in failure.says
