"""Time, and a site's programs without measure: each transfer is over in its time, and others do not notice."""

import socket
from pathlib import Path

import pytest
from program_kit import script
from worker_kit import bad, good, run

from picard_pilot.data.worker import TransferWorker, WorkerLimits
from picard_pilot.model.transfer import FailureClass, FetchRequest, StoreRequest
from picard_pilot.testing.faulty_server import FaultyServer, Say
from picard_pilot.testing.faulty_storage import FaultyStorage
from picard_pilot.testing.mover_kit import gone

HASTY = WorkerLimits(base_s=3.0, slowest_bytes_per_s=1e6, stall_s=60.0)
"""Limits by size that a test can wait for; no byte for a minute is not what ends it."""

ASK = """
import json, os, signal, sys, time
ask = json.loads(sys.stdin.readline())
def say(**words):
    os.write(1, json.dumps({"number": ask["number"], **words}).encode() + b"\\n")
if ask["verb"] == "describe":
    say(result="cannot")
    sys.exit()
"""


def asked(folder: Path, text: str) -> FetchRequest:
    """A request for a file by a program that does this."""
    program = script(folder / "bin", "program", ASK + text)
    return FetchRequest(
        lfn="in", surl="site://door/in", target=str(folder / "in"), movers=(f"external:{program}",)
    )


# a byte now and then


class Trickling(FaultyServer):
    """Says one thing at once, and another one again and again, slowly, for as long as somebody listens."""

    def __init__(self, first: bytes, again: bytes) -> None:
        self.first, self.again = first, again
        super().__init__([Say()])

    def converse(self, connection: socket.socket, number: int) -> None:
        """Serve one connection."""
        connection.recv(65536)
        connection.sendall(self.first)
        while not self.closing.wait(0.05):
            connection.sendall(self.again)


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (OK + b"Content-Length: 1000000\r\n\r\n", b"x"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (OK, b"X: y\r\n"),
        (OK + b"X: ", b"y"),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    ],
    ids=["body", "chunks", "headers", "header", "interim heads", "length of a chunk"],
)
def test_a_trickle_is_ended_by_the_limit_for_its_size(tmp_path: Path, first: bytes, again: bytes) -> None:
    """Each byte is a sign of life, and there will be some for a day; a file of this size has not so long."""

    async def work() -> None:
        with Trickling(first, again) as storage:
            async with TransferWorker(limits=HASTY, log_path=tmp_path / "log") as worker:
                request = FetchRequest(
                    lfn="in", surl=f"{storage.url}/in", target=str(tmp_path / "in"), size_bytes=1_000_000
                )
                failure = bad(await worker.transfer(request))
        assert failure.kind is FailureClass.TIMEOUT, failure
        assert "took longer than its 4 s" in failure.says

    run(work())


def test_a_storage_that_takes_a_byte_now_and_then(tmp_path: Path) -> None:
    """The same for what is sent."""
    size_bytes = 2_000_000
    (tmp_path / "out").write_bytes(bytes(size_bytes))

    async def work() -> None:
        with FaultyStorage(tmp_path / "storage") as storage:
            storage.fault("PUT", bytes_per_s=50.0)
            async with TransferWorker(limits=HASTY, log_path=tmp_path / "log") as worker:
                request = StoreRequest(
                    lfn="out", surl=storage.surl("out"), source=str(tmp_path / "out"), size_bytes=size_bytes
                )
                failure = bad(await worker.transfer(request))
            assert storage.read("out") is None
        assert failure.kind is FailureClass.TIMEOUT, failure
        assert "took longer than its 5 s" in failure.says

    run(work())


# programs without measure


FETCHED = 'open(ask["path"], "w").write("abc"); say(result="done")'


@pytest.mark.parametrize(
    "text",
    [
        "os.write(2, b'line\\n' * 1_000_000)",
        "os.write(2, b'x' * (60 << 20))",
        "os.write(2, bytes(range(256)) * 10_000)",
        'os.write(1, b\'{"number":%d,"result":"passed","passed_bytes":1}\\n\' % ask[\'number\'] * 1_000_000)',
        "os.close(2)",
        "os.close(0)",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "os.fork() or (signal.signal(signal.SIGTERM, signal.SIG_IGN), time.sleep(1000))",
    ],
    ids=[
        "lines",
        "one line",
        "binary",
        "passed",
        "no error stream",
        "no input",
        "deaf",
        "child with the pipes",
    ],
)
def test_noise_of_a_program_that_does_its_work(tmp_path: Path, text: str) -> None:
    """The file is there; what else it did is its own business."""

    async def work() -> None:
        async with TransferWorker(log_path=tmp_path / "log") as worker:
            assert good(await worker.transfer(asked(tmp_path, f"{text}\n{FETCHED}"))).size_bytes == 3

    run(work())
    assert (tmp_path / "log").stat().st_size < 100_000


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("while True: os.write(2, b'line\\n' * 10_000)", FailureClass.TRANSFER),
        (
            'line = b\'{"number":%d,"result":"passed","passed_bytes":1}\\n\' % ask[\'number\']\n'
            "while True: os.write(1, line * 10_000)",
            FailureClass.TRANSFER,
        ),
        ("os.write(1, b'x' * (100 << 20))", FailureClass.TRANSFER),
        ("os.write(1, bytes(range(256)) * 10_000); time.sleep(1000)", FailureClass.TRANSFER),
        ("os.close(1); time.sleep(1000)", FailureClass.TIMEOUT),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)", FailureClass.TIMEOUT),
        ("os.fork() and os._exit(0); time.sleep(1000)", FailureClass.TRANSFER),
    ],
    ids=["lines", "passed", "one line", "binary", "closed", "deaf", "child"],
)
def test_a_program_that_never_answers(tmp_path: Path, text: str, kind: FailureClass) -> None:
    """It is ended, and the next one has what it needs."""
    pid = tmp_path / "pid"
    limits = WorkerLimits(stall_s=5.0 if kind is FailureClass.TIMEOUT else 60.0)

    async def work() -> None:
        noted = f"open({str(pid)!r}, 'w').write(str(os.getpid()))\n{text}"
        async with TransferWorker(limits=limits, log_path=tmp_path / "log") as worker:
            failure = bad(await worker.transfer(asked(tmp_path, noted)))
            assert failure.kind is kind, failure
            # On a busy machine the stall may have come before the program.
            assert gone(int(pid.read_text())) if pid.exists() else kind is FailureClass.TIMEOUT
        async with TransferWorker(log_path=tmp_path / "log") as worker:
            assert good(await worker.transfer(asked(tmp_path, FETCHED))).size_bytes == 3

    run(work())
