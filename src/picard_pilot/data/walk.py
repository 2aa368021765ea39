"""Walking an ordered list of sources or destinations until one works: which next, after which pause, and why.

Building the list is `data.plan`; the transfer itself is `data.worker`.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from picard_pilot.model.transfer import (
    Destination,
    FailureClass,
    Side,
    Source,
    TransferFailure,
    Transferred,
)
from picard_pilot.system.clock import Clock

TRIES_PER_ENTRY = 2
"""A second try helps where the way or the moment was bad; a third was never seen to."""

LONGEST_PAUSE_S = 60.0
"""A storage that asks for more is passed over."""

Entry = TypeVar("Entry", Source, Destination)


class Attempt(NamedTuple):
    """One try and what became of it, in a sentence for the journal."""

    entry: Source | Destination
    outcome: Transferred | TransferFailure

    def says(self) -> str:
        """Where, why there, and what happened."""
        place = f"{self.entry.endpoint.name} ({self.entry.reason}, {self.entry.surl})"
        if isinstance(self.outcome, TransferFailure):
            return f"{place}: {self.outcome.kind}: {self.outcome.says}"
        return f"{place}: {self.outcome.how}, {self.outcome.size_bytes} bytes in {self.outcome.seconds:.3f} s"


def many(attempts: Sequence[Attempt]) -> str:
    """How often it was tried, for the end of a sentence; nothing when it was tried once."""
    return "" if len(attempts) == 1 else f" after {len(attempts)} attempts"


class Walk(Generic[Entry]):
    """The order of tries, without doing them.

    A checksum failure repeats the same entry first, since the way may have changed the bytes; other transient
    failures come again after all other entries; a failure that cannot go away, or one of the node, does not.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._waiting: deque[tuple[Entry, float]] = deque((entry, 0.0) for entry in entries)
        self._tries: dict[str, int] = {}

    def next(self) -> tuple[Entry, float] | None:
        """The next entry and the pause in seconds before it; None at the end of the list."""
        if not self._waiting:
            return None
        entry, pause_s = self._waiting.popleft()
        self._tries[entry.surl] = self._tries.get(entry.surl, 0) + 1
        return entry, pause_s

    def failed(self, entry: Entry, failure: TransferFailure) -> None:
        """Take a failure into account."""
        if failure.side is Side.NODE and failure.retry_after_s is None:
            self._waiting.clear()  # no other storage can mend this node
        elif (
            failure.retry_after_s is not None
            and failure.retry_after_s <= LONGEST_PAUSE_S
            and self._tries[entry.surl] < TRIES_PER_ENTRY
        ):
            if failure.kind is FailureClass.CHECKSUM:
                self._waiting.appendleft((entry, failure.retry_after_s))
            else:
                self._waiting.append((entry, failure.retry_after_s))


async def walk(
    entries: Sequence[Entry],
    perform: Callable[[Entry], Awaitable[Transferred | TransferFailure]],
    clock: Clock,
) -> list[Attempt]:
    """Try the entries until one works. All attempts in order: if the last one failed, all did."""
    order = Walk(entries)
    attempts: list[Attempt] = []
    while (chosen := order.next()) is not None:
        entry, pause_s = chosen
        if pause_s:
            await clock.sleep(pause_s)
        outcome = await perform(entry)
        attempts.append(Attempt(entry, outcome))
        if isinstance(outcome, Transferred):
            break
        order.failed(entry, outcome)
    return attempts
