"""Downloads by http over real sockets: resumed, redirected, cut."""

import time
from pathlib import Path

import pytest
from transfer_kit import DATA, OPEN, PATIENT_S, Sent, get, trouble

from picard_pilot.model.transfer import StorageAccess
from picard_pilot.system.http_transfer import HttpTransfers
from picard_pilot.system.http_trip import TransferTrouble, Trip
from picard_pilot.testing.faulty_server import FaultyServer, Raw
from picard_pilot.testing.faulty_storage import FaultyStorage

# down


def test_a_file_comes_over_one_kept_connection(transfers: HttpTransfers, storage: FaultyStorage) -> None:
    """Its head is shown before the first byte, and the connection serves the next one."""
    for _ in range(3):
        answer, got = get(transfers, storage.surl("file"))
        assert (answer.status, answer.size_bytes, got.heads[0].size_bytes) == (200, len(DATA), len(DATA))
        assert got.data == DATA
    assert storage.connections == 1


def test_what_is_no_file_is_an_answer(transfers: HttpTransfers, storage: FaultyStorage) -> None:
    """Its words come without tags, and no function is called."""
    answer, got = get(transfers, storage.surl("absent"))
    assert (answer.status, answer.says) == (404, "Not Found there is no such file")
    assert (got.data, got.heads) == (b"", [])


@pytest.mark.parametrize("cuts", [1, 3])
def test_a_cut_download_goes_on_where_it_was(
    transfers: HttpTransfers, storage: FaultyStorage, cuts: int
) -> None:
    """Each time the rest is asked for, and only if the file is the same."""
    storage.fault("GET", cut_at=300_000, last=1)
    if cuts == 3:
        storage.fault("GET", cut_at=600_000, last=1)
        storage.fault("GET", cut_at=900_000, last=1)
    answer, got = get(transfers, storage.surl("file"))
    assert got.data == DATA
    assert (answer.status, len(got.heads)) == (206, 1)
    asked = [seen.headers for seen in storage.requests][1:]
    assert [headers["range"] for headers in asked] == ["bytes=300000-", "bytes=600000-", "bytes=900000-"][
        :cuts
    ]
    assert all(headers["if-range"].startswith('"') for headers in asked)


def test_halves_of_two_files_are_never_glued(transfers: HttpTransfers, storage: FaultyStorage) -> None:
    """The file was replaced between the halves: nothing is written behind the first one."""
    storage.fault("GET", cut_at=300_000, last=1)

    def write(block: memoryview) -> None:
        storage.put("file", b"x" * len(DATA))

    with pytest.raises(TransferTrouble) as raised:
        transfers.download(storage.surl("file"), OPEN, begin=lambda _: None, write=write)
    assert (raised.value.trouble, raised.value.reached_bytes) == ("changed", 300_000)


def test_without_a_name_for_the_content_the_caller_decides(
    transfers: HttpTransfers, storage: FaultyStorage
) -> None:
    """A server that says no ETag is resumed only for a caller who knows the checksum."""
    storage.rules.etags = False
    storage.fault("GET", cut_at=300_000, last=1)
    assert get(transfers, storage.surl("file"), may_resume=True)[1].data == DATA
    storage.heal()
    storage.fault("GET", cut_at=300_000, last=1)
    failed = trouble(transfers, storage.surl("file"), may_resume=False)
    assert (failed.trouble, failed.reached_bytes) == ("truncated", 300_000)


def test_a_server_that_cannot_go_on(transfers: HttpTransfers, storage: FaultyStorage) -> None:
    """It begins again: those bytes are not the rest."""
    storage.rules.ranges = False
    storage.fault("GET", cut_at=300_000, last=1)
    failed = trouble(transfers, storage.surl("file"))
    assert failed.trouble == "changed"
    assert "began again" in failed.evidence


def test_a_server_that_always_cuts_is_given_up(transfers: HttpTransfers, storage: FaultyStorage) -> None:
    """Where a try brings no byte it was the last; and five are enough in any case."""
    storage.fault("GET", cut_at=0)
    assert trouble(transfers, storage.surl("file")).trouble == "truncated"
    assert storage.count("GET") == 1
    storage.heal()
    for point in range(1, 11):
        storage.fault("GET", cut_at=point * 10_000, last=1)
    assert trouble(transfers, storage.surl("file")).reached_bytes == 60_000
    assert storage.count("GET") == 7


def test_a_body_shorter_than_announced(transfers: HttpTransfers, storage: FaultyStorage) -> None:
    """A lie about the length is no success."""
    storage.fault("GET", announce=len(DATA) + 1)
    failed = trouble(transfers, storage.surl("file"))
    assert (failed.trouble, failed.reached_bytes) == ("truncated", len(DATA))


