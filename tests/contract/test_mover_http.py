"""The http mover through the public suite, over a storage on loopback that does all that WebDAV storages do."""

from collections.abc import Iterator

import pytest

from picard_pilot.testing.faulty_storage import FaultyStorage
from picard_pilot.testing.mover_suite import MoverSuite
from picard_pilot.testing.storage_faults import Rules


class TestHttp(MoverSuite):
    """A storage with checksums, MOVE and ranges."""

    mover_path = "http"

    @pytest.fixture
    def storage(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyStorage]:
        """A fresh storage."""
        with FaultyStorage(tmp_path_factory.mktemp("storage")) as made:
            yield made


class TestHttpWithoutChecksums(TestHttp):
    """A storage that says no checksum and makes no folders by itself."""

    @pytest.fixture
    def storage(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyStorage]:
        """A fresh storage."""
        poor = Rules(digests=(), makes_folders=False, etags=False)
        with FaultyStorage(tmp_path_factory.mktemp("storage"), rules=poor) as made:
            yield made
