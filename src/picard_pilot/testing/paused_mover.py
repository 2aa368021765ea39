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
AFTER_VARIABLE = "PICARD_TEST_PAUSE_AFTER_BYTES"
"""`fetch` or `store`, a colon, and how many bytes may pass before; none where it is not set."""


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
        return self._inner.fetch(request, _hang_after(progress, "fetch"))

    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """Write the first part of the file, then hang."""
        return self._inner.store(request, _hang_after(progress, "store"))


def _hang_after(progress: Progress, direction: str) -> Progress:
    """Progress that never returns once so many bytes have passed before: from its first call on where none is set."""
    which, _, number = os.environ.get(AFTER_VARIABLE, "").partition(":")
    after_bytes = int(number) if which == direction else 0
    passed_bytes = 0

    def hang(count: int) -> None:
        nonlocal passed_bytes
        progress(count)
        if count and passed_bytes >= after_bytes:
            threading.Event().wait()
        passed_bytes += count

    return hang
