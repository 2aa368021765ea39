"""Every mover of Picard through the public suite, each with a storage that a plain machine can have."""

from pathlib import Path
from urllib.parse import quote

import pytest

from picard_pilot.model.site import Endpoint, Protocol
from picard_pilot.testing.mover_kit import Storage
from picard_pilot.testing.mover_suite import MoverSuite


class LocalStorage(Storage):
    """A directory as a mounted storage."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.endpoint = Endpoint(name="LOCALDISK", protocols=(Protocol(prefix=f"file://{root}"),))

    def surl(self, name: str) -> str:
        """A file URL one folder deep."""
        return f"file://{self.root}/scope/{quote(name)}"

    def put(self, name: str, data: bytes) -> None:
        """Write past the mover."""
        (self.root / "scope").mkdir(parents=True, exist_ok=True)
        (self.root / "scope" / name).write_bytes(data)

    def read(self, name: str) -> bytes | None:
        """Read past the mover."""
        path = self.root / "scope" / name
        return path.read_bytes() if path.exists() else None

    def leftovers(self) -> list[str]:
        """Files under a mover's temporary names."""
        return [path.name for path in self.root.rglob(".*.part")]


class TestLocal(MoverSuite):
    """The mover for mounted storage."""

    mover_path = "local"

    @pytest.fixture
    def storage(self, tmp_path_factory: pytest.TempPathFactory) -> LocalStorage:
        """A fresh directory."""
        return LocalStorage(tmp_path_factory.mktemp("storage"))
