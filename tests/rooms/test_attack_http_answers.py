"""Answers whose end nobody can tell, halves of files, and codings: no half file stays."""

import gzip
import socket
from pathlib import Path

import pytest
from transfer_kit import DATA, OPEN, PATIENT_S, Parrot, get, trouble

from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    Remedy,
    StoreRequest,
)
from picard_pilot.movers.http import HttpMover
from picard_pilot.system.http_transfer import HttpTransfers
from picard_pilot.testing.faulty_server import FaultyServer, Reset, Say, Seen
from picard_pilot.testing.faulty_storage import FaultyStorage
from picard_pilot.testing.mover_kit import failed, ignore

OK = b"HTTP/1.1 200 OK\r\n"
TOKEN = "a-token-for-one-storage-alone"


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
