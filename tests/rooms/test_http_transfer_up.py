"""Uploads by http over real sockets; whom we trust, as whom we go, and what is never shown."""

import socket
import threading
from pathlib import Path

import pytest
from connect_proxy import ConnectProxy
from transfer_kit import DATA, OPEN, PATIENT_S, Sent, get, trouble

from picard_pilot.model.transfer import StorageAccess
from picard_pilot.system.http_transfer import HttpTransfers
from picard_pilot.system.http_trip import TransferTrouble
from picard_pilot.testing.certificates import Authority
from picard_pilot.testing.faulty_server import FaultyServer, Raw
from picard_pilot.testing.faulty_storage import FaultyStorage

# up


def test_a_file_is_sent_after_the_servers_word(transfers: HttpTransfers, storage: FaultyStorage) -> None:
    """A large one asks first; a small one goes at once."""
    assert transfers.upload(storage.surl("large"), OPEN, Sent()).status == 201
    assert transfers.upload(storage.surl("small"), OPEN, Sent(b"x" * 100)).status == 201
    assert transfers.upload(storage.surl("empty"), OPEN, Sent(b"")).status == 201
    assert [seen.headers.get("expect") for seen in storage.requests] == ["100-continue", None, None]
    assert (storage.read("large"), storage.read("small"), storage.read("empty")) == (DATA, b"x" * 100, b"")


