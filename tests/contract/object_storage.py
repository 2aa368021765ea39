"""A folder in the S3 server that all tests share, as the storage of a mover's tests; a mover to go with it."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from picard_pilot.model.site import Endpoint, Protocol
from picard_pilot.model.transfer import (
    FetchRequest,
    StoreRequest,
    TransferContext,
)
from picard_pilot.movers.s3 import S3Mover
from picard_pilot.testing.mover_kit import CONTENT, Storage, adler32
from s3_storage import BUCKET, S3Storage

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
