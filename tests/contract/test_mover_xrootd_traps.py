"""Traps of XRootD that were measured on real servers: each is stepped into, and nothing is lost."""

import asyncio
import itertools
import os
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from xrootd_kit import fetch_request, large, mover, store_request

from federation import Federation, Storage
from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.files import ChecksumKind
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    How,
    Remedy,
    RemoveRequest,
    StatRequest,
    StorageAccess,
    StoreRequest,
    TransferFailure,
    Transferred,
)
from picard_pilot.testing.mover_kit import adler32, failed, ignore, names, until
from picard_pilot.testing.paused_mover import PAUSED, VARIABLE
from secure_door import SecureDoor
from xrootd_alone import server_alone
from xrootd_server import wait_until, why_not

pytestmark = [pytest.mark.xdist_group("xrootd"), pytest.mark.usefixtures("own_x509_variables")]

_numbers = itertools.count(1)

needs_xrootd = pytest.mark.skipif(why_not() is not None, reason=f"no XRootD server here: {why_not()}")

WAIT_STEP_S = 5.0
"""In such steps a server makes a client wait for one of its places for checksums."""


class Alone(NamedTuple):
    """A data server of one test's own: whatever a trap does to it or to a connection ends with the test."""

    root: str
    storage: Storage


@pytest.fixture
def site() -> Iterator[Alone]:
    """A server that knows checksums."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    with server_alone("xrootd.chksum max 32 adler32 md5 crc32c") as (root, storage):
        yield Alone(root, storage)


@pytest.fixture
def name() -> str:
    """A path that no other test uses."""
    return f"traps-{next(_numbers)}/file"


@pytest.mark.parametrize("direction", ["fetch", "store"])
def test_a_progress_that_raises(site: Alone, name: str, tmp_path: Path, direction: str) -> None:
    """An exception in the library's own handlers kills the interpreter; ours comes out as it is."""

    def broken(count: int) -> None:
        raise RuntimeError("the pilot's own mistake")

    data = large(8 << 20)
    if direction == "fetch":
        site.storage.put(name, data)
        with pytest.raises(RuntimeError):
            mover().fetch(fetch_request(site.root, name, tmp_path, data), broken)
        assert names(tmp_path) == []
    else:
        (tmp_path / "out").write_bytes(data)
        with pytest.raises(RuntimeError):
            mover().store(store_request(site.root, name, tmp_path / "out"), broken)
        assert not [each for each in site.storage.names() if each.startswith(name.partition("/")[0])]


def test_stored_removed_and_stored_again_within_a_second(site: Alone, name: str, tmp_path: Path) -> None:
    """The server keeps a checksum with the time in whole seconds: a repeated stage-out must not look corrupt."""
    for turn in range(6):
        source = tmp_path / f"out{turn}"
        source.write_bytes(b"%d" % turn * 1000)
        done = mover().store(store_request(site.root, name, source), ignore)
        assert done.how is How.COPY
        assert site.storage.read(name) == source.read_bytes()
        assert mover().remove(RemoveRequest(surl=f"{site.root}/{name}")).was_there


def test_a_checksum_of_an_earlier_content_is_not_believed(site: Alone, name: str, tmp_path: Path) -> None:
    """Overwritten behind the server within a second its checksum is the old one; the bytes decide."""
    surl = f"{site.root}/{name}"
    look = StatRequest(surl=surl, measure=ChecksumKind.ADLER32)
    path = site.storage.put(name, b"first..")
    mover().stat(look)  # now the server remembers
    before = path.stat()
    path.write_bytes(b"second.")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert mover().stat(look).checksum == adler32(b"first..")
    (tmp_path / "out").write_bytes(b"second.")
    done = mover().store(store_request(site.root, name, tmp_path / "out"), ignore)
    assert (done.how, done.checksum) == (How.ALREADY_THERE, adler32(b"second."))


@needs_xrootd
def test_many_stores_at_a_server_with_few_places_for_checksums(tmp_path: Path) -> None:
    """Nobody is made to wait in steps of five seconds: with eight at two places, six of eight would be."""
    (tmp_path / "out").write_bytes(large(10_000))
    with server_alone("xrootd.chksum max 2 adler32") as (root, storage):

        def store(number: int) -> float:
            began = time.monotonic()
            mover().store(store_request(root, f"many/{number}", tmp_path / "out"), ignore)
            return time.monotonic() - began

        with ThreadPoolExecutor(8) as threads:
            typical_s = statistics.median(threads.map(store, range(40)))
        assert len(storage.names()) == 40
    assert typical_s < WAIT_STEP_S


@needs_xrootd
def test_what_a_killed_worker_had_begun_does_not_stay(tmp_path: Path) -> None:
    """A file that nobody closes is removed by the server, after the time for which it waits for a client to return."""
    (tmp_path / "out").write_bytes(large(8 << 20))
    with server_alone("ofs.persist manual hold 1s") as (root, storage):
        asyncio.run(_store_and_be_killed(store_request(root, "out", tmp_path / "out"), storage, tmp_path))
        wait_until(lambda: storage.names() == [], "the server to remove what was never closed")


