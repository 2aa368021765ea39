"""A local mover whose storage takes an output only when a file beside it says go on."""

import threading
from pathlib import Path
from typing import ClassVar

from picard_pilot.model.transfer import StoreRequest, Transferred
from picard_pilot.movers.base import Progress
from picard_pilot.movers.local import LocalMover


class Slow(LocalMover):
    """Waits for `go` in the storage, and shows signs of life meanwhile; a log archive is taken at once."""

    api: ClassVar[int] = 1
    name: ClassVar[str] = "slow"

    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """Store, but not without leave."""
        folder = Path(request.surl.removeprefix("file://")).parent
        (folder / "asked").touch()
        pause = threading.Event()
        while not (request.lfn.startswith("log.") or (folder / "go").exists()):
            progress(0)
            pause.wait(0.02)
        return super().store(request, progress)
