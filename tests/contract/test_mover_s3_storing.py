"""What the S3 mover does about uploads: compared by the server, never over another object, in parts if large."""

import errno
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from object_storage import ObjectStorage, mover, storage

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import (
    FailureClass,
    How,
    Remedy,
    Side,
    StatRequest,
    TransferContext,
)
from picard_pilot.movers import s3, s3_upload
from picard_pilot.movers.open_file import OpenFile
from picard_pilot.movers.s3 import S3Mover
from picard_pilot.movers.s3_object import md5_of, tag_of
from picard_pilot.system.http_trip import Answer
from picard_pilot.testing.mover_kit import CONTENT, adler32, failed, ignore, md5

pytestmark = pytest.mark.xdist_group("s3")

__all__ = ["mover", "storage"]  # the fixtures


class TestStoring:
    """What S3 can do instead of a temporary name."""

    def test_the_server_compares_what_it_got(
        self, storage: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mover: S3Mover
    ) -> None:
        """Bytes that change on their way are refused by the server itself, and nothing appears."""
        source = tmp_path / "out.root"
        source.write_bytes(CONTENT)
        honest = s3_upload._Part.read_into

        def damaged(self: Any, block: memoryview) -> int:
            count = honest(self, block)
            if count:
                block[0] ^= 1
            return count

        monkeypatch.setattr(s3_upload._Part, "read_into", damaged)
        failure = failed(lambda: mover.store(storage.store("out.root", source), ignore))
        assert (failure.kind, failure.remedy, failure.code) == (
            FailureClass.CHECKSUM,
            Remedy.REPEAT,
            "s3 BadDigest",
        )
        assert storage.read("out.root") is None
        assert storage.leftovers() == []

    @pytest.mark.parametrize(
        ("theirs", "kind"), [(CONTENT, None), (CONTENT[:-1] + b"x", FailureClass.SPECIFICATION)]
    )
    def test_somebody_was_faster(
        self,
        storage: ObjectStorage,
        tmp_path: Path,
        mover: S3Mover,
        theirs: bytes,
        kind: FailureClass | None,
    ) -> None:
        """An object that appears while ours is sent stays: the same is success, another one a failure."""
        source = tmp_path / "out.root"
        source.write_bytes(CONTENT)
        once = threading.Lock()

        def meanwhile(count: int) -> None:
            if once.acquire(blocking=False):
                storage.put("out.root", theirs)

        act: Callable[[], Any] = lambda: mover.store(storage.store("out.root", source), meanwhile)  # noqa: E731
        if kind is None:
            assert act().how is How.ALREADY_THERE
        else:
            failure = failed(act)
            assert (failure.kind, failure.errno) == (kind, errno.EEXIST)
        assert storage.read("out.root") == theirs

    def test_an_object_whose_tag_is_no_md5(
        self, storage: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mover: S3Mover
    ) -> None:
        """Sent in parts, or encrypted by the server: it is read back and compared."""
        source = tmp_path / "out.root"
        source.write_bytes(CONTENT)
        plain = "0123456789abcdef0123456789abcdef"
        kms = {"x-amz-server-side-encryption": "aws:kms"}
        assert tag_of(answer_with(etag=f'"{plain}"')) == plain
        assert md5_of(answer_with(etag=f'"{plain}-2"')) is None
        assert tag_of(answer_with(etag=f'"{plain}"', **kms)) is None
        storage.put("out.root", CONTENT)
        monkeypatch.setattr(s3, "tag_of", lambda answer: None)
        assert mover.store(storage.store("out.root", source), ignore).how is How.ALREADY_THERE
        storage.put("out.root", CONTENT[:-1] + b"x")
        failure = failed(lambda: mover.store(storage.store("out.root", source), ignore))
        assert failure.errno == errno.EEXIST

    @pytest.mark.parametrize("kind", list(ChecksumKind))
    def test_a_file_too_large_for_one_request_goes_in_parts(
        self,
        storage: ObjectStorage,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        mover: S3Mover,
        kind: ChecksumKind,
    ) -> None:
        """It appears whole, and stored once more it is recognised; another one of its size is not overwritten."""
        monkeypatch.setattr(s3_upload, "LARGEST_PUT_BYTES", 500_000)
        monkeypatch.setattr(s3_upload, "PART_BYTES", 300_000)
        source = tmp_path / "out.root"
        source.write_bytes(CONTENT)
        request = msgspec.structs.replace(storage.store("out.root", source), measure=kind)
        passed: list[int] = []
        done = mover.store(request, passed.append)
        right = md5(CONTENT) if kind is ChecksumKind.MD5 else adler32(CONTENT)
        assert (done.how, done.checksum) == (How.COPY, right)
        assert sum(passed) == len(CONTENT)
        assert storage.read("out.root") == CONTENT
        assert mover.store(request, ignore).how is How.ALREADY_THERE
        storage.put("out.root", CONTENT[:-1] + b"x")
        failure = failed(lambda: mover.store(request, ignore))
        assert failure.errno == errno.EEXIST

    def test_a_part_that_changes_on_its_way(
        self, storage: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mover: S3Mover
    ) -> None:
        """A server that does not compare the part tells its md5: nothing appears, and no part stays."""
        monkeypatch.setattr(s3_upload, "LARGEST_PUT_BYTES", 500_000)
        monkeypatch.setattr(s3_upload, "PART_BYTES", 300_000)
        source = tmp_path / "out.root"
        source.write_bytes(CONTENT)
        honest = s3_upload._Part.read_into

        def damaged(self: Any, block: memoryview) -> int:
            count = honest(self, block)
            if count and self._from:
                block[0] ^= 1
            return count

        monkeypatch.setattr(s3_upload._Part, "read_into", damaged)
        failure = failed(lambda: mover.store(storage.store("out.root", source), ignore))
        assert (failure.kind, failure.remedy) == (FailureClass.CHECKSUM, Remedy.REPEAT)
        assert storage.read("out.root") is None
        assert storage.server.parts() == []

    def test_the_tag_of_parts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As S3 computes it: the md5 of the parts' md5s, and how many they are."""
        monkeypatch.setattr(s3_upload, "LARGEST_PUT_BYTES", 1)
        monkeypatch.setattr(s3_upload, "PART_BYTES", 3)
        source = tmp_path / "out.root"
        source.write_bytes(b"abcdef")
        with OpenFile(source, "out.root", "s3://", Side.NODE) as opened:
            tag = s3_upload.read_through(opened, ChecksumKind.ADLER32, ignore).tag
        parts = b"".join(hashlib.md5(part).digest() for part in (b"abc", b"def"))
        assert tag == f"{hashlib.md5(parts).hexdigest()}-2"

    def test_what_stat_knows_without_reading(
        self, storage: ObjectStorage, tmp_path: Path, mover: S3Mover
    ) -> None:
        """The tag of a plain object is its md5; the adler32 is there where the mover stored it itself."""
        context = TransferContext(endpoint=storage.endpoint)

        def asked(name: str, kind: ChecksumKind) -> Checksum | None:
            return mover.stat(StatRequest(surl=storage.surl(name), measure=kind, context=context)).checksum

        storage.put("theirs.root", CONTENT)
        source = tmp_path / "ours.root"
        source.write_bytes(CONTENT)
        mover.store(storage.store("ours.root", source), ignore)
        assert [asked("theirs.root", kind) for kind in ChecksumKind] == [None, md5(CONTENT)]
        assert [asked("ours.root", kind) for kind in ChecksumKind] == [adler32(CONTENT), md5(CONTENT)]


def answer_with(**headers: str) -> Answer:
    """An answer with these headers."""
    return Answer(status=200, headers=headers, url="http://127.0.0.1/")