def test_a_silent_server_is_given_up_after_the_limit(storage: FaultyStorage) -> None:
    """In mid-file or before any answer: the read limit, and no second try."""
    impatient = HttpTransfers(user_agent="test", read_limit_s=0.3)
    for point in (-1, 5000):
        storage.heal()
        storage.fault("GET", hang_at=point)
        before = storage.count("GET")
        began = time.monotonic()
        failed = trouble(impatient, storage.surl("file"))
        assert (failed.trouble, failed.reached_bytes) == ("timeout", max(point, 0))
        assert time.monotonic() - began < PATIENT_S
        assert storage.count("GET") == before + 1


def test_a_slow_stream_is_not_a_hanging_one(storage: FaultyStorage) -> None:
    """Each byte counts: a file may take longer than the limit for one byte."""
    impatient = HttpTransfers(user_agent="test", read_limit_s=2.0)
    storage.put("slow", DATA[:5000])
    storage.fault("GET", "slow", bytes_per_s=20_000.0)
    pieces: list[int] = []
    impatient.download(
        storage.surl("slow"), OPEN, begin=lambda _: None, write=lambda block: pieces.append(len(block))
    )
    assert sum(pieces) == 5000
    assert len(pieces) > 3


def test_a_kept_connection_that_was_closed_is_replaced(
    transfers: HttpTransfers, storage: FaultyStorage
) -> None:
    """A server that restarted in between is no failure."""
    get(transfers, storage.surl("file"))
    storage.down()
    storage.up()
    assert get(transfers, storage.surl("file"))[1].data == DATA


def test_chunked_answers_and_answers_without_a_length(transfers: HttpTransfers) -> None:
    """Both are read to their end; a chunked one that is cut is noticed."""
    head = b"HTTP/1.1 200 OK\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    replies = [
        Raw(data=chunked + b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: x\r\n\r\n"),
        Raw(data=head + b"\r\nhello world"),
        Raw(data=chunked + b"5\r\nhello\r\n6\r\n wo"),
        Raw(data=chunked + b"5\r\nhello\r\n"),
        Raw(data=chunked + b"nonsense\r\n"),
        Raw(data=b"SSH-2.0-OpenSSH\r\n"),
        Raw(data=head + b"X: 1\r\n" * 500 + b"\r\n"),
    ]
    with FaultyServer(replies) as server:
        for _ in range(2):
            assert get(transfers, server.url)[1].data == b"hello world"
        for expected in ("truncated", "truncated", "truncated", "protocol", "protocol"):
            assert trouble(transfers, server.url, may_resume=False).trouble in (expected, "truncated")


# redirects


def test_redirects_are_followed_without_the_token(tmp_path: Path) -> None:
    """The token is for one server: another one, even on another port, never sees it."""
    with FaultyStorage(tmp_path / "a") as door, FaultyStorage(tmp_path / "b") as pool:
        pool.put("file", DATA)
        token = door.token()
        door.fault("*", redirect=pool.surl("file") + "?ticket=abcdefghijkl")
        made = HttpTransfers(user_agent="test")
        answer, got = get(made, door.surl("file"), StorageAccess(token=token))
        assert got.data == DATA
        assert answer.url == pool.surl("file")
        assert door.requests[0].headers["authorization"] == f"Bearer {token}"
        assert "authorization" not in pool.requests[0].headers
        assert "ticket" in pool.requests[0].target
        made.close()


def test_an_upload_learns_its_redirect_before_it_sends_the_body(tmp_path: Path) -> None:
    """One body goes out, to the right place."""
    with FaultyStorage(tmp_path / "a") as door, FaultyStorage(tmp_path / "b") as pool:
        door.fault("PUT", redirect=pool.surl("file"))
        made = HttpTransfers(user_agent="test")
        sent = Sent()
        assert made.upload(door.surl("file"), OPEN, sent).status == 201
        assert pool.read("file") == DATA
        assert sent.at == len(DATA)
        made.close()


@pytest.mark.parametrize("where", ["file:///etc/passwd", "gopher://127.0.0.1/x"])
def test_a_redirect_away_from_http_is_refused(
    transfers: HttpTransfers, storage: FaultyStorage, where: str
) -> None:
    """A storage must not make us read what it likes."""
    storage.fault("GET", redirect=where)
    assert trouble(transfers, storage.surl("file")).trouble == "redirect"


def test_redirects_in_a_circle_end(transfers: HttpTransfers, storage: FaultyStorage) -> None:
    """After five."""
    storage.fault("GET", redirect=storage.surl("file"))
    assert trouble(transfers, storage.surl("file")).trouble == "redirect"
    assert storage.count("GET") == 6


def test_a_token_is_never_sent_in_the_clear_to_another_machine() -> None:
    """Over plain http it goes to this machine only."""
    access = StorageAccess(token="secret")
    for url, shows in {
        "http://storage.example.org/f": False,
        "https://storage.example.org/f": True,
        "http://127.0.0.1:8000/f": True,
        "http://localhost.example.org/f": False,
        "http://127.0.0.1.example.org/f": False,
        "http://[::1]:8000/f": True,
    }.items():
        assert Trip("GET", url, access, {}, None).may_show_token is shows, url
