"""What the pilots of one node know of storages together: one small file in a directory of this user.

What is known and what follows from it is `data.health`. Nothing here ever fails a job: where the file cannot be
used, a pilot knows what it has seen itself.
"""

import fcntl
import logging
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from picard_pilot.data.health import OPEN, Answer, Change, Health, Known, bad_reason, tidied
from picard_pilot.system.backoff import Backoff, Dice
from picard_pilot.system.clock import Clock
from picard_pilot.system.files import open_regular, write_all

log = logging.getLogger("picard.health")

FILE = "health.json"
LOCK = "health.lock"

LARGEST_BYTES = 1_000_000
"""Five times what the limits of `data.health` permit: a larger file is not ours."""

BACKLOG = 100
"""Changes that wait for the lock; a pilot that cannot have it for longer is better off with what it sees itself."""

BAD_COPIES_LOOK_S = 0.1
"""The file is not looked at more often for bad copies: a plan of ten thousand inputs asks about each address."""

_DECODER = msgspec.json.Decoder(Known)

Signature = tuple[int, int, int]


class SharedHealth(Health):
    """What all pilots of the node know; reading costs one `stat`, writing happens only when something changed.

    It never waits: while another pilot holds the lock, a change counts for this pilot at once and for the others a
    little later, and a probe is asked for again.
    """

    def __init__(self, directory: Path, clock: Clock, dice: Dice, *, pauses: Backoff = OPEN) -> None:
        """`directory` is made if it is missing. One that is not this user's alone is not used, with a line in the
        log."""
        super().__init__(clock, dice, asker=os.urandom(6).hex(), pauses=pauses)
        self._directory = directory
        self._file = str(directory / FILE)
        self._seen: Signature | None = None
        self._backlog: deque[Callable[[Known], Known]] = deque(maxlen=BACKLOG)
        self._complained = False
        self._next_look = float("-inf")

    def bad(self, surl: str) -> str | None:
        """See `Health`. What another pilot has found counts after a moment."""
        now = self._clock.monotonic()
        if now >= self._next_look:
            self._look()
            self._next_look = now + BAD_COPIES_LOOK_S
        return bad_reason(self._known, surl)

    def _look(self) -> Known:
        if self._backlog:
            self._flush()
        try:
            found = os.lstat(self._file)
        except OSError:
            return self._known  # nobody has anything to say yet
        signature = (found.st_ino, found.st_mtime_ns, found.st_size)
        if signature != self._seen and found.st_uid == os.getuid():
            self._known = self._with_backlog(self._read())
            self._seen = signature
        return self._known

    def _note(self, change: Callable[[Known], Known]) -> None:
        known = self._look()
        changed = change(known)
        if changed is known:
            return
        self._known = changed
        self._backlog.append(change)
        self._flush()

    def _change(self, change: Change[Answer], otherwise: Answer) -> Answer:
        known = self._look()
        changed, answer = change(known)
        if changed is known:
            return answer
        try:
            with self._locked() as held:
                if not held:
                    return otherwise
                changed, answer = change(self._with_backlog(self._read()))
                self._write(changed)
        except OSError as error:
            self._complain(error)
            return super()._change(change, otherwise)
        return answer

    def _flush(self) -> None:
        """Write the changes that wait, if the lock is free."""
        try:
            with self._locked() as held:
                if held:
                    self._write(self._with_backlog(self._read()))
        except OSError as error:
            self._complain(error)
            self._known = tidied(self._known, self._clock.now_utc())

    def _with_backlog(self, known: Known) -> Known:
        for change in self._backlog:
            known = change(known)
        return known

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        """The lock of all pilots of the node, if it is free. Raises OSError."""
        make_private(self._directory)
        fd = open_regular(self._directory / LOCK, os.O_RDWR | os.O_CREAT)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(fd)

    def _read(self) -> Known:
        """What the file says; nothing where there is none or it makes no sense."""
        try:
            fd = open_regular(self._directory / FILE, os.O_RDONLY)
            with os.fdopen(fd, "rb") as file:
                data = file.read(LARGEST_BYTES + 1)
            if len(data) <= LARGEST_BYTES:
                return tidied(_DECODER.decode(data), self._clock.now_utc())
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        return Known()

    def _write(self, known: Known) -> None:
        """Replace the file as a whole, while the lock is held. It need not survive a power cut. Raises OSError."""
        known = tidied(known, self._clock.now_utc())
        path = self._directory / FILE
        part = self._directory / f".{FILE}.part"
        fd = open_regular(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            write_all(fd, msgspec.json.encode(known))
            found = os.fstat(fd)
        finally:
            os.close(fd)
        part.replace(path)
        self._seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        self._known = known
        self._backlog.clear()

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            log.warning("what is known of storages is not shared with other pilots of this node: %s", error)
            self._complained = True


def node_directory(setting: str | None) -> Path:
    """Where the pilots of this user on this node meet: the setting, else a directory named after the user."""
    return Path(setting) if setting else Path(f"/tmp/picard-{os.getuid()}")


def make_private(directory: Path) -> None:
    """Make sure that the directory is there and this user's alone. Raises OSError where it is not.

    In /tmp anybody may have made one of that name, or a link that leads elsewhere.
    """
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        pass
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(20, "it is not a directory of its own", str(directory))
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(13, "it is not this user's alone", str(directory))
