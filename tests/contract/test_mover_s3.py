"""The S3 mover on a real S3 server that computes every signature: the public suite, and S3's own traps."""

import errno
import hashlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.site import Endpoint, Protocol
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    How,
    Remedy,
    Side,
    StatRequest,
    StorageAccess,
    StoreRequest,
    TransferContext,
)
from picard_pilot.movers import s3, s3_upload
from picard_pilot.movers.open_file import OpenFile
from picard_pilot.movers.s3 import S3Mover
from picard_pilot.movers.s3_object import md5_of, tag_of
from picard_pilot.system.http_trip import Answer
from picard_pilot.testing.mover_kit import CONTENT, Storage, adler32, failed, ignore, md5, names
from picard_pilot.testing.mover_suite import MoverSuite
from s3_storage import BUCKET, S3Storage

pytestmark = pytest.mark.xdist_group("s3")

_numbers = itertools.count(1)


class ObjectStorage(Storage):
    """A folder of its own in the bucket of the server that all tests share."""

    def __init__(self, server: S3Storage) -> None:
        self.server = server
        self.folder = f"test {next(_numbers)}"
        self.client = server.client()
        prefix = f"s3://{server.address}/{BUCKET}/{quote(self.folder)}"
        self.endpoint = Endpoint(name="OBJECTS", protocols=(Protocol(prefix=prefix),))

    def key(self, name: str) -> str:
        """Where a file is in the bucket."""
        return f"{self.folder}/scope/{name}"

    def surl(self, name: str) -> str:
        """An address one folder below the endpoint's prefix."""
        return f"s3://{self.server.address}/{BUCKET}/{quote(self.key(name))}"

    def put(self, name: str, data: bytes) -> None:
        """Write past the mover."""
        self.client.put_object(Bucket=BUCKET, Key=self.key(name), Body=data)

    def read(self, name: str) -> bytes | None:
        """Read past the mover."""
        try:
            found: bytes = self.client.get_object(Bucket=BUCKET, Key=self.key(name))["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None
        return found

    def leftovers(self) -> list[str]:
        """Uploads that the server still receives: S3 has no temporary names."""
        return self.server.incoming()

    def fetch(self, name: str, folder: Path, **more: Any) -> FetchRequest:
        """A request to fetch CONTENT."""
        known = {"size_bytes": len(CONTENT), "checksum": adler32(CONTENT), **more}
        context = known.pop("context", TransferContext(endpoint=self.endpoint))
        return FetchRequest(
            lfn=name, surl=self.surl(name), target=str(folder / name), context=context, **known
        )

    def store(self, name: str, source: Path) -> StoreRequest:
        """A request to store a file."""
        context = TransferContext(endpoint=self.endpoint)
        return StoreRequest(lfn=name, surl=self.surl(name), source=str(source), context=context)


@pytest.fixture
def storage(s3_storage: S3Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStorage]:
    """A fresh folder, and boto3's configuration in the environment."""
    for name, value in s3_storage.environment().items():
        monkeypatch.setenv(name, value)
    made = ObjectStorage(s3_storage)
    yield made
    made.client.close()


@pytest.fixture
def mover() -> Iterator[S3Mover]:
    """The mover."""
    made = S3Mover()
    yield made
    made.close()


class TestS3(MoverSuite):
    """The public suite."""

    mover_path = "s3"

    @pytest.fixture
    def mover(self, mover: S3Mover) -> S3Mover:
        """The one that closes its connections."""
        return mover


class TestRefusals:
    """What the server, or the address, does not allow."""

    @pytest.mark.parametrize(
        ("variable", "code"),
        [("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch"), ("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId")],
    )
    def test_wrong_keys(
        self,
        storage: ObjectStorage,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        mover: S3Mover,
        variable: str,
        code: str,
    ) -> None:
        """`auth`, once more with renewed keys; and these count at once, without a new worker."""
        storage.put("in.root", CONTENT)
        with monkeypatch.context() as wrong:
            wrong.setenv(variable, "not-a-key")
            failure = failed(lambda: mover.fetch(storage.fetch("in.root", tmp_path), ignore))
        assert (failure.kind, failure.remedy, failure.code) == (
            FailureClass.AUTH,
            Remedy.RENEW,
            f"s3 {code}",
        )
        assert names(tmp_path) == []
        mover.fetch(storage.fetch("in.root", tmp_path), ignore)

    def test_an_expired_signature(
        self, storage: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mover: S3Mover
    ) -> None:
        """A node whose clock is behind: `auth`."""
        storage.put("in.root", CONTENT)
        monkeypatch.setattr("picard_pilot.movers.s3_sign.LIFETIME_S", -60)
        failure = failed(lambda: mover.fetch(storage.fetch("in.root", tmp_path), ignore))
        assert (failure.kind, failure.remedy, failure.code) == (
            FailureClass.AUTH,
            Remedy.RENEW,
            "s3 AccessDenied",
        )

    def test_no_keys_at_all(
        self, storage: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mover: S3Mover
    ) -> None:
        """`auth`, said of the node, before anything is sent."""
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        failure = failed(lambda: mover.fetch(storage.fetch("in.root", tmp_path), ignore))
        assert (failure.kind, failure.side) == (FailureClass.AUTH, Side.NODE)

    def test_no_such_bucket(self, storage: ObjectStorage, tmp_path: Path, mover: S3Mover) -> None:
        """`resolve`: the address leads nowhere, for every file."""
        request = FetchRequest(
            lfn="in.root",
            surl=f"s3://{storage.server.address}/elsewhere/in.root",
            target=str(tmp_path / "in.root"),
        )
        failure = failed(lambda: mover.fetch(request, ignore))
        assert (failure.kind, failure.code) == (FailureClass.RESOLVE, "s3 NoSuchBucket")

    @pytest.mark.parametrize(
        "surl",
        [
            "s3://{address}/picard/%2e%2e/secret",
            "s3://{address}/picard/a/../secret",
            "s3://{address}/picard/a%2Fb",
            "s3://{address}/picard/key?versionId=1",
            "s3://key:secret@{address}/picard/key",
            "s3://{address}/picard",
            "s3://{address}/picard/outside/of/the/endpoint",
            "s3://{address}/picard/%ff",
            "https://{address}/picard/key",
        ],
    )
    def test_addresses_that_are_refused(self, storage: ObjectStorage, mover: S3Mover, surl: str) -> None:
        """`specification`, and nothing is sent."""
        context = TransferContext(endpoint=storage.endpoint)
        request = StatRequest(surl=surl.format(address=storage.server.address), context=context)
        failure = failed(lambda: mover.stat(request))
        assert (failure.kind, failure.retry_after_s) == (FailureClass.SPECIFICATION, None)

    def test_another_host_is_asked_by_https(
        self, storage: ObjectStorage, tmp_path: Path, mover: S3Mover
    ) -> None:
        """An endpoint URL for one host says nothing about others: a name that has no address is `resolve`."""
        request = FetchRequest(
            lfn="in.root", surl="s3://s3.invalid/bucket/in.root", target=str(tmp_path / "in.root")
        )
        assert failed(lambda: mover.fetch(request, ignore)).kind is FailureClass.RESOLVE

    def test_an_address_without_a_host(
        self, storage: ObjectStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mover: S3Mover
    ) -> None:
        """The queue's environment may name the service; it wins over the pilot's own."""
        storage.put("in.root", CONTENT)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.invalid")
        request = FetchRequest(
            lfn="in.root",
            surl=f"s3:///{BUCKET}/{quote(storage.key('in.root'))}",
            target=str(tmp_path / "in.root"),
            context=TransferContext(environment={"AWS_ENDPOINT_URL": storage.server.url}),
        )
        assert mover.fetch(request, ignore).checksum == adler32(CONTENT)

    def test_nobody_listens(self, storage: ObjectStorage, tmp_path: Path, mover: S3Mover) -> None:
        """`contact`: the endpoint gets a rest."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            host = f"127.0.0.1:{free.getsockname()[1]}"
            request = FetchRequest(
                lfn="in.root",
                surl=f"s3://{host}/bucket/in.root",
                target=str(tmp_path / "in.root"),
                context=TransferContext(environment={"AWS_ENDPOINT_URL_S3": f"http://{host}"}),
            )
            failure = failed(lambda: mover.fetch(request, ignore))
        assert (failure.kind, failure.remedy) == (FailureClass.CONTACT, Remedy.BENCH)

    def test_a_token_for_others_is_not_shown(
        self, storage: ObjectStorage, tmp_path: Path, mover: S3Mover
    ) -> None:
        """With a bearer token beside the signature S3 would refuse the request."""
        storage.put("in.root", CONTENT)
        context = TransferContext(endpoint=storage.endpoint, access=StorageAccess(token="a-token-for-others"))
        assert mover.fetch(storage.fetch("in.root", tmp_path, context=context), ignore).how is How.COPY

    def test_secrets_are_in_no_failure(self, storage: ObjectStorage, tmp_path: Path, mover: S3Mover) -> None:
        """Neither a key nor a signature is told."""
        failure = failed(lambda: mover.fetch(storage.fetch("absent", tmp_path), ignore))
        told = msgspec.json.encode(failure).decode()
        assert storage.server.access_key not in told
        assert "Signature" not in told


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
