"""The gfal mover through the public suite, with the real gfal2 tools, and what is particular to it."""

import shutil

import pytest

from folder_storage import FolderStorage
from picard_pilot.testing.mover_suite import MoverSuite

needs_gfal = pytest.mark.skipif(
    shutil.which("gfal-copy") is None, reason="no gfal2 tools (Debian: apt-get install gfal2-util-scripts)"
)


@needs_gfal
class TestGfal(MoverSuite):
    """The mover that runs the gfal2 tools, on gfal's own file plug-in."""

    mover_path = "gfal"
    reads_before_storing = True

    @pytest.fixture
    def storage(self, tmp_path_factory: pytest.TempPathFactory) -> FolderStorage:
        """A fresh directory."""
        return FolderStorage(tmp_path_factory.mktemp("storage"), scheme="file")
