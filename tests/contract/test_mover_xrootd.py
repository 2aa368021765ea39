"""The XRootD mover through the public suite, on a real federation: one site directly, and through the redirector."""

import itertools
from pathlib import Path

import pytest

from federation import Federation, Site
from picard_pilot.model.site import Endpoint, Protocol
from picard_pilot.model.transfer import FailureClass, StatRequest
from picard_pilot.movers.base import SiteMover
from picard_pilot.testing.mover_kit import HOSTILE_NAMES, Storage, failed
from picard_pilot.testing.mover_suite import MoverSuite

pytestmark = [pytest.mark.xdist_group("xrootd"), pytest.mark.usefixtures("own_x509_variables")]

_numbers = itertools.count(1)

WITHOUT_A_QUESTION = tuple(name for name in HOSTILE_NAMES if "?" not in name)


class FederatedStorage(Storage):
    """A fresh folder of one site's name space, addressed at the site or at the redirector."""

    def __init__(self, site: Site, root: str) -> None:
        self.site = site
        self.folder = f"suite-{next(_numbers)}"
        self.root = root
        self.endpoint = Endpoint(name="XROOTD", protocols=(Protocol(prefix=f"{root}/{self.folder}"),))

    def surl(self, name: str) -> str:
        """An address as XRootD takes it: nothing is percent-coded."""
        return f"{self.root}/{self.folder}/scope/{name}"

    def put(self, name: str, data: bytes) -> None:
        """Write past the mover."""
        self.site.storage.put(f"{self.folder}/scope/{name}", data)

    def read(self, name: str) -> bytes | None:
        """Read past the mover."""
        return self.site.storage.read(f"{self.folder}/scope/{name}")

    def leftovers(self) -> list[str]:
        """Files under a mover's temporary names."""
        return [path.name for path in self.site.storage.path(self.folder).rglob(".*.part")]


class TestXrootd(MoverSuite):
    """The mover at one data server."""

    mover_path = "xrootd"

    @pytest.fixture
    def storage(self, federation: Federation) -> FederatedStorage:
        """A folder of site 1."""
        site = federation.sites[0]
        return FederatedStorage(site, site.root)

    @pytest.mark.parametrize("name", WITHOUT_A_QUESTION)
    def test_hostile_names_there_and_back(
        self, mover: SiteMover, storage: Storage, tmp_path: Path, name: str
    ) -> None:
        """The suite's own list without the one name that XRootD cannot know."""
        super().test_hostile_names_there_and_back(mover, storage, tmp_path, name)

    @pytest.mark.parametrize("name", ["question?mark#hash", "a/../b", "../escape", "nul\0", "\udcff"])
    def test_a_name_that_xrootd_cannot_know_is_refused(
        self, mover: SiteMover, storage: Storage, name: str
    ) -> None:
        """Behind a ? begins what is no name, and nothing may lead elsewhere."""
        failure = failed(lambda: mover.stat(StatRequest(surl=storage.surl(name))))
        assert failure.kind is FailureClass.SPECIFICATION
        assert "is refused" in failure.says
