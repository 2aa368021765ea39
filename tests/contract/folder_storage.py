"""A folder as the storage of movers that run a program: `mounted://site/NAME` is a file in it."""

from pathlib import Path
from urllib.parse import quote

from picard_pilot.model.site import Endpoint, Protocol
from picard_pilot.testing.mover_kit import Storage


class FolderStorage(Storage):
    """Files below a folder. What a program leaves under its own or the mover's temporary names is seen."""

    def __init__(self, root: Path, scheme: str = "mounted") -> None:
        self.root = root
        prefix = f"file://{root}" if scheme == "file" else f"{scheme}://site"
        self.endpoint = Endpoint(name="FOLDER", protocols=(Protocol(prefix=prefix),))
        self._prefix = prefix
        self.folder = root / "scope" if scheme == "file" else root / "site" / "scope"

    def surl(self, name: str) -> str:
        """An address one folder deep."""
        return f"{self._prefix}/scope/{quote(name)}"

    def put(self, name: str, data: bytes) -> None:
        """Write past the mover."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(data)

    def read(self, name: str) -> bytes | None:
        """Read past the mover."""
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def leftovers(self) -> list[str]:
        """Files under temporary names."""
        return [path.name for path in self.root.rglob(".*.part")]
