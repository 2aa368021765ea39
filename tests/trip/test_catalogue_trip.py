"""A whole job with a replica catalogue and an object store: real Rucio, real S3, and nothing that the queue's file says
about where the input is."""

import zlib
from collections.abc import Iterator

import pytest
from storage_kit import HASTY, inputs, log_of, outputs, stored

from grid import Grid
from rucio_catalogue import RucioCatalogue
from s3_storage import BUCKET, S3Storage

pytestmark = pytest.mark.xdist_group("rucio")

CONTENT = bytes(range(256)) * 4000
RESULT = b"result of a night"
PROGRAM = (
    f"assert open('trip.in.root', 'rb').read() == bytes(range(256)) * 4000; "
    f"open('trip.out.root', 'wb').write({RESULT!r})"
)


class Far:
    """Two endpoints in one bucket, as Rucio knows them: the site's own and one that only Rucio knows."""

    def __init__(self, catalogue: RucioCatalogue, storage: S3Storage) -> None:
        self.catalogue = catalogue
        self.storage = storage
        self.client = storage.client()
        self.own = f"s3://{storage.address}/{BUCKET}/own"
        self.other = f"s3://{storage.address}/{BUCKET}/other"
        catalogue.add_rse("TRIP_OWN", f"{self.own}/", site="PICARD")
        catalogue.add_rse("TRIP_OTHER", f"{self.other}/", site="ELSEWHERE")

    def put(self, name: str, content: bytes) -> None:
        """A file at the other endpoint, registered there."""
        file = {"name": name, "bytes": len(content), "adler32": f"{zlib.adler32(content):08x}"}
        self.catalogue.add_replicas("TRIP_OTHER", [file])
        (surls,) = self.catalogue.replicas(name).values()
        self.client.put_object(Bucket=BUCKET, Key=_key(surls[0]), Body=content)

    def read(self, name: str) -> bytes:
        """A file of the own endpoint, found by the catalogue's word."""
        surl = self.catalogue.replicas(name)["TRIP_OWN"][0]
        content: bytes = self.client.get_object(Bucket=BUCKET, Key=_key(surl))["Body"].read()
        return content


def _key(surl: str) -> str:
    """The key in the bucket; empty parts of the path do not count."""
    return "/".join(part for part in surl.split("/")[4:] if part)


@pytest.fixture
def far(rucio_catalogue: RucioCatalogue, s3_storage: S3Storage) -> Iterator[Far]:
    """The endpoints."""
    made = Far(rucio_catalogue, s3_storage)
    yield made
    made.client.close()


def test_found_by_the_catalogue_and_registered_in_it(grid: Grid, far: Far) -> None:
    """The input comes from a place that only Rucio knows; the output is stored, registered and in its dataset."""
    far.put("trip.in.root", CONTENT)
    grid.site_file.write_text(
        f"""
        [queue.{grid.queue}]
        state = "ACTIVE"
        status = "online"
        site = "PICARD"
        register_outputs = true
        [queue.{grid.queue}.endpoints]
        pr = ["TRIP_OWN"]
        pw = ["TRIP_OWN"]
        pl = ["DISK"]
        [queue.{grid.queue}.movers]
        pr = ["rucio", "s3"]
        pw = ["rucio", "s3"]
        pl = ["local"]
        [endpoint.TRIP_OWN]
        protocols = ["{far.own}"]
        [endpoint.DISK]
        protocols = ["file://{grid.store}"]
        paths = "flat"
        """
    )
    job = grid.submit_python(
        PROGRAM,
        **{
            **inputs({"trip.in.root": CONTENT}),
            **outputs("trip.out.root"),
            "scopeIn": far.catalogue.scope,
            "scopeOut": far.catalogue.scope,
        },
    )
    environment = {**far.storage.environment(), **far.catalogue.environment()}
    pilot = grid.pilot(*HASTY, "--no-cleanup", **environment)
    assert pilot.wait(90) == 0, grid.output()
    assert grid.wait_status(job, "finished", "failed") == "finished", (grid.errors(job), log_of(grid.workdir))
    staged = next(one["event"] for one in grid.journal(job) if one["event"]["event"] == "InputStaged")
    assert staged["endpoint"] == "TRIP_OTHER"
    assert stored(grid, job)["trip.out.root"]["endpoint"] == "TRIP_OWN"
    assert far.read("trip.out.root") == RESULT
    assert far.catalogue.content("test.out") == ["trip.out.root"]
    said = log_of(grid.workdir)
    for secret in (far.catalogue.password, far.storage.secret_key, "X-Amz-Signature"):
        assert secret not in said
        assert secret not in grid.output()