async def _store_and_be_killed(request: StoreRequest, storage: Storage, folder: Path) -> None:
    """Let a worker hang in mid-file, and end it."""
    environment = {**os.environ, VARIABLE: "xrootd"}
    async with TransferWorker(log_path=folder / "worker.log", environment=environment) as worker:
        transfer = asyncio.create_task(worker.transfer(msgspec.structs.replace(request, movers=(PAUSED,))))
        await until(lambda: bool(storage.names()))
        transfer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await transfer


@needs_xrootd
@pytest.mark.parametrize("kind", list(ChecksumKind))
def test_a_server_without_checksums(tmp_path: Path, kind: ChecksumKind) -> None:
    """It is asked twice and then read back; nothing is copied again for this."""
    (tmp_path / "out").write_bytes(large(3 << 20))
    with server_alone("") as (root, storage):
        request = msgspec.structs.replace(store_request(root, "out", tmp_path / "out"), measure=kind)
        passed: list[int] = []
        assert mover().store(request, passed.append).how is How.COPY
        assert sum(passed) == 2 * (3 << 20)
        assert storage.read("out") == (tmp_path / "out").read_bytes()
        assert mover().stat(StatRequest(surl=f"{root}/out", measure=kind)).checksum is None
        assert mover().store(request, ignore).how is How.ALREADY_THERE


def test_another_store_was_faster(site: Alone, name: str, tmp_path: Path) -> None:
    """A file that appears at the target while we write is compared, never replaced."""
    (tmp_path / "out").write_bytes(b"mine..")
    failure = failed(
        lambda: mover().store(
            store_request(site.root, name, tmp_path / "out"), lambda _: site.storage.put(name, b"theirs")
        )
    )
    assert failure.fault == "FILEEXISTS"
    assert site.storage.read(name) == b"theirs"
    assert [each for each in site.storage.names() if each.startswith(name.partition("/")[0])] == [name]


def test_stored_through_the_redirector(federation: Federation, name: str, tmp_path: Path) -> None:
    """The redirector chooses the site; the checks and the renaming find it again."""
    (tmp_path / "out").write_bytes(b"somewhere")
    request = store_request(federation.root, name, tmp_path / "out")
    assert mover().store(request, ignore).how is How.COPY
    assert [site.storage.read(name) for site in federation.sites].count(b"somewhere") == 1
    assert mover().store(request, ignore).how is How.ALREADY_THERE
    assert mover().remove(RemoveRequest(surl=request.surl)).was_there
    assert mover().stat(StatRequest(surl=request.surl)).exists is False


def test_eight_threads_read_at_once(site: Alone, name: str, tmp_path: Path) -> None:
    """One mover serves all threads of a worker; none gets another's bytes."""
    contents = [large(3_000_000 + number) for number in range(8)]
    for number, data in enumerate(contents):
        site.storage.put(f"{name}{number}", data)
        (tmp_path / str(number)).mkdir()
    together = threading.Barrier(8)

    def fetch(number: int) -> bytes:
        together.wait()
        request = fetch_request(site.root, f"{name}{number}", tmp_path / str(number), contents[number])
        mover().fetch(request, ignore)
        return (tmp_path / str(number) / "fetched").read_bytes()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(fetch, range(8))) == contents


class TestTokens:
    """Credentials belong to a request, not to a process. In a worker, since trust is read once per process."""

    def test_each_request_has_its_own(self, secure_door: SecureDoor, tmp_path: Path) -> None:
        """One worker reads with one token, is refused with an expired one and none, and stores with a third."""
        secure_door.storage.put("tok/in", b"secret")
        (tmp_path / "out").write_bytes(b"out")
        asyncio.run(self._each_request_has_its_own(secure_door, secure_door.roots, tmp_path))

    async def _each_request_has_its_own(self, door: SecureDoor, root: str, folder: Path) -> None:
        reads = door.token("storage.read:/")
        writes = door.token("storage.read:/", "storage.modify:/")
        expired = door.token("storage.read:/", life_s=-60)
        name = f"tok/out-{next(_numbers)}"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("X509")}
        present = StorageAccess()
        async with TransferWorker(
            log_path=folder / "worker.log", environment=environment, access=lambda: present
        ) as worker:

            async def ask(request: FetchRequest | StoreRequest, token: str | None) -> object:
                nonlocal present
                present = StorageAccess(token=token, ca_dir=str(door.cert_dir))
                done = await worker.transfer(request)
                for secret in filter(None, (token, token and token.rpartition(".")[2])):
                    assert secret not in repr(done)
                if isinstance(done, TransferFailure):
                    assert "authz" not in done.says + (done.surl or "")
                    return done.kind, done.remedy
                return done

            fetch = fetch_request(root, "tok/in", folder, b"secret")
            store = store_request(root, name, folder / "out")
            assert isinstance(await ask(fetch, reads), Transferred)
            assert await ask(fetch, expired) == (FailureClass.AUTH, Remedy.RENEW)
            assert await ask(fetch, None) == (FailureClass.AUTH, Remedy.NEXT)
            assert await ask(store, reads) == (FailureClass.AUTH, Remedy.NEXT)
            assert isinstance(await ask(store, writes), Transferred)
            assert isinstance(await ask(fetch, reads), Transferred)
        assert door.storage.read(name) == b"out"
        log = (folder / "worker.log").read_text() if (folder / "worker.log").exists() else ""
        assert not any(token in log for token in (reads, writes, expired))
