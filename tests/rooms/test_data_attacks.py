"""Storages that mean harm: answers without an end, numbers that are none, redirects to nowhere.

Each is a classified failure of this one storage, soon, and the node's disk and the other transfers do not notice.
"""

import base64
import binascii
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from program_kit import script

from picard_pilot.data.health import Health
from picard_pilot.data.health_file import FILE, SharedHealth
from picard_pilot.journal import lease
from picard_pilot.journal.record import UnknownRecord, from_line
from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    OpenRequest,
    Remedy,
    StatRequest,
    TransferContext,
    TransferError,
    TransferFailure,
)
from picard_pilot.movers.http import HttpMover
from picard_pilot.panda import outbox
from picard_pilot.plugins.loader import load
from picard_pilot.system.bearer import claims_of
from picard_pilot.testing.clock import VirtualClock

SIZE_BYTES = 1000
WRONG = Checksum(ChecksumKind.ADLER32, "00000001")
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
PATIENT_S = 30.0
DIGITS = b"9" * 5000
"""More than Python is willing to read as a number."""


@contextmanager
def answering(answer: bytes, for_ever: bytes = b"") -> Iterator[str]:
    """The address of a file at a server that answers everybody with these bytes, and with more as long as it can."""
    threads: list[threading.Thread] = []
    ended = threading.Event()

    def speak(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(PATIENT_S)
            client.recv(65536)
            client.sendall(answer)
            while for_ever and not ended.is_set():
                client.sendall(for_ever)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                threads.append(threading.Thread(target=speak, args=(client,)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        listening = threading.Thread(target=serve)
        listening.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/data/f.root"
        finally:
            ended.set()
            server.shutdown(socket.SHUT_RDWR)
            listening.join(PATIENT_S)
            for thread in threads:
                thread.join(PATIENT_S)


def failures(surl: str, folder: Path) -> list[TransferFailure]:
    """What fetching, looking and opening fail with; each that does."""
    mover = HttpMover(read_limit_s=PATIENT_S)
    fetch = FetchRequest(
        lfn="f.root", surl=surl, target=str(folder / "f.root"), size_bytes=SIZE_BYTES, checksum=WRONG
    )
    found: list[TransferFailure] = []
    for ask in (
        lambda: mover.fetch(fetch, lambda _: None),
        lambda: mover.stat(StatRequest(surl=surl, measure=ChecksumKind.ADLER32)),
        lambda: mover.open_check(OpenRequest(lfn="f.root", surl=surl, size_bytes=SIZE_BYTES)),
    ):
        try:
            ask()
        except TransferError as error:
            found.append(error.failure)
    assert list(folder.iterdir()) == []
    return found


@pytest.mark.parametrize(
    ("answer", "for_ever"),
    [
        (CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n"),
        (OK + b"\r\n", b"x" * 65536),
        (OK, b"X: y\r\n" * 1000),
        (OK + b"X: ", b"x" * 65536),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100),
        (CHUNKED + b"1\r\na\r\n0\r\n", b"X: y\r\n" * 1000),
        (b"HTTP/1.1 500 No\r\n\r\n", b"x" * 65536),
        (b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n", b"x" * 65536),
    ],
    ids=["chunks", "body", "headers", "header", "interim heads", "trailers", "error page", "redirects"],
)
def test_an_answer_without_an_end(answer: bytes, for_ever: bytes, tmp_path: Path) -> None:
    """The pilot stops listening where the answer makes no sense any more, long before the disk is full."""
    passed_bytes = 0

    def count(more: int) -> None:
        nonlocal passed_bytes
        passed_bytes += more

    with answering(answer, for_ever) as surl:
        request = FetchRequest(
            lfn="f.root", surl=surl, target=str(tmp_path / "f.root"), size_bytes=SIZE_BYTES, checksum=WRONG
        )
        with pytest.raises(TransferError):
            HttpMover(read_limit_s=PATIENT_S).fetch(request, count)
    assert passed_bytes <= SIZE_BYTES
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "head",
    [
        OK + b"Content-Length: " + DIGITS,
        b"HTTP/1.1 206 Partial\r\nContent-Length: 1\r\nContent-Range: bytes 0-0/" + DIGITS,
        b"HTTP/1.1 " + DIGITS + b" OK",
        b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: " + DIGITS,
        b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: Mon, 1 Jan 2024 00:00:00 +99999999999999",
        b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: Mon, 1 Jan 0001 00:00:00 GMT",
        b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: -7",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nabcdefghij",
    ],
    ids=["length", "range", "status", "seconds", "date", "past", "negative", "chunk"],
)
def test_a_number_that_is_none(head: bytes, tmp_path: Path) -> None:
    """It is the storage's failure, not the mover's, and no reason for a pause beyond a day."""
    with answering(head + b"\r\n\r\n") as surl:
        found = failures(surl, tmp_path)
    assert found
    for failure in found:
        assert failure.remedy is not Remedy.MISTAKE, failure
        assert 0 <= (failure.retry_after_s or 0.0) <= 86_400


@pytest.mark.parametrize(
    "location",
    ["http://[", "file:///etc/passwd", "ftp://127.0.0.1/f", "http://", "//", "data:,x", "root://x//f"],
)
def test_a_redirect_to_nowhere(location: str, tmp_path: Path) -> None:
    """Another source is asked; nothing but http is ever spoken to where a storage sends us."""
    head = f"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {location}\r\n\r\n"
    with answering(head.encode()) as surl:
        found = failures(surl, tmp_path)
    assert [(failure.kind, failure.remedy) for failure in found] == [
        (FailureClass.SPECIFICATION, Remedy.NEXT)
    ] * 3


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Date=20240101T000000Z&X-Amz-Expires=-1e30&X-Amz-Signature=abcdefghijkl",
        "X-Amz-Date=20240101T000000Z&X-Amz-Expires=nan&X-Amz-Signature=abcdefghijkl",
        "Expires=00000000000000000000&Signature=abcdefghijkl",
        "Expires=99999999999999999999999999&Signature=abcdefghijkl",
    ],
)
def test_a_presigned_address_with_an_end_that_is_no_time(query: str, tmp_path: Path) -> None:
    """A refusal stays a refusal, and the signature stays unsaid."""
    with answering(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n") as surl:
        found = failures(f"{surl}?{query}", tmp_path)
    assert [failure.kind for failure in found] == [FailureClass.AUTH] * 3
    assert "abcdefghijkl" not in str(found)


DEEP = b'{"unknown":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
"""Sound JSON for a reader that passes over what it does not know, if its stack is deep enough."""


def test_a_health_file_that_is_nested_without_end(tmp_path: Path) -> None:
    """A payload of the same user can write it; it is begun anew and no pilot ends of it."""
    tmp_path.chmod(0o700)
    (tmp_path / FILE).write_bytes(DEEP)
    health: Health = SharedHealth(tmp_path, VirtualClock(), random.Random(1))
    for _ in range(3):
        health.failed(health.ask("A"))
    assert health.ask("A").wait_s > 0
    assert b"unknown" not in (tmp_path / FILE).read_bytes()


def test_a_lease_that_is_nested_without_end(tmp_path: Path) -> None:
    """It counts as none: a later pilot is not kept from the job by what its payload wrote."""
    (tmp_path / lease.NAME).write_bytes(DEEP)
    assert lease.read(tmp_path) is None


def test_a_kept_report_that_is_nested_without_end(tmp_path: Path) -> None:
    """It is damaged, and said to be."""
    report = tmp_path / "report.json"
    report.write_bytes(DEEP)
    with pytest.raises(outbox.ReportDamaged):
        outbox.load(report)


def test_a_record_and_a_token_that_are_nested_without_end() -> None:
    """Neither ends the pilot that reads it."""
    body = DEEP[:-1]
    with pytest.raises(UnknownRecord):
        from_line(b'%s,"crc":"%08x"}' % (body, binascii.crc32(body)))
    assert claims_of(f"e30.{base64.urlsafe_b64encode(DEEP).rstrip(b'=').decode()}.x") is None


@pytest.mark.parametrize("mover", ["external", "lsm"])
def test_a_program_that_writes_without_an_end(mover: str, tmp_path: Path) -> None:
    """It is ended long before the disk is full, and what it wrote is gone."""
    if mover == "external":
        path = "json.loads(sys.stdin.readline()).get('path')"
        name = f"external:{tmp_path / 'bin' / 'program'}"
    else:
        path, name = "sys.argv[-1]", "lsm"
    text = f"""
import json, os, sys, time
path = {path}
if path is None:
    print(json.dumps({{"number": 0, "result": "cannot"}}))
    sys.exit()
os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 1 << 40)
time.sleep(1000)
"""
    for each in ("program", "lsm-get"):
        script(tmp_path / "bin", each, text)
    request = FetchRequest(
        lfn="in",
        surl="site://door/in",
        target=str(tmp_path / "in"),
        size_bytes=SIZE_BYTES,
        context=TransferContext(environment={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}),
    )
    with pytest.raises(TransferError) as raised:
        load("mover", name)().fetch(request, lambda _: None)
    failure = raised.value.failure
    assert (failure.kind, failure.remedy) == (FailureClass.CHECKSUM, Remedy.NEXT), failure
    assert "far behind its 1000 bytes" in failure.says
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]
