"""The storages and catalogues of the tests are real and strict: what they refuse here, they refuse there."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3

from postgres_server import programs, running_postgres
from rucio_catalogue import RucioCatalogue
from s3_storage import BUCKET, S3Storage

CONTENT = b"recorded muon pairs" * 1000


@pytest.mark.xdist_group("s3")
class TestS3:
    """The S3 server of the tests."""

    @pytest.fixture
    def http(self) -> urllib3.PoolManager:
        """Plain HTTP: what is sent is what the signature says."""
        return urllib3.PoolManager(retries=False)

    @pytest.fixture
    def sign(self, s3_storage: S3Storage) -> Callable[..., str]:
        """Presigned addresses, of version 4 where not told otherwise."""
        import boto3
        from botocore.config import Config

        def signed(method: str, key: str, expires_s: int = 60, version: str = "s3v4", **more: Any) -> str:
            given = {
                "aws_access_key_id": s3_storage.access_key,
                "aws_secret_access_key": s3_storage.secret_key,
                "region_name": "us-east-1",
            }
            parameters = {name: more.pop(name) for name in ("ContentMD5", "IfNoneMatch") if name in more}
            client = boto3.client(
                "s3",
                endpoint_url=s3_storage.url,
                config=Config(signature_version=version, s3={"addressing_style": "path"}),
                **{**given, **more},
            )
            url: str = client.generate_presigned_url(
                method, Params={"Bucket": BUCKET, "Key": key, **parameters}, ExpiresIn=expires_s
            )
            return url

        return signed

    @pytest.mark.parametrize("version", ["s3", "s3v4"])
    def test_signed_requests_are_served(
        self, http: urllib3.PoolManager, sign: Callable[..., str], version: str
    ) -> None:
        """An object goes there and comes back, whole or in part, with its md5 as its tag."""
        key = f"scope/{version} 100%+=&.root"
        put = http.request("PUT", sign("put_object", key, version=version), body=CONTENT)
        assert (put.status, put.headers["ETag"]) == (200, f'"{hashlib.md5(CONTENT).hexdigest()}"')
        get = http.request("GET", sign("get_object", key, version=version))
        assert (get.status, get.data) == (200, CONTENT)
        part = http.request("GET", sign("get_object", key, version=version), headers={"Range": "bytes=10-"})
        assert (part.status, part.data) == (206, CONTENT[10:])
        assert http.request("HEAD", sign("head_object", key, version=version)).status == 200
        assert http.request("DELETE", sign("delete_object", key, version=version)).status == 204
        assert http.request("HEAD", sign("head_object", key, version=version)).status == 404

    @pytest.mark.parametrize("version", ["s3", "s3v4"])
    @pytest.mark.parametrize(
        ("wrong", "code"),
        [
            ({"aws_secret_access_key": "another"}, "SignatureDoesNotMatch"),
            ({"aws_access_key_id": "UNKNOWN"}, "InvalidAccessKeyId"),
            ({"expires_s": -60}, "AccessDenied"),
        ],
        ids=["secret", "access key", "expired"],
    )
    def test_wrong_signatures_are_refused(
        self,
        http: urllib3.PoolManager,
        sign: Callable[..., str],
        version: str,
        wrong: dict[str, Any],
        code: str,
    ) -> None:
        """A wrong key, an unknown one and one past its time are 403, as S3 has it."""
        answer = http.request("PUT", sign("put_object", "refused", version=version, **wrong), body=b"")
        assert (answer.status, f"<Code>{code}</Code>" in answer.data.decode()) == (403, True)
        assert http.request("HEAD", sign("head_object", "refused")).status == 404

    def test_unsigned_and_tampered_requests_are_refused(
        self, http: urllib3.PoolManager, sign: Callable[..., str], s3_storage: S3Storage
    ) -> None:
        """No signature, and a signature made for another key."""
        assert http.request("GET", f"{s3_storage.url}/{BUCKET}/any").status == 403
        other = sign("get_object", "mine").replace("/mine?", "/yours?")
        assert http.request("GET", other).status == 403

    def test_a_put_is_checked_and_never_half(
        self, http: urllib3.PoolManager, sign: Callable[..., str], s3_storage: S3Storage
    ) -> None:
        """Another md5 than announced, and an object that is there already, change nothing."""
        right = base64.b64encode(hashlib.md5(CONTENT).digest()).decode()
        url = sign("put_object", "checked", ContentMD5=right, IfNoneMatch="*")
        headers = {"Content-MD5": right, "If-None-Match": "*"}
        assert http.request("PUT", url, body=CONTENT[:-1] + b"x", headers=headers).status == 400
        assert http.request("HEAD", sign("head_object", "checked")).status == 404
        assert http.request("PUT", url, body=CONTENT, headers=headers).status == 200
        assert http.request("PUT", url, body=CONTENT, headers=headers).status == 412
        assert s3_storage.incoming() == []

    def test_an_upload_in_parts_can_be_given_up(self, s3_storage: S3Storage) -> None:
        """What was begun shows, and is gone afterwards."""
        client = s3_storage.client()
        try:
            began = client.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
            assert began in s3_storage.parts()
            client.abort_multipart_upload(Bucket=BUCKET, Key="parts", UploadId=began)
            assert began not in s3_storage.parts()
        finally:
            client.close()


@pytest.mark.xdist_group("rucio")
class TestRucio:
    """The Rucio server of the tests."""

    def test_it_knows_what_was_registered(self, rucio_catalogue: RucioCatalogue) -> None:
        """RSEs with their doors, deterministic paths, replicas by scheme, datasets and distances."""
        names = ("KIT_A", "KIT_B")
        for name in names:
            rucio_catalogue.add_rse(name, f"root://{name.lower()}.example.org:1094//data/")
        rucio_catalogue.add_distance(*names, 3)
        for name in names:
            rucio_catalogue.add_replicas(name, [{"name": "kit.root", "bytes": 10, "adler32": "0a0b0c0d"}])
        # Rucio's hash: the first two pairs of the md5 of "scope:name".
        first, second = (hashlib.md5(b"picard:kit.root").hexdigest()[at : at + 2] for at in (0, 2))
        assert rucio_catalogue.replicas("kit.root") == {
            name: [f"root://{name.lower()}.example.org:1094//data/picard/{first}/{second}/kit.root"]
            for name in names
        }
        rucio_catalogue.add_dataset("kit.dataset")
        assert rucio_catalogue.content("kit.dataset") == []

    def test_a_wrong_password_is_refused(self, rucio_catalogue: RucioCatalogue) -> None:
        """As in production: 401, before anything else."""
        names = {"X-Rucio-Account": "pilot", "X-Rucio-Username": "pilot", "X-Rucio-Password": "wrong"}
        url = f"{rucio_catalogue.url}/auth/userpass"
        assert urllib3.request("GET", url, headers=names, retries=False).status == 401

    def test_the_clients_file_does_not_make_it_a_server(self, rucio_catalogue: RucioCatalogue) -> None:
        """The library takes itself for a server where its configuration names a database."""
        assert "[database]" not in rucio_catalogue.config.read_text()


@pytest.mark.xdist_group("rucio")
def test_a_database_leaves_nothing_behind() -> None:
    """No process, no directory and no shared memory of it stay."""
    if programs() is None:
        pytest.skip("no PostgreSQL here (Debian: apt-get install postgresql)")
    segments = Path("/proc/sysvipc/shm")
    with running_postgres("empty") as address:
        directory = Path(address.partition("?host=")[2])
        pid = int((directory / "data" / "postmaster.pid").read_text().split()[0])
        assert str(pid) in segments.read_text()
    assert not directory.exists()
    assert not Path("/proc", str(pid)).exists()
    assert f" {pid} " not in segments.read_text()
