"""The http mover over real doors: XRootD's own, at one site, through the redirector, and with TLS and tokens."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from subprocess import CalledProcessError
from urllib.parse import quote

import pytest

from federation import EXPORT, Federation
from federation import Storage as Tree
from picard_pilot.model.files import ChecksumKind
from picard_pilot.model.site import Endpoint, Protocol
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    Remedy,
    RemoveRequest,
    StatRequest,
    StorageAccess,
    StoreRequest,
    TransferContext,
)
from picard_pilot.movers.base import SiteMover
from picard_pilot.movers.http import HttpMover
from picard_pilot.testing.mover_check import examine
from picard_pilot.testing.mover_kit import CONTENT, HOSTILE_NAMES, Storage, adler32, failed, ignore, md5
from picard_pilot.testing.mover_suite import MoverSuite
from secure_door import SecureDoor
from xrootd_alone import server_alone
from xrootd_server import wait_until, why_not

pytestmark = pytest.mark.xdist_group("xrootd")

_numbers = itertools.count(1)


class DoorStorage(Storage):
    """A fresh folder of a server's name space, addressed by http."""

    def __init__(self, tree: Tree, url: str, below: str = "") -> None:
        self.tree = tree
        self.folder = f"{below}http-{next(_numbers)}"
        self.url = f"{url}/{self.folder}"
        self.endpoint = Endpoint(name="XRDHTTP", protocols=(Protocol(prefix=self.url),))
        self.access = StorageAccess()

    def surl(self, name: str) -> str:
        """One folder deep, percent-coded."""
        return f"{self.url}/scope/{quote(os.fsencode(name), safe='')}"

    def put(self, name: str, data: bytes) -> None:
        """Write past the mover."""
        self.tree.put(f"{self.folder}/scope/{name}", data)

    def read(self, name: str) -> bytes | None:
        """Read past the mover."""
        return self.tree.read(f"{self.folder}/scope/{name}")

    def leftovers(self) -> list[str]:
        """Files under a mover's temporary names."""
        return [path.name for path in self.tree.path(self.folder).rglob(".*.part")]


class TestXrdHttp(MoverSuite):
    """At one data server."""

    mover_path = "http"

    @pytest.mark.parametrize("name", [name for name in HOSTILE_NAMES if "?" not in name])
    def test_hostile_names_there_and_back(
        self, mover: SiteMover, storage: Storage, tmp_path: Path, name: str
    ) -> None:
        """The suite's own list without the one name that XRootD cannot know."""
        super().test_hostile_names_there_and_back(mover, storage, tmp_path, name)

    def test_a_name_that_xrootd_cannot_know_is_refused(
        self, mover: SiteMover, storage: Storage, tmp_path: Path
    ) -> None:
        """It would take what stands before the ? for the name, and overwrite another file."""
        source = tmp_path / "out?x"
        source.write_bytes(CONTENT)
        storage.put("out", b"another file")
        failure = failed(lambda: mover.store(self.store_request(storage, "out?x", source), ignore))
        assert (failure.kind, failure.remedy) == (FailureClass.SPECIFICATION, Remedy.MISTAKE)
        assert storage.read("out") == b"another file"

    @pytest.fixture
    def storage(self, federation: Federation) -> DoorStorage:
        """A folder of site 1."""
        site = federation.sites[0]
        return DoorStorage(site.storage, site.http)


class RedirectedStorage(DoorStorage):
    """A folder that the redirector spreads over all sites."""

    def __init__(self, federation: Federation) -> None:
        super().__init__(federation.sites[1].storage, federation.http)
        self.trees = [site.storage for site in federation.sites]

    def read(self, name: str) -> bytes | None:
        """From whichever site has it."""
        found = [tree.read(f"{self.folder}/scope/{name}") for tree in self.trees]
        return next((data for data in found if data is not None), None)

    def leftovers(self) -> list[str]:
        """On all sites."""
        return [path.name for tree in self.trees for path in tree.path(self.folder).rglob(".*.part")]

    def wait_until_known(self, name: str) -> None:
        """The site tells the redirector of a new name only after it has answered its client."""
        look = StatRequest(surl=self.surl(name))
        wait_until(lambda: HttpMover().stat(look).exists, f"the redirector to know {name}")


class TestXrdHttpRedirector(MoverSuite):
    """Through the redirector."""

    mover_path = "http"

    @pytest.fixture
    def storage(self, federation: Federation) -> RedirectedStorage:
        """A folder of all sites."""
        return RedirectedStorage(federation)

    @pytest.mark.parametrize("name", [name for name in HOSTILE_NAMES if not set("?\n") & set(name)])
    def test_hostile_names_there_and_back(
        self, mover: SiteMover, storage: Storage, tmp_path: Path, name: str
    ) -> None:
        """Without the names that break the redirector's own answer."""
        super().test_hostile_names_there_and_back(mover, storage, tmp_path, name)

    def test_stat_and_remove(self, mover: SiteMover, storage: Storage) -> None:
        """Asked for only after it is there: a redirector remembers for a while what it did not find."""
        storage.put("in.root", CONTENT)
        look = StatRequest(surl=storage.surl("in.root"), measure=ChecksumKind.ADLER32)
        facts = mover.stat(look)
        assert (facts.size_bytes, facts.checksum) == (len(CONTENT), adler32(CONTENT))
        assert mover.remove(RemoveRequest(surl=look.surl)).was_there is True
        assert storage.read("in.root") is None


