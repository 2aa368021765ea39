"""What a storage by http can do to a fetch: each failure by its cause, no half file, no secret shown."""

import asyncio
import os
import time
from pathlib import Path

import msgspec
import pytest
from http_requests import fetch, with_token

from picard_pilot.data.worker import TransferWorker, WorkerLimits
from picard_pilot.model.files import ChecksumKind
from picard_pilot.model.transfer import (
    FailureClass,
    OpenRequest,
    Remedy,
    RemoveRequest,
    Side,
    StatRequest,
    TransferFailure,
    Transferred,
)
from picard_pilot.movers.http import HttpMover
from picard_pilot.testing.faulty_storage import FaultyStorage
from picard_pilot.testing.mover_kit import CONTENT, adler32, failed, gone, ignore, names

# down


@pytest.mark.parametrize(
    ("what", "kind", "remedy"),
    [
        ({"status": 400}, FailureClass.SPECIFICATION, Remedy.MISTAKE),
        ({"status": 404}, FailureClass.MISSING, Remedy.NEXT),
        ({"status": 410}, FailureClass.MISSING, Remedy.NEXT),
        ({"status": 418}, FailureClass.SPECIFICATION, Remedy.NEXT),
        ({"status": 429}, FailureClass.CONTACT, Remedy.BENCH),
        ({"status": 500}, FailureClass.TRANSFER, Remedy.BENCH),
        ({"status": 503}, FailureClass.CONTACT, Remedy.BENCH),
        ({"status": 599}, FailureClass.TRANSFER, Remedy.BENCH),
        ({"spoil": True}, FailureClass.CHECKSUM, None),
        ({"announce": 5}, FailureClass.CHECKSUM, Remedy.NEXT),
        ({"cut_at": 0}, FailureClass.TRANSFER, Remedy.BENCH),
        ({"cut_at": -1, "reset": True}, FailureClass.TRANSFER, Remedy.BENCH),
        ({"redirect": "ftp://127.0.0.1/x"}, FailureClass.SPECIFICATION, Remedy.NEXT),
    ],
    ids=str,
)
def test_each_failure_of_a_fetch_has_its_class(
    storage: FaultyStorage,
    node: Path,
    mover: HttpMover,
    what: dict[str, object],
    kind: FailureClass,
    remedy: Remedy | None,
) -> None:
    """And the node's folder is empty afterwards."""
    storage.fault("GET", **what)
    failure = failed(lambda: mover.fetch(fetch(storage, node), ignore))
    assert (failure.kind, failure.remedy, failure.side) == (kind, remedy, Side.STORAGE)
    assert "in.root" in failure.says
    assert names(node) == []


@pytest.mark.parametrize("said", ["7", "date"])
def test_what_a_busy_storage_asks_for_is_kept(
    storage: FaultyStorage, node: Path, mover: HttpMover, said: str
) -> None:
    """Seconds or a date; its own words are in the failure's."""
    if said == "date":
        said = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    storage.fault("GET", status=503, retry_after=said, body="<h1>down for an hour</h1>\nand more")
    failure = failed(lambda: mover.fetch(fetch(storage, node), ignore))
    assert failure.retry_after_s is not None
    assert 6.0 < failure.retry_after_s <= 100.0
    assert "down for an hour" in failure.says
    assert "and more" not in failure.says
    assert failure.code == "http 503"


def test_a_broken_download_is_resumed_and_measured_as_one(
    storage: FaultyStorage, node: Path, mover: HttpMover
) -> None:
    """The checksum is of the whole file."""
    storage.fault("GET", cut_at=400_000, last=1)
    done = mover.fetch(fetch(storage, node), ignore)
    assert done.checksum == adler32(CONTENT)
    assert (node / "in.root").read_bytes() == CONTENT
    assert storage.count("GET") == 2


def test_the_storages_own_checksum_counts_where_the_catalogue_has_none(
    storage: FaultyStorage, node: Path, mover: HttpMover
) -> None:
    """Where the catalogue has one, a wrong Digest header spoils nothing."""
    storage.fault("GET", digest="adler32=00000001")
    failure = failed(lambda: mover.fetch(fetch(storage, node, checksum=None), ignore))
    assert (failure.kind, failure.remedy) == (FailureClass.CHECKSUM, Remedy.REPEAT)
    assert names(node) == []
    mover.fetch(fetch(storage, node), ignore)
    storage.heal()
    for kind in ChecksumKind:
        mover.fetch(fetch(storage, node, checksum=None, measure=kind), ignore)
        assert storage.requests[-1].headers["want-digest"] == kind


