"""A local mover that stops after the first block until a file says go on, so that a test can kill it in mid-file."""

import threading
from pathlib import Path
from typing import ClassVar

from picard_pilot.model.transfer import FetchRequest, Transferred
from picard_pilot.movers.base import Progress
from picard_pilot.movers.local import LocalMover


class Patient(LocalMover):
    """Waits for `<address of the file>.go` on the storage."""

    api: ClassVar[int] = 1
    name: ClassVar[str] = "patient"

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Fetch, but not without leave."""
        go_on = Path(request.surl.removeprefix("file://") + ".go")
        pause = threading.Event()

        def wait(count: int) -> None:
            progress(count)
            while not go_on.exists():
                pause.wait(0.02)

        return super().fetch(request, wait)
