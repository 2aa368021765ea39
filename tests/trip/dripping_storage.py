"""A local mover whose storage gives half of a large input, and the rest only when a file beside it says go on."""

import threading
from pathlib import Path
from typing import ClassVar

from picard_pilot.model.transfer import FetchRequest, Transferred
from picard_pilot.movers.base import Progress
from picard_pilot.movers.local import LocalMover


class Dripping(LocalMover):
    """Says that half of it has passed, then shows signs of life until there is `go` in the storage."""

    api: ClassVar[int] = 1
    name: ClassVar[str] = "dripping"

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Fetch, but a large file not without leave."""
        storage = Path(request.surl.removeprefix("file://")).parent
        pause = threading.Event()
        if request.lfn.startswith("large"):
            progress((request.size_bytes or 0) // 2)
            while not (storage / "go").exists():
                progress(0)
                pause.wait(0.02)
        return super().fetch(request, progress)