def test_a_refusal_may_be_meant_for_the_question_about_the_checksum(
    storage: FaultyStorage, node: Path, mover: HttpMover
) -> None:
    """Then the file is asked for without it: once, not where the storage is busy, and not in mid-file."""
    storage.fault("GET", status=500, last=1)
    assert mover.fetch(fetch(storage, node, checksum=None), ignore).checksum == adler32(CONTENT)
    assert ["want-digest" in request.headers for request in storage.requests] == [True, False]
    (node / "in.root").unlink()
    storage.heal()
    storage.fault("GET", status=503)
    failed(lambda: mover.fetch(fetch(storage, node, checksum=None), ignore))
    assert storage.count("GET") == 3
    storage.heal()
    storage.fault("GET", cut_at=400_000, last=1)
    storage.fault("GET", status=500, last=1)  # of those that come after
    failure = failed(lambda: mover.fetch(fetch(storage, node, checksum=None, size_bytes=None), ignore))
    assert (failure.kind, failure.code) == (FailureClass.TRANSFER, "http 500")
    assert storage.count("GET") == 5 and names(node) == []


def test_a_file_of_another_size_is_refused_before_its_bytes(
    storage: FaultyStorage, node: Path, mover: HttpMover
) -> None:
    """Nothing is moved for nothing."""
    passed: list[int] = []
    failure = failed(lambda: mover.fetch(fetch(storage, node, size_bytes=5), passed.append))
    assert failure.kind is FailureClass.CHECKSUM
    assert passed == []


def test_a_redirect_never_gets_the_token(tmp_path: Path, storage: FaultyStorage, node: Path) -> None:
    """The file comes from elsewhere, the token stays here."""
    other = tmp_path / "other"
    other.mkdir()
    with FaultyStorage(other) as elsewhere:
        elsewhere.put("in.root", CONTENT)
        storage.fault("GET", redirect=elsewhere.surl("in.root"))
        HttpMover().fetch(fetch(storage, node, context=with_token(storage.token())), ignore)
        assert "authorization" in storage.requests[0].headers
        assert "authorization" not in elsewhere.requests[0].headers


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("worn_out", ["none", "expired", "valid"])
def test_a_credential_is_told_from_a_permission(
    storage: FaultyStorage, node: Path, mover: HttpMover, status: int, worn_out: str
) -> None:
    """By the token's own expiry, whatever the storage says; the token is never shown."""
    tokens = {"none": None, "expired": storage.token(-60.0), "valid": storage.token()}
    storage.fault("GET", status=status)
    request = fetch(storage, node, context=with_token(tokens[worn_out]))
    failure = failed(lambda: mover.fetch(request, ignore))
    assert failure.kind is FailureClass.AUTH
    assert failure.remedy is (Remedy.NEXT if (status, worn_out) == (403, "valid") else Remedy.RENEW)
    assert {
        "none": "neither a token",
        "expired": "the token expired at",
        "valid": "the token (valid until",
    }[worn_out] in failure.says
    assert tokens[worn_out] is None or tokens[worn_out] not in msgspec.json.encode(failure).decode()


def test_a_renewed_token_counts_with_the_next_request(
    storage: FaultyStorage, node: Path, mover: HttpMover
) -> None:
    """The token expired between two files."""
    old = storage.token(-1.0)
    failure = failed(lambda: mover.fetch(fetch(storage, node, context=with_token(old)), ignore))
    assert failure.remedy is Remedy.RENEW
    assert mover.fetch(fetch(storage, node, context=with_token(storage.token())), ignore).size_bytes


# look, open, remove


