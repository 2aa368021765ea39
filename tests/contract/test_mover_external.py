"""The external mover through the public suite, with the example of the documentation as its program."""

from pathlib import Path

import pytest
from folder_storage import FolderStorage

from picard_pilot.testing.mover_suite import MoverSuite

EXAMPLE = Path(__file__).parents[2] / "examples" / "external-mover" / "folder-mover"


class TestExample(MoverSuite):
    """The page's example is a conforming mover."""

    mover_path = f"external:{EXAMPLE}"
    reads_before_storing = True

    @pytest.fixture
    def storage(
        self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> FolderStorage:
        """A fresh directory, named to the program as its page says."""
        made = FolderStorage(tmp_path_factory.mktemp("storage"))
        monkeypatch.setenv("PICARD_MOUNT", str(made.root))
        return made
