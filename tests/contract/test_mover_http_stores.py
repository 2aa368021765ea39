"""What a storage by http can do to a store, and what presigned addresses permit."""

import errno
from pathlib import Path

import msgspec
import pytest
from http_requests import fetch, store, with_token

from picard_pilot.model.files import ChecksumKind
from picard_pilot.model.transfer import (
    FailureClass,
    How,
    Remedy,
    StatRequest,
)
from picard_pilot.movers.http import HttpMover
from picard_pilot.testing.faulty_storage import FaultyStorage
from picard_pilot.testing.mover_kit import CONTENT, adler32, failed, ignore, md5


def test_a_storage_without_move_gets_the_file_at_once(
    storage: FaultyStorage, node: Path, mover: HttpMover
) -> None:
    """It is sent twice the first time, never again; nothing temporary stays."""
    storage.rules.move = False
    assert mover.store(store(storage, node), ignore).how is How.COPY
    assert storage.read("out.root") == CONTENT
    assert storage.leftovers() == []
    before = storage.count("PUT")
    mover.store(store(storage, node, surl=storage.surl("second.root")), ignore)
    assert storage.count("PUT") == before + 1


def test_a_bad_file_on_a_storage_without_move_is_removed(
    storage: FaultyStorage, node: Path, mover: HttpMover
) -> None:
    """It has stood there for a moment; it does not stay."""
    storage.rules.move = False
    storage.fault("PUT", "out.root", spoil=True)
    failure = failed(lambda: mover.store(store(storage, node), ignore))
    assert failure.kind is FailureClass.CHECKSUM
    assert storage.read("out.root") is None


@pytest.mark.parametrize(
    ("what", "kind", "remedy"),
    [
        ({"status": 507}, FailureClass.SPACE, Remedy.NEXT),
        ({"status": 413}, FailureClass.SPACE, Remedy.NEXT),
        ({"status": 503}, FailureClass.CONTACT, Remedy.BENCH),
        ({"spoil": True}, FailureClass.CHECKSUM, Remedy.REPEAT),
        ({"cut_at": 300_000, "reset": True}, FailureClass.SPACE, Remedy.NEXT),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [len(CONTENT), 3 * len(CONTENT)])
def test_each_failure_of_a_store_has_its_class(
    storage: FaultyStorage,
    node: Path,
    mover: HttpMover,
    what: dict[str, object],
    kind: FailureClass,
    remedy: Remedy,
    size: int,
) -> None:
    """And nothing stands under the final name."""
    (node.parent / "out.root").write_bytes((CONTENT * 3)[:size])
    storage.fault("PUT", **what)
    failure = failed(lambda: mover.store(store(storage, node), ignore))
    assert (failure.kind, failure.remedy) == (kind, remedy)
    assert storage.read("out.root") is None
    assert storage.leftovers() == []


@pytest.mark.parametrize("full_says", [507, None])
def test_a_full_storage_is_space_however_it_says_so(
    storage: FaultyStorage, node: Path, mover: HttpMover, full_says: int | None
) -> None:
    """A reset too, when the storage has no room by its own word."""
    storage.rules.free_bytes, storage.rules.full_says = 500_000, full_says
    failure = failed(lambda: mover.store(store(storage, node), ignore))
    assert (failure.kind, failure.remedy) == (FailureClass.SPACE, Remedy.NEXT)
    assert storage.leftovers() == []


def test_a_reset_by_a_storage_with_room_is_the_networks(
    storage: FaultyStorage, node: Path, mover: HttpMover
) -> None:
    """It says how much is free, and that is enough."""
    storage.rules.free_bytes = 1 << 30
    storage.fault("PUT", cut_at=300_000, reset=True)
    failure = failed(lambda: mover.store(store(storage, node), ignore))
    assert (failure.kind, failure.remedy) == (FailureClass.TRANSFER, Remedy.BENCH)


def test_a_rename_whose_answer_is_lost_has_happened(
    storage: FaultyStorage, node: Path, mover: HttpMover
) -> None:
    """The file stands there with our bytes: that is what counts."""
    storage.fault("MOVE", lose_answer=True)
    assert mover.store(store(storage, node), ignore).checksum == adler32(CONTENT)
    assert storage.read("out.root") == CONTENT


def test_a_file_that_appears_meanwhile_is_not_overwritten(
    storage: FaultyStorage, node: Path, mover: HttpMover
) -> None:
    """Another pilot was faster with another content."""

    def intrude(count: int) -> None:
        storage.put("out.root", b"another one")

    failure = failed(lambda: mover.store(store(storage, node), intrude))
    assert failure.errno == errno.EEXIST
    assert storage.read("out.root") == b"another one"
    assert storage.leftovers() == []


def test_a_large_file_is_verified_by_the_storages_checksum(
    storage: FaultyStorage, node: Path, mover: HttpMover
) -> None:
    """Of the kind that was asked for; it is not read back."""
    (node.parent / "out.root").write_bytes(CONTENT * 3)
    done = mover.store(store(storage, node, measure=ChecksumKind.MD5), ignore)
    assert done.checksum == md5(CONTENT * 3)
    assert storage.count("GET") == 0
    again = mover.store(store(storage, node), ignore)
    assert (again.how, again.checksum) == (How.ALREADY_THERE, adler32(CONTENT * 3))
    assert storage.count("GET") == 0


def test_missing_folders_are_made(storage: FaultyStorage, node: Path, mover: HttpMover) -> None:
    """All of them, where the storage does not by itself."""
    storage.rules.makes_folders = False
    surl = storage.surl("out.root").replace("/scope/", "/a/b/c/")
    mover.store(store(storage, node, surl=surl), ignore)
    assert (storage.folder / "data/a/b/c/out.root").read_bytes() == CONTENT


# presigned addresses


def test_presigned_addresses_there_and_back(storage: FaultyStorage, node: Path, mover: HttpMover) -> None:
    """The signature is the permission: no token beside it, no other method, and nobody sees it."""
    token = storage.token()
    up, down = storage.presigned("new.root", "PUT"), storage.presigned("new.root")
    done = mover.store(store(storage, node, surl=up, context=with_token(token)), ignore)
    assert done.surl == storage.surl("new.root")
    assert [seen.method for seen in storage.requests] == ["PUT"]
    done = mover.fetch(fetch(storage, node, surl=down, context=with_token(token)), ignore)
    assert done.surl == storage.surl("new.root")
    facts = mover.stat(StatRequest(surl=down))
    assert (facts.exists, facts.size_bytes) == (True, len(CONTENT))


@pytest.mark.parametrize(("life_s", "remedy"), [(-60.0, Remedy.RENEW), (600.0, Remedy.NEXT)])
def test_an_expired_signature_is_named_and_not_shown(
    storage: FaultyStorage, node: Path, mover: HttpMover, life_s: float, remedy: Remedy
) -> None:
    """A signature for another method is a missing permission."""
    surl = storage.presigned("in.root", "GET" if life_s < 0 else "PUT", life_s)
    failure = failed(lambda: mover.fetch(fetch(storage, node, surl=surl), ignore))
    assert (failure.kind, failure.remedy) == (FailureClass.AUTH, remedy)
    assert ("the presigned address expired at" in failure.says) is (life_s < 0)
    signature = surl.rpartition("=")[2]
    assert signature not in msgspec.json.encode(failure).decode()