@pytest.mark.parametrize("says", ["nothing", "417"])
def test_a_server_that_does_not_know_expect_is_asked_once(says: str) -> None:
    """It gets the body all the same; the next one at once."""
    done = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"

    def answer(connection: socket.socket) -> None:
        asked: list[bool] = []
        with connection.makefile("rb") as stream:
            while line := stream.readline():
                lines = [line.lower()]
                while (line := stream.readline().lower()) != b"\r\n":
                    lines.append(line)
                asked.append(b"expect: 100-continue\r\n" in lines)
                if asked[-1] and says == "417":
                    connection.sendall(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
                else:
                    stream.read(len(DATA))
                    connection.sendall(done)
        seen.extend(asked)

    seen: list[bool] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(2 if says == "417" else 1):
                connection, _ = listener.accept()
                with connection:
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        made = HttpTransfers(user_agent="test")
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/file"
        assert [made.upload(url, OPEN, Sent()).status for _ in range(2)] == [201, 201]
        made.close()
        thread.join(PATIENT_S)
    assert seen == [True, False, False] if says == "417" else [True, False]


def test_a_server_may_think_about_a_large_file(storage: FaultyStorage) -> None:
    """A checksum of a large file takes longer than the limit for one byte."""
    impatient = HttpTransfers(user_agent="test", read_limit_s=0.3)
    storage.fault("HEAD", delay_s=1.0)
    url = storage.surl("file")
    with pytest.raises(TransferTrouble):
        impatient.ask("HEAD", url, OPEN)
    assert impatient.ask("HEAD", url, OPEN, size_bytes=400_000_000).status == 200


def test_a_refused_upload_costs_no_byte(transfers: HttpTransfers, storage: FaultyStorage) -> None:
    """The refusal comes before the body."""
    storage.fault("PUT", status=507, body="the storage is full")
    sent = Sent()
    answer = transfers.upload(storage.surl("large"), OPEN, sent)
    assert (answer.status, answer.says, sent.at) == (507, "the storage is full", 0)


@pytest.mark.parametrize("full_says", [507, None])
def test_a_disk_that_fills_in_mid_file(
    transfers: HttpTransfers, storage: FaultyStorage, full_says: int | None
) -> None:
    """It says so, or it just cuts the connection."""
    storage.rules.free_bytes, storage.rules.full_says = 500_000, full_says
    if full_says is not None:
        assert transfers.upload(storage.surl("large"), OPEN, Sent()).status == full_says
    else:
        with pytest.raises(TransferTrouble) as raised:
            transfers.upload(storage.surl("large"), OPEN, Sent())
        assert raised.value.trouble == "reset"


def test_an_upload_over_a_stale_connection_is_sent_again(
    transfers: HttpTransfers, storage: FaultyStorage
) -> None:
    """From its beginning, over a fresh one."""
    get(transfers, storage.surl("file"))
    storage.fault("PUT", cut_at=-1, last=1)
    sent = Sent()
    assert transfers.upload(storage.surl("large"), OPEN, sent).status == 201
    assert (storage.read("large"), sent.begun) == (DATA, 2)


def test_a_move_is_never_sent_twice(transfers: HttpTransfers, storage: FaultyStorage) -> None:
    """The second one would not find what the first one moved."""
    get(transfers, storage.surl("file"))
    storage.fault("MOVE", lose_answer=True)
    with pytest.raises(TransferTrouble):
        transfers.ask("MOVE", storage.surl("file"), OPEN, headers={"Destination": storage.surl("new")})
    assert storage.count("MOVE") == 1
    assert storage.read("new") == DATA


# who we are, and what is never shown


def test_tls_is_verified(tmp_path: Path) -> None:
    """Whom we do not trust gets no request; whom we trust does."""
    authority = Authority(tmp_path)
    folder = tmp_path / "files"
    folder.mkdir()
    with FaultyStorage(folder, tls=authority.server_context("localhost"), host="localhost") as storage:
        storage.put("file", DATA)
        token = storage.token()
        made = HttpTransfers(user_agent="test")
        assert trouble(made, storage.surl("file"), StorageAccess(token=token)).trouble == "tls"
        assert storage.requests == []
        trusting = StorageAccess(token=token, ca_file=str(authority.ca_file))
        for _ in range(2):
            assert get(made, storage.surl("file"), trusting)[1].data == DATA
        assert storage.connections == 1
        missing = StorageAccess(ca_file=str(tmp_path / "absent"))
        assert trouble(made, storage.surl("file"), missing).trouble == "credential"
        made.close()


def test_a_client_certificate_is_shown_and_a_renewed_one_counts(tmp_path: Path) -> None:
    """X.509 proxies too."""
    authority = Authority(tmp_path)
    folder = tmp_path / "files"
    folder.mkdir()
    context = authority.server_context("localhost", ask_client=True)
    with FaultyStorage(folder, tls=context, host="localhost") as storage:
        storage.put("file", DATA)
        made = HttpTransfers(user_agent="test")
        ca_file = str(authority.ca_file)
        assert trouble(made, storage.surl("file"), StorageAccess(ca_file=ca_file)).trouble in ("tls", "reset")
        proxy = authority.issue_proxy("Jane Doe")
        access = StorageAccess(ca_file=ca_file, certificate=str(proxy))
        assert get(made, storage.surl("file"), access)[1].data == DATA
        before = storage.connections
        proxy.write_bytes(authority.issue_proxy("Jane Doe").read_bytes())
        assert get(made, storage.surl("file"), access)[1].data == DATA
        assert storage.connections in (before, before + 1)
        made.close()


def test_neither_tokens_nor_queries_are_in_any_text(transfers: HttpTransfers, storage: FaultyStorage) -> None:
    """An error page that quotes them back, a trouble's text, an answer's address."""
    token = storage.token(-10.0)
    secret = "0123456789abcdef"
    storage.fault(
        "GET",
        status=403,
        last=1,
        body=f"<p>no: {token} at http://h/p?sig={secret} and Bearer {token} {secret}\nsecond line",
    )
    answer, _ = get(transfers, f"{storage.surl('file')}?sig={secret}", StorageAccess(token=token))
    assert answer.says.startswith("no: [redacted] at http://h/p and")
    storage.down()
    failed = trouble(transfers, f"{storage.surl('file')}?sig={secret}", StorageAccess(token=token))
    assert failed.trouble == "refused"
    for text in (answer.says, answer.url, str(failed), repr(failed), failed.where):
        assert secret not in text
        assert token not in text
    storage.up()


def test_a_proxy_is_used_where_the_environment_names_one(tmp_path: Path) -> None:
    """A plain one is told the whole address."""
    with FaultyServer([Raw(data=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")]) as proxy:
        made = HttpTransfers(
            user_agent="test", environment={"http_proxy": f"http://me:pw@127.0.0.1:{proxy.port}"}
        )
        assert get(made, "http://storage.invalid/file")[1].data == b"hi"
        assert proxy.seen[0].target == "http://storage.invalid/file"
        assert proxy.seen[0].headers["proxy-authorization"].startswith("Basic ")
        made.close()


def test_tls_goes_through_a_proxy_and_is_verified_end_to_end(tmp_path: Path) -> None:
    """The proxy finds the host; it sees neither token nor path, and its login is not for the storage."""
    authority = Authority(tmp_path)
    folder = tmp_path / "files"
    folder.mkdir()
    host = "storage.picard.test"
    with FaultyStorage(folder, tls=authority.server_context(host), host=host) as storage:
        storage.put("file", DATA)
        proxy = ConnectProxy(int(storage.url.rpartition(":")[2]))
        access = StorageAccess(token=storage.token(), ca_file=str(authority.ca_file))
        made = HttpTransfers(
            user_agent="test", environment={"https_proxy": f"http://robot:word@{proxy.address}"}
        )
        for _ in range(2):
            assert get(made, storage.surl("file"), access)[1].data == DATA
        made.close()
        proxy.close()
        assert len(proxy.asked) == 1
        assert proxy.asked[0].startswith(f"CONNECT {host}:")
        assert "Bearer" not in proxy.asked[0]
        assert "proxy-authorization" not in storage.requests[0].headers


def test_a_proxy_that_is_not_there(transfers: HttpTransfers) -> None:
    """It is the proxy's trouble, not the storage's; its password is not shown."""
    with FaultyServer([Raw(data=b"")]) as server:
        port = server.port
    made = HttpTransfers(
        user_agent="test", environment={"https_proxy": f"http://robot:pass-word@127.0.0.1:{port}"}
    )
    failed = trouble(made, "https://storage.picard.test/file")
    assert failed.trouble == "proxy"
    assert "pass-word" not in str(failed)


def test_addresses_that_lead_nowhere(transfers: HttpTransfers) -> None:
    """Each has its own trouble."""
    assert trouble(transfers, "http://no-such-host.invalid/file").trouble == "resolve"
    with FaultyServer([Raw(data=b"")]) as server:
        url = server.url
    assert trouble(transfers, f"{url}/file").trouble == "refused"
    failed = trouble(transfers, "http://user:password@127.0.0.1/file")
    assert failed.trouble == "request"
    assert "password@" not in str(failed)
