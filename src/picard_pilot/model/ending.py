"""How a payload ended and who ended it, as people are told: the launcher's record in a few words.

The record itself is `model.command.PayloadExit`; who ended it is found out in `lifecycle.ending`.
"""

import signal
from enum import StrEnum

import msgspec

SIGNAL_BASE = 128
"""Shells, and the server, show an end by signal n as the exit status 128 + n."""


class Ender(StrEnum):
    """Who ended a payload."""

    ITSELF = "itself"
    """It exited, or crashed."""
    PILOT = "pilot"
    """The pilot or the payload's launcher: a limit, or the end of the pilot's time."""
    SERVER = "server"
    """The server had it killed."""
    KERNEL = "kernel"
    """Out of memory, or past a limit on CPU time or file size that the kernel keeps."""
    BATCH = "batch"
    """The batch system, or somebody else, signalled the pilot or the launcher."""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a payload ended: one of `exit_code` and `signal` is known. `by` is None where nobody saw who did it."""

    exit_code: int | None = None
    signal: int | None = None
    by: Ender | None = None

    def says(self) -> str:
        """`exit code 7, by itself`, or `signal 9 (SIGKILL), by the kernel`."""
        how = f"exit code {self.exit_code}" if self.signal is None else signal_name(self.signal)
        if self.by is None:
            return f"{how}, by whom is not known"
        return f"{how}, by {'' if self.by is Ender.ITSELF else 'the '}{self.by}{_SYSTEM.get(self.by, '')}"


_SYSTEM = {Ender.BATCH: " system"}


def signal_name(number: int) -> str:
    """`signal 9 (SIGKILL)`; only the number where the system has no name for it."""
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"
