"""The ledger of a pilot: a small file in the work directory that only grows, so that a later pilot can finish the work
of one that was killed. What is in it is `model.ledger`; what is done with it, `pilot.receipt`.

A line is in the kernel's hands before what it is about can be forgotten: kill -9 of the pilot loses none. A crash of
the node may; then of what it names only directories are left, and these are found by their names as well.
"""

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from picard_pilot.model.ledger import Opened, Receipt, Thing
from picard_pilot.system.files import open_regular, read_regular, write_all, write_durably

log = logging.getLogger("picard.ledger")

FOLDER = "picard-ledger"
"""In the work directory: the ledgers of its pilots, and their receipts."""
SUFFIX = ".jsonl"
RECEIPT_SUFFIX = ".receipt.json"
MOST_RECEIPTS = 50
"""So many of the newest receipts stay in a work directory, which may serve pilots for years; older ones only where
something of them remains, or may be a payload's."""
OLDEST_RECEIPT_S = 30 * 86_400.0
"""And these for so long: whoever has not looked by then is helped by no more of them."""

Line = Opened | Thing
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


class Ledger:
    """What one pilot has made so far. Without a folder it is in memory alone."""

    def __init__(self, opened: Opened, workdir: Path | None = None) -> None:
        """Where no file can be made, it is kept in memory, and said so."""
        self.opened = opened
        self._things: dict[Thing, None] = {}
        self.removed: dict[Thing, str] = {}
        """What had to be removed, with what was done."""
        self.over: set[int] = set()
        """The jobs that are over, of which nothing has to be kept."""
        self._fd = -1
        self.path: Path | None = None
        if workdir is not None:
            try:
                self._open(workdir / FOLDER / f"{opened.pilot}{SUFFIX}")
            except OSError as error:
                log.warning("no ledger of what this pilot makes can be kept: %s", error)

    def _open(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        fd = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if not isinstance(
                error, BlockingIOError
            ):  # a file system without locks: nobody could ever take it over
                path.unlink(missing_ok=True)
            raise
        self._fd, self.path = fd, path
        self._write(self.opened)

    @property
    def things(self) -> tuple[Thing, ...]:
        """All that was noted, in order."""
        return tuple(self._things)

    def note(self, thing: Thing) -> None:
        """Something is there, or about to be. May be called again for the same."""
        if thing in self._things:
            return
        self._things[thing] = None
        try:
            self._write(thing)
        except OSError as error:
            log.warning("the ledger cannot be written: %s; it goes on in memory", error)
            self._let_go()

    def close(self, *, settled: bool) -> None:
        """The file goes if all is settled; else it waits for a later pilot."""
        if self.path is not None and settled:
            self.path.unlink(missing_ok=True)
        self._let_go()

    def _write(self, line: Line) -> None:
        if self._fd >= 0:
            write_all(self._fd, _encode(line) + b"\n")

    def _let_go(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def in_memory() -> Ledger:
    """A ledger of nobody, which is kept nowhere: for a pilot that is made of pieces only."""
    return Ledger(Opened(pilot="", host="", boot_id="", pid=0, start_ticks=0, at=0.0))


class LeftLedger:
    """The ledger of a pilot that is gone, in our hands as long as it is not let go of."""

    def __init__(self, path: Path, fd: int, opened: Opened, things: tuple[Thing, ...]) -> None:
        """`fd` holds the lock on it."""
        self.path, self._fd, self.opened, self.things = path, fd, opened, things

    def close(self, *, settled: bool) -> None:
        """Let go of it; it is removed if nothing of it is left to do."""
        if settled:
            self.path.unlink(missing_ok=True)
        os.close(self._fd)


def left_in(workdir: Path, may_take: Callable[[Opened], bool]) -> Iterator[LeftLedger]:
    """The ledgers of pilots that are gone and of which `may_take` says that they can be judged here; each is locked.

    A living pilot holds the lock on its own. One that cannot be read is passed over.
    """
    for path in sorted((workdir / FOLDER).glob(f"*{SUFFIX}")):
        fd = -1
        try:
            fd = open_regular(path, os.O_RDWR)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            opened, things = read(path)
        except (OSError, ValueError) as error:
            if not isinstance(error, BlockingIOError | FileNotFoundError):
                log.warning("%s is passed over: %s", path, error)
            _close(fd)
            continue
        # It may have been settled and removed between the look and the lock.
        if not _is_still(path, fd) or not may_take(opened):
            _close(fd)
            continue
        yield LeftLedger(path, fd, opened, things)


def read(path: Path) -> tuple[Opened, tuple[Thing, ...]]:
    """Whose it is, and what is in it; a torn last line is what a crash leaves. Raises OSError, ValueError."""
    things: dict[Thing, None] = {}
    opened: Opened | None = None
    for line in read_regular(path).split(b"\n")[:-1]:
        entry = _decode(line)
        if isinstance(entry, Opened):
            opened = entry
        else:
            things[entry] = None
    if opened is None:
        raise ValueError("it does not say whose it is")
    return opened, tuple(things)


def write_receipt(workdir: Path, receipt: Receipt) -> None:
    """Write it durably, and remove those that nobody needs any more. Raises OSError."""
    path = workdir / FOLDER / f"{receipt.pilot}{RECEIPT_SUFFIX}"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_durably(path, msgspec.json.format(msgspec.json.encode(receipt), indent=2) + b"\n")
    older = sorted(_receipts(workdir), key=lambda each: each[1].at, reverse=True)[MOST_RECEIPTS:]
    for old, said in older:
        if not (said.remains or said.doubtful) or receipt.at - said.at > OLDEST_RECEIPT_S:
            old.unlink(missing_ok=True)


def receipts(workdir: Path) -> tuple[Receipt, ...]:
    """The receipts in a work directory, oldest first, without those that a later one covers."""
    found = sorted((said for _, said in _receipts(workdir)), key=lambda said: said.at)
    covered = {pilot for said in found for pilot in said.covers if pilot != said.pilot}
    return tuple(said for said in found if said.pilot not in covered)


def _receipts(workdir: Path) -> Iterator[tuple[Path, Receipt]]:
    for path in (workdir / FOLDER).glob(f"*{RECEIPT_SUFFIX}"):
        try:
            yield path, msgspec.json.decode(read_regular(path), type=Receipt)
        except FileNotFoundError:
            continue  # another pilot removed it
        except (OSError, ValueError) as error:
            log.warning("%s is passed over: %s", path, error)


def _is_still(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except OSError:
        return False


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)