class TestSecureXrdHttp(TestXrdHttp):
    """With TLS and a token."""

    @pytest.fixture
    def storage(self, secure_door: SecureDoor) -> DoorStorage:
        """A folder where a token's scopes decide."""
        storage = DoorStorage(secure_door.storage, secure_door.https, below="tok/")
        token = secure_door.token("storage.read:/", "storage.modify:/", "storage.create:/")
        storage.access = StorageAccess(token=token, ca_file=str(secure_door.ca_file))
        return storage

    def context(self, storage: Storage) -> TransferContext:
        """With the token."""
        assert isinstance(storage, DoorStorage)
        return TransferContext(endpoint=storage.endpoint, access=storage.access)


@pytest.mark.parametrize("worn_out", ["none", "expired", "read-only"])
def test_a_missing_credential_is_told_from_a_missing_permission(
    secure_door: SecureDoor, tmp_path: Path, worn_out: str
) -> None:
    """The door says 403 to all three; the token's own expiry tells them apart."""
    storage = DoorStorage(secure_door.storage, secure_door.https, below="tok/")
    token = {
        "none": None,
        "expired": secure_door.token("storage.read:/", "storage.modify:/", life_s=-600.0),
        "read-only": secure_door.token("storage.read:/"),
    }[worn_out]
    access = StorageAccess(token=token, ca_file=str(secure_door.ca_file))
    source = tmp_path / "out.root"
    source.write_bytes(CONTENT)
    request = StoreRequest(
        lfn="out.root",
        source=str(source),
        surl=storage.surl("out.root"),
        context=TransferContext(endpoint=storage.endpoint, access=access),
    )
    failure = failed(lambda: HttpMover().store(request, ignore))
    assert failure.kind is FailureClass.AUTH
    assert failure.remedy is (Remedy.NEXT if worn_out == "read-only" else Remedy.RENEW)
    says = {"none": "neither a token", "expired": "the token expired at", "read-only": "does not permit it"}
    assert says[worn_out] in failure.says
    assert token is None or token not in failure.says


def test_a_full_disk_is_seen_although_the_door_only_cuts(federation: Federation, tmp_path: Path) -> None:
    """XRootD resets a PUT that finds no room; that is no fault of the network."""
    site = federation.sites[0]
    source = tmp_path / "out.root"
    source.write_bytes(CONTENT * 4)
    try:
        with site.small_disk("full", len(CONTENT)) as name:
            request = StoreRequest(
                lfn="out.root", source=str(source), surl=f"{site.http}/{name}/scope/out.root"
            )
            failure = failed(lambda: HttpMover().store(request, ignore))
    except CalledProcessError as error:
        pytest.skip(f"no file system of our own here: {error}")
    assert (failure.kind, failure.remedy) == (FailureClass.SPACE, Remedy.NEXT)


def test_a_frozen_door_is_given_up(federation: Federation, tmp_path: Path) -> None:
    """No byte for the read limit: `timeout`, and the endpoint is sick."""
    site = federation.sites[0]
    storage = DoorStorage(site.storage, site.http)
    storage.put("in.root", CONTENT)
    mover = HttpMover(read_limit_s=1.0)
    with site.frozen():
        request = FetchRequest(lfn="in.root", surl=storage.surl("in.root"), target=str(tmp_path / "in.root"))
        failure = failed(lambda: mover.fetch(request, ignore))
    assert (failure.kind, failure.remedy) == (FailureClass.TIMEOUT, Remedy.BENCH)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(params=["xrootd.chksum adler32", ""], ids=["adler32", "no checksums"])
def plain_door(request: pytest.FixtureRequest) -> Iterator[DoorStorage]:
    """A server as a new user sets it up: with one kind of checksum, or none."""
    if (reason := why_not()) is not None:
        pytest.skip(f"no XRootD server here: {reason}")
    with server_alone(f"xrd.protocol http libXrdHttp.so\n{request.param}") as (root, tree):
        yield DoorStorage(tree, root.replace("root://", "http://").replace(f"/{EXPORT}", EXPORT))


@pytest.mark.parametrize("kind", list(ChecksumKind))
def test_a_missing_file_without_a_checksum_is_missing(
    plain_door: DoorStorage, tmp_path: Path, kind: ChecksumKind
) -> None:
    """The door says 500 when it is asked for a checksum too: that is no broken storage."""
    request = FetchRequest(
        lfn="gone.root", surl=plain_door.surl("gone.root"), target=str(tmp_path / "gone.root"), measure=kind
    )
    failure = failed(lambda: HttpMover().fetch(request, ignore))
    assert (failure.kind, failure.remedy, failure.code) == (FailureClass.MISSING, Remedy.NEXT, "http 404")
    assert not HttpMover().stat(StatRequest(surl=request.surl, measure=kind)).exists
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", list(ChecksumKind))
def test_a_door_that_does_not_know_the_checksum_gives_the_file(
    plain_door: DoorStorage, tmp_path: Path, kind: ChecksumKind
) -> None:
    """It refuses the question, or calls the kind that it has by the name asked for; neither makes the file bad."""
    plain_door.put("in.root", CONTENT)
    request = FetchRequest(
        lfn="in.root", surl=plain_door.surl("in.root"), target=str(tmp_path / "in.root"), measure=kind
    )
    done = HttpMover().fetch(request, ignore)
    assert (tmp_path / "in.root").read_bytes() == CONTENT
    assert done.checksum == {ChecksumKind.ADLER32: adler32, ChecksumKind.MD5: md5}[kind](CONTENT)
    facts = HttpMover().stat(StatRequest(surl=request.surl, measure=kind))
    assert (facts.exists, facts.size_bytes) == (True, len(CONTENT))
    assert facts.checksum in (None, done.checksum)


def test_every_check_of_the_mover_holds_at_a_plain_door(plain_door: DoorStorage) -> None:
    """What `ppilot plugin check http --storage ADDRESS` shows."""
    findings = examine("http", plain_door.url)
    assert findings and [finding for finding in findings if not finding.holds] == []
