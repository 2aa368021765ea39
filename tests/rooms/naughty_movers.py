"""Movers that misbehave, for tests of the transfer worker; named to it by their import path."""

import os
import sys
import threading
from pathlib import Path
from typing import ClassVar

import msgspec

from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    StoreRequest,
    TransferError,
    TransferFailure,
    Transferred,
)
from picard_pilot.movers.base import Progress
from picard_pilot.movers.local import LocalMover


class _Naughty(LocalMover):
    api: ClassVar[int] = 1

    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """Not what these are for."""
        raise NotImplementedError


class Raising(_Naughty):
    """Raises what no mover should."""

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Fail like a bug."""
        raise ZeroDivisionError("a bug in a mover")


class Quoting(_Naughty):
    """Repeats the address that it was given, as programs do; by a failure, or by a bug."""

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Fail with the address."""
        if request.scope == "bug":
            raise ValueError(f"cannot parse {request.surl}")
        says = f"exit code 1: error at {request.surl} (No such file)"
        raise TransferError(TransferFailure(kind=FailureClass.MISSING, says=says))


class Leaving(_Naughty):
    """Tries to end the program."""

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """End it politely."""
        sys.exit(3)


class Crashing(_Naughty):
    """Takes the worker with it, the first time or always."""

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Crash unless a file beside the target says that it crashed before."""
        marker = Path(request.target + ".crashed")
        if request.scope == "once" and marker.exists():
            return super().fetch(request, progress)
        marker.touch()
        os._exit(11)


class Noisy(_Naughty):
    """Prints to both streams, with text that looks like an answer."""

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Make noise, then do the work."""
        for descriptor in (1, 2):
            os.write(descriptor, b'{"type": "answer", "number": 1}\n' + b"\xff" * 100_000 + b"\n")
        return super().fetch(request, progress)


class Printing(_Naughty):
    """Talks more than any buffer holds, in words that are no text."""

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Print, then do the work."""
        for _ in range(10_000):
            print("chatter on stdout \udcff")
            print("chatter on stderr \udcff", file=sys.stderr)
        return super().fetch(request, progress)


class Slow(_Naughty):
    """Shows a sign of life now and then, for ever or until a file appears."""

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Pass one byte each 20 ms."""
        release = Path(request.target + ".release")
        while not release.exists():
            progress(1)
            threading.Event().wait(0.02)
        return super().fetch(request, progress)


class Wordless(_Naughty):
    """Forgets its answer."""

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Do the work and say nothing."""
        super().fetch(request, progress)
        return None  # type: ignore[return-value]


class Counting(_Naughty):
    """Answers with a text where a number belongs."""

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Do the work and get one word of the answer wrong."""
        done = super().fetch(request, progress)
        return msgspec.structs.replace(done, size_bytes="many")  # type: ignore[arg-type]


class Mumbling(_Naughty):
    """Says what no JSON can hold, as names of files that are no text do."""

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Fail with half of a character."""
        raise TransferError(
            TransferFailure(kind=FailureClass.MISSING, says="no \udcff here", fault="NOSUCHERROR")
        )


class FromTomorrow(_Naughty):
    """Written for another interface."""

    api: ClassVar[int] = 99


class Crowded(LocalMover):
    """Notes how many of its transfers are under way at once, and lets none go on before a file says so."""

    api: ClassVar[int] = 1
    name: ClassVar[str] = "crowded"

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Wait in the crowd, then fetch."""
        self._wait(Path(request.target).parent / f".{request.lfn}.fetching")
        return super().fetch(request, progress)

    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """Wait in the crowd, then store."""
        self._wait(Path(request.source).parent / f".{request.lfn}.storing")
        return super().store(request, progress)

    def _wait(self, mark: Path) -> None:
        mark.touch()
        crowd = len(list(mark.parent.glob(f".*{mark.suffix}")))
        (mark.parent / f"crowd{mark.suffix}.{crowd}").touch()
        pause = threading.Event()
        while not (mark.parent / "go").exists():
            pause.wait(0.01)
        mark.unlink()


class Seeing(LocalMover):
    """Writes down the token that it was given beside the target."""

    api: ClassVar[int] = 1
    name: ClassVar[str] = "seeing"

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Tell what came, then fetch."""
        Path(request.target + ".seen").write_text(request.context.access.token or "nothing")
        return super().fetch(request, progress)


class Meddled(LocalMover):
    """Stores, while somebody does to the source what a file `meddle` beside the job's directory says."""

    api: ClassVar[int] = 1
    name: ClassVar[str] = "meddled"

    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """Store; with the first bytes, once or always, the source is touched."""
        source = Path(request.source)
        meddle = source.parent.parent / "meddle"

        def passed(count: int) -> None:
            progress(count)
            if meddle.exists():
                what, how_often = meddle.read_text().split()
                if how_often == "once":
                    meddle.unlink()
                _meddle(source, what)

        return super().store(request, passed)


def _meddle(source: Path, what: str) -> None:
    if what == "grow":
        with source.open("ab") as file:
            file.write(b"more")
        return
    if what == "shrink":
        os.truncate(source, 3)
        return
    if source.is_dir() and not source.is_symlink():
        return
    source.unlink(missing_ok=True)
    if what == "link":
        source.symlink_to("/etc/hostname")
    elif what == "pipe":
        os.mkfifo(source)
    elif what == "folder":
        source.mkdir()
