"""A mover that stops in mid-file for ever, for tests that kill, freeze or cancel a transfer.

It wraps the mover that `PICARD_TEST_MOVER` names and is itself named to a worker by its import path, `PAUSED`.
"""

import os
import threading
from typing import ClassVar

from picard_pilot.model.transfer import FetchRequest, StoreRequest, Transferred
from picard_pilot.movers.base import Progress, SiteMover
from picard_pilot.plugins.loader import load

PAUSED = "picard_pilot.testing.paused_mover:PausedMover"
VARIABLE = "PICARD_TEST_MOVER"


class PausedMover(SiteMover):
    """Begins a transfer with the wrapped mover and never comes back from its first sign of progress."""

    name: ClassVar[str] = "paused"
    schemes: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self._inner: SiteMover = load("mover", os.environ[VARIABLE])()
        # Per instance, since it is the wrapped mover that decides.
        self.schemes = self._inner.schemes  # type: ignore[misc]

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Write the first part of the file, then hang."""
        return self._inner.fetch(request, _hang_after(progress))

    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """Write the first part of the file, then hang."""
        return self._inner.store(request, _hang_after(progress))


def _hang_after(progress: Progress) -> Progress:
    def hang(count: int) -> None:
        progress(count)
        threading.Event().wait()

    return hang
