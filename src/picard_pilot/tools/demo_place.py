"""The folder of a demonstration: storage with its input, the site's description, and room for server and pilots.

Everything lies below one folder, so that removing it removes the demonstration.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import zlib
from pathlib import Path

import msgspec

from picard_pilot.model.trouble import Trouble
from picard_pilot.tools.scenarios.table import ENDPOINT, QUEUE, StoredInput

#: The recorded collisions: where the package of test data keeps them, and their name in the storage.
DATA_PACKAGE, DATA_FILE, INPUT_LFN = "skhep_testdata", "uproot-Zmumu.root", "Zmumu.root"

#: What the physics job imports besides the test data.
DEMO_PACKAGES = ("uproot", "numpy", "matplotlib")

_SITE = """\
# The demonstration's site: one queue, one storage on this machine.

[queue.{queue}]
panda_resource = {queue_text}
site = "DEMO"
state = "ACTIVE"
status = "online"
type = "unified"

[queue.{queue}.endpoints]
pr = [{endpoint_text}]
pw = [{endpoint_text}]
pl = [{endpoint_text}]

[endpoint.{endpoint}]
paths = "flat"
checksum = "adler32"
protocols = [{{ prefix = {prefix_text} }}]
"""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the folder."""

    folder: Path
    storage: Path
    server: Path
    site_file: Path
    logs: Path
    inputs: tuple[StoredInput, ...]

    def pilot(self, number: int) -> Path:
        """The work directory of a pilot."""
        return self.folder / f"pilot{number}"

    @property
    def node(self) -> Path:
        """Where the pilots share what they know of storages, so that nothing of it stays on the machine."""
        return self.folder / "node"


def collisions() -> Path:
    """The recorded collisions as the installed package of test data carries them. Raises Trouble without it."""
    missing = [name for name in (DATA_PACKAGE, *DEMO_PACKAGES) if importlib.util.find_spec(name) is None]
    if missing:
        raise Trouble(
            "The demonstration's first job cannot run: it analyses real collisions with packages that are not here",
            f"missing: {', '.join(missing)}",
            "Install them: pip install 'picard-pilot[demo]', or in a clone: make demo",
        )
    spec = importlib.util.find_spec(DATA_PACKAGE)
    assert spec is not None and spec.origin is not None
    path = Path(spec.origin).parent / "data" / DATA_FILE
    if not path.is_file():
        raise Trouble(
            "The recorded collisions are not in the installed package of test data",
            f"there is no {path}",
            "Install a release that carries them: pip install 'scikit-hep-testdata<0.4'",
        )
    return path


def prepare(folder: Path, pilots: int) -> Place:
    """Lay out an empty folder. Raises Trouble if the demo's packages are missing, OSError if the disk refuses."""
    source = collisions()
    place = Place(
        folder=folder,
        storage=folder / "storage",
        server=folder / "server",
        site_file=folder / "site.toml",
        logs=folder / "logs",
        inputs=(_measured(source, INPUT_LFN),),
    )
    for path in (place.storage, place.server, place.logs, *(place.pilot(n + 1) for n in range(pilots))):
        path.mkdir(mode=0o700)
    shutil.copyfile(source, place.storage / INPUT_LFN)
    text = _SITE.format(
        queue=QUEUE,
        queue_text=json.dumps(QUEUE),
        endpoint=ENDPOINT,
        endpoint_text=json.dumps(ENDPOINT),
        prefix_text=json.dumps(place.storage.as_uri()),
    )
    place.site_file.write_text(text, encoding="utf-8")
    return place


def _measured(path: Path, lfn: str) -> StoredInput:
    content = path.read_bytes()
    return StoredInput(lfn=lfn, size_bytes=len(content), adler32=f"{zlib.adler32(content):08x}")
