"""Secrets of a request leave the transfer worker with nothing that is said of it: failures, time-outs, tracebacks."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from program_kit import script
from worker_kit import bad, run

from picard_pilot.data.worker import TransferWorker, WorkerLimits
from picard_pilot.model.transfer import FetchRequest, StatRequest, StorageAccess
from picard_pilot.site.facts import BadValue, bad_value
from picard_pilot.site.readers import prefix, protocols
from picard_pilot.testing.faulty_storage import FaultyStorage
from picard_pilot.testing.mover_kit import CONTENT

SHOUTING = """
import json, os, sys
token = open(os.environ["BEARER_TOKEN_FILE"]).read()
for line in sys.stdin:
    ask = json.loads(line)
    surl = ask.get("surl", "")
    query = surl.partition("?")[2]
    words = [surl, query, query.rpartition("=")[2], query[-50:], token, token[:60], token[-60:]]
    sys.stderr.write("\\n".join(words) + "\\n" + f"{token} {surl} " * 800)
    said = " ".join(words)
    {then}
    print(json.dumps(answer), flush=True)
"""

FAILS = """answer = {"number": ask["number"], "result": "failed", "kind": "missing", "says": said, "code": said}"""
LIES = """answer = {"number": ask["number"], "result": said}"""
RAMBLES = """answer = words"""
DIES = """sys.stderr.write("\\n" + said + "\\n"); sys.exit(5)"""


class Known:
    """One token and one presigned address, and where to look for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = secrets.token_urlsafe(200)
        self.signature = secrets.token_hex(32)
        self.query = f"X-Amz-Expires=60&X-Amz-Signature={self.signature}"
        self.log = folder / "worker.log"

    def request(self, surl: str, *movers: str) -> FetchRequest:
        """A request for a file there."""
        target = str(self.folder / "f")
        return FetchRequest(lfn="f", surl=f"{surl}?{self.query}", target=target, movers=movers)

    def access(self) -> StorageAccess:
        """As whom the worker goes."""
        return StorageAccess(token=self.token)

    def must_be_unsaid(self, result: object) -> None:
        """In the result and in the worker's log."""
        text = msgspec.json.encode(result).decode() + self.log.read_text()
        for secret in (self.token, self.signature):
            for piece in (secret, secret[:40], secret[-40:]):
                assert piece not in text


@pytest.fixture
def known(tmp_path: Path) -> Known:
    """The secrets of one test."""
    return Known(tmp_path)


@pytest.mark.parametrize("mover", ["Raising", "Failing", "Dying"])
def test_a_mover_that_tells_all_it_knows(known: Known, mover: str) -> None:
    """In its error, in its classification, or by its end; what it is asked for is still said."""

    async def work() -> None:
        async with TransferWorker(log_path=known.log, access=known.access) as worker:
            failure = bad(await worker.transfer(known.request("site://door/f", f"telling_movers:{mover}")))
            assert "site://door/f" in str(failure)
            assert len(failure.code or "") <= 100
            known.must_be_unsaid(failure)

    run(work())


@pytest.mark.parametrize("then", [FAILS, LIES, RAMBLES, DIES], ids=["fails", "lies", "rambles", "dies"])
def test_a_program_that_tells_all_it_knows(known: Known, tmp_path: Path, then: str) -> None:
    """So much of it that what is kept begins in the middle of a secret, or that it is cut there for people."""
    program = script(tmp_path / "bin", "program", SHOUTING.replace("{then}", then))

    async def work() -> None:
        async with TransferWorker(log_path=known.log, access=known.access) as worker:
            failure = bad(await worker.transfer(known.request("site://door/f", f"external:{program}")))
            known.must_be_unsaid(failure)

    run(work())


@contextmanager
def hanging(folder: Path) -> Iterator[FaultyStorage]:
    """A storage that never answers."""
    with FaultyStorage(folder) as storage:
        storage.put("f", CONTENT)
        storage.fault(hang_at=-1)
        yield storage


def test_a_time_out_of_a_signed_address(known: Known, tmp_path: Path) -> None:
    """The pilot's own word for a transfer, or a question, that it ended; the address is in it, and not its query."""

    async def work() -> None:
        with hanging(tmp_path / "storage") as storage:
            limits = WorkerLimits(stall_s=1.0)
            async with TransferWorker(limits=limits, log_path=known.log, access=known.access) as worker:
                surl = storage.surl("f")
                fetched = bad(await worker.transfer(known.request(surl)))
                looked = bad(await worker.stat(StatRequest(surl=f"{surl}?{known.query}")))
        for failure in (fetched, looked):
            assert failure.surl == surl
            known.must_be_unsaid(failure)

    run(work())


@pytest.mark.parametrize(
    "address", ["https://me:{}@door.example/data", "root://me:{}@door.example:1094//data"]
)
def test_a_site_gives_no_password_in_an_address(address: str) -> None:
    """It would stand in every journal, log and report. A name alone is no secret."""
    password = secrets.token_hex(8)
    for read in (prefix, lambda value: protocols([value])):
        with pytest.raises(BadValue) as refused:
            read(address.format(password))
        assert "without a password" in str(refused.value)
        told = bad_value("site.toml", "endpoint.A.protocols", address.format(password), str(refused.value))
        assert "door.example" in str(told) and password not in str(told)
    assert prefix("root://me@door.example//data") == "root://me@door.example//data"
