"""The one door by which a job is told to stop: who asked, why, and how much time there is.

What a stop does to a job is `lifecycle.table`.
"""

from enum import StrEnum

import msgspec

from picard_pilot.model.fault import Fault


class StopKind(StrEnum):
    """Who ends a job. Each has its row in docs/reference/endings.md."""

    SERVER_KILL = "server_kill"
    """The server said `tobekilled`: nobody wants the outputs any more."""
    SIGNAL = "signal"
    """The batch system or a person signalled the pilot: the slot is ending, outputs are still wanted."""
    LIFETIME = "lifetime"
    """The slot is about to end, by whose word ever (`lifecycle.deadline`), or the pilot's own lifetime is over."""
    LIMIT = "limit"
    """The job broke a limit of its own (wall time, memory, disk)."""
    DISOWNED = "disowned"
    """A later pilot found the job, and the server says that it is over or somebody else's: nothing of it is wanted, and
    nobody waits for a word about it."""


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """A request to stop a job: by whom, with which verdict, and the grace in seconds before force is used."""

    kind: StopKind
    fault: Fault
    grace_s: float
