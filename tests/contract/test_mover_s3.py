"""The S3 mover on a real S3 server that computes every signature: the public suite, and S3's own traps."""

import socket
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from object_storage import ObjectStorage, mover, storage

from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    How,
    Remedy,
    Side,
    StatRequest,
    StorageAccess,
    TransferContext,
)
from picard_pilot.movers.s3 import S3Mover
from picard_pilot.testing.mover_kit import CONTENT, adler32, failed, ignore, names
from picard_pilot.testing.mover_suite import MoverSuite
from s3_storage import BUCKET

pytestmark = pytest.mark.xdist_group("s3")

__all__ = ["mover", "storage"]  # the fixtures


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
