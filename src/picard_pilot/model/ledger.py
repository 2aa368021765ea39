"""What a pilot makes on its node, and the receipt of what became of it.

Writing it down is `system.ledger`, looking for it and removing it `system.strays`; when is decided in `pilot.receipt`.
"""

import msgspec

from picard_pilot.model.command import ProcessId


class ProcessTree(msgspec.Struct, frozen=True, kw_only=True, tag_field="thing", tag="process tree"):
    """A process that the pilot started, with all that descends from it.

    `marks` are whole variables (`NAME=value`) of the environment that nothing else has: by them its descendants are
    known when it is gone itself. `launcher` is the process that kills the tree at its end, where it has its own.
    """

    what: str
    root: ProcessId
    launcher: ProcessId | None = None
    marks: tuple[str, ...] = ()
    job_id: int | None = None

    @property
    def says(self) -> str:
        """For people."""
        return f"{self.what} (process {self.root.pid})"


class Directory(msgspec.Struct, frozen=True, kw_only=True, tag_field="thing", tag="directory"):
    """A job's directory; device and inode know it again when the payload moved it."""

    path: str
    device: int
    inode: int
    job_id: int | None = None

    @property
    def says(self) -> str:
        """For people."""
        return f"directory {self.path}"


class Mount(msgspec.Struct, frozen=True, kw_only=True, tag_field="thing", tag="mount"):
    """Something that was mounted within a job's directory."""

    path: str
    job_id: int | None = None

    @property
    def says(self) -> str:
        """For people."""
        return f"mount {self.path}"


class Segment(msgspec.Struct, frozen=True, kw_only=True, tag_field="thing", tag="shared memory segment"):
    """Shared memory of System V, with the process that made it. Unless `sure`, it may be another's."""

    number: int
    key: int
    maker: int
    sure: bool = True
    job_id: int | None = None

    @property
    def says(self) -> str:
        """For people."""
        return f"shared memory segment {self.number} of process {self.maker}"


class File(msgspec.Struct, frozen=True, kw_only=True, tag_field="thing", tag="file"):
    """A file outside of the job's directory: POSIX shared memory, a temporary file. Unless `sure`, it may be another's.

    `path` is in hexadecimal, since a payload's names need not be text. `maker` is the process that had it open.
    """

    path: str
    device: int
    inode: int
    maker: int | None = None
    sure: bool = True
    job_id: int | None = None

    @property
    def says(self) -> str:
        """For people."""
        return f"file {bytes.fromhex(self.path).decode('utf-8', 'backslashreplace')}"


class Semaphores(msgspec.Struct, frozen=True, kw_only=True, tag_field="thing", tag="semaphore set"):
    """Semaphores of System V. The kernel does not note who made them, so that nobody is ever sure."""

    number: int
    key: int
    job_id: int | None = None

    @property
    def says(self) -> str:
        """For people."""
        return f"semaphore set {self.number}"


class MessageQueue(msgspec.Struct, frozen=True, kw_only=True, tag_field="thing", tag="message queue"):
    """A message queue of System V; the same is true of it."""

    number: int
    key: int
    job_id: int | None = None

    @property
    def says(self) -> str:
        """For people."""
        return f"message queue {self.number}"


class ControlGroup(msgspec.Struct, frozen=True, kw_only=True, tag_field="thing", tag="control group"):
    """A control group for one payload."""

    path: str
    job_id: int | None = None

    @property
    def says(self) -> str:
        """For people."""
        return f"control group {self.path}"


Traces = Segment | File | Semaphores | MessageQueue
"""What a payload may have made outside of its directory, as its launcher saw it."""

Thing = ProcessTree | Directory | Mount | Traces | ControlGroup
"""What a pilot or its payloads make on a node."""


def kind_of(thing: Thing) -> str:
    """The kind, in the words of the receipt."""
    return str(type(thing).__struct_config__.tag)


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag_field="thing", tag="opened"):
    """The first line of a ledger: whose it is."""

    pilot: str
    host: str
    boot_id: str
    pid: int
    start_ticks: int
    pid_namespace: int | None = None
    at: float


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing in a receipt. `why` is the end of a sentence: why it is still there, or what was done about it."""

    kind: str
    says: str
    job_id: int | None = None
    why: str = ""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of all that was made, as it was found at the end.

    `gone` counts by kind what is verified to be gone; of that `removed` is what was still there and had to be ended or
    removed for it. `kept` stays on purpose: a job that waits for a later pilot. `remains` is what should be gone and
    is not. `doubtful` is what appeared beside a payload and may be its own or anybody else's of this user: it is left
    alone.
    """

    pilot: str
    covers: tuple[str, ...] = ()
    """Pilots that were killed before they could write their own."""
    host: str
    at: float
    gone: dict[str, int] = {}
    removed: tuple[Entry, ...] = ()
    kept: tuple[Entry, ...] = ()
    remains: tuple[Entry, ...] = ()
    doubtful: tuple[Entry, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing is there that should be gone."""
        return not self.remains

    @property
    def says(self) -> str:
        """One line for people."""
        counts = [f"{number} {_plural(kind, number)}" for kind, number in self.gone.items()]
        parts = [f"{', '.join(counts)} gone" if counts else "nothing was made"]
        if self.removed:
            parts.append(f"{len(self.removed)} of them had to be removed")
        if self.remains:
            parts.append(f"{len(self.remains)} remain")
        if self.kept:
            parts.append(f"{len(self.kept)} kept for a later pilot or on request")
        if self.doubtful:
            parts.append(f"{len(self.doubtful)} that nobody can assign left alone")
        if self.covers:
            parts.append(f"with what {', '.join(self.covers)} left")
        return f"the node is {'clean' if self.clean else 'not clean'}: {'; '.join(parts)}"


_PLURALS = {"directory": "directories"}


def _plural(kind: str, number: int) -> str:
    return kind if number == 1 else _PLURALS.get(kind, f"{kind}s")