def test_a_file_is_opened_by_its_first_bytes(storage: FaultyStorage, mover: HttpMover) -> None:
    """Not all of it is read; an empty one can be opened; one of another size is refused."""
    storage.put_sparse("huge.root", 3 << 30)
    storage.put("empty", b"")

    def opened(name: str, **more: object) -> int | None:
        request = msgspec.structs.replace(OpenRequest(lfn=name, surl=storage.surl(name)), **more)
        return mover.open_check(request).size_bytes

    assert opened("huge.root", size_bytes=3 << 30) == 3 << 30
    assert opened("empty", size_bytes=0) == 0
    assert failed(lambda: opened("in.root", size_bytes=1)).kind is FailureClass.CHECKSUM
    assert failed(lambda: opened("absent")).kind is FailureClass.MISSING
    assert mover.remove(RemoveRequest(surl=storage.surl("absent"))).was_there is False


@pytest.mark.parametrize(
    "surl",
    [
        "http://127.0.0.1/a/../b",
        "http://127.0.0.1/a/%2e%2e/b",
        "http://127.0.0.1/a%00b",
        "http://127.0.0.1/a#b",
        "http://127.0.0.1/",
        "http:///file",
        "http://127.0.0.1:99999/file",
        "http://me:secret-word@127.0.0.1/file",
        "ftp://127.0.0.1/file",
    ],
)
def test_addresses_that_are_refused(mover: HttpMover, surl: str) -> None:
    """Nothing is asked; a password is not repeated."""
    failure = failed(lambda: mover.stat(StatRequest(surl=surl)))
    assert (failure.kind, failure.remedy) == (FailureClass.SPECIFICATION, Remedy.MISTAKE)
    assert "secret-word" not in msgspec.json.encode(failure).decode()


# in the worker

STALL_S = 6.0
"""Of a worker's watch: longer than a busy machine needs to start a worker, which counts as silence too."""


def test_a_hanging_storage_is_ended_and_not_a_byte_is_written_after(
    storage: FaultyStorage, node: Path, tmp_path: Path
) -> None:
    """The worker dies, the next file comes through a new one, and the half file no longer grows."""

    async def transfers() -> None:
        storage.fault("GET", hang_at=500_000, last=1)
        async with TransferWorker(
            limits=WorkerLimits(stall_s=STALL_S),
            log_path=tmp_path / "worker.log",
            environment=dict(os.environ),
        ) as worker:
            failure = await worker.transfer(fetch(storage, node))
            first = worker.pid
            assert isinstance(failure, TransferFailure)
            assert failure.kind is FailureClass.TIMEOUT
            assert first is None or gone(first)
            sizes = [path.stat().st_size for path in node.glob(".*.part")]
            storage.down()
            storage.up()
            storage.heal()
            done = await worker.transfer(fetch(storage, node))
            assert isinstance(done, Transferred)
            assert [path.stat().st_size for path in node.glob(".*.part")] == sizes
        assert (node / "in.root").read_bytes() == CONTENT

    asyncio.run(transfers())


def test_a_slow_stream_is_alive(storage: FaultyStorage, node: Path, tmp_path: Path) -> None:
    """It takes longer than the watch's patience, with a byte now and then."""

    async def transfers() -> None:
        storage.put("slow", CONTENT[:3000])
        storage.fault("GET", "slow", bytes_per_s=3000 / (STALL_S + 1.0))
        request = fetch(
            storage, node, surl=storage.surl("slow"), size_bytes=3000, checksum=adler32(CONTENT[:3000])
        )
        async with TransferWorker(
            limits=WorkerLimits(stall_s=STALL_S),
            log_path=tmp_path / "worker.log",
            environment=dict(os.environ),
        ) as worker:
            assert isinstance(await worker.transfer(request), Transferred)

    asyncio.run(transfers())


def test_a_secret_in_an_address_is_in_nobodys_words(
    storage: FaultyStorage, node: Path, tmp_path: Path
) -> None:
    """Neither in the failure that leaves the worker nor in what it prints."""

    async def transfers() -> None:
        surl = storage.presigned("absent")
        async with TransferWorker(log_path=tmp_path / "worker.log", environment=dict(os.environ)) as worker:
            failure = await worker.transfer(fetch(storage, node, surl=surl))
        signature = surl.rpartition("=")[2]
        assert isinstance(failure, TransferFailure)
        assert failure.kind is FailureClass.MISSING
        assert signature not in msgspec.json.encode(failure).decode()
        assert signature not in (tmp_path / "worker.log").read_text()

    asyncio.run(transfers())
