"""A fickle storage at which something happens in the middle of a store, as a file `.event` in its folder says.

It holds a word and the beginning of a file's name. `mid`: stops after the first bytes until the file `.event` is gone;
`done`: the same after the file stands, before the answer; `fill`: first the work directory's disk is filled to the last
byte, and much is printed; `bare`: the same, and what the job had set aside is taken as well.
"""

import threading
from pathlib import Path
from typing import ClassVar

from fickle_storage import Fickle

from picard_pilot.model.transfer import StoreRequest, Transferred
from picard_pilot.movers.base import Progress

EVENT = ".event"
STOPPED = ".stopped"
"""Appears when a store has stopped."""

FILLER = ".filler"
"""What takes the room, in the work directory."""


class Eventful(Fickle):
    """Does what the word says, then what a fickle storage does."""

    api: ClassVar[int] = 1
    name: ClassVar[str] = "eventful"

    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """Store, with an event."""
        event = Path(request.surl.removeprefix("file://")).parent / EVENT
        word, name = event.read_text().split() if event.exists() else ("", "")
        if not word or not request.lfn.startswith(name):
            return super().store(request, progress)
        if word in ("fill", "bare"):
            _fill(_workdir(Path(request.source)), bare=word == "bare")
            return super().store(request, progress)

        def passed(count: int) -> None:
            progress(count)
            if word == "mid":
                _stop(event)

        done = super().store(request, passed)
        if word == "done":
            _stop(event)
        return done


def _stop(event: Path) -> None:
    (event.parent / STOPPED).touch()
    pause = threading.Event()
    while event.exists():
        pause.wait(0.02)


def _workdir(source: Path) -> Path:
    """Of an output, or of a log archive in its folder."""
    return next(path.parent for path in source.parents if path.name.startswith("PanDA_Pilot-"))


def _fill(workdir: Path, *, bare: bool) -> None:
    if bare:
        for reserve in workdir.glob("PanDA_Pilot-*/picard/reserve"):
            reserve.unlink()
    with (workdir / FILLER).open("ab", buffering=0) as filler:
        for size in (65536, 4096, 1):
            try:
                while True:
                    filler.write(b"\0" * size)
            except OSError:
                continue
    print("chatter\n" * 10_000, flush=True)
