"""A journal that is kept in memory alone: for a job whose directory could not be made.

Such a job can only be reported failed at once; everything else lives in `journal.file`.
"""

from collections.abc import Callable
from pathlib import Path

from picard_pilot.journal.record import Record, record_of
from picard_pilot.model.events import Event


class MemoryJournal:
    """Has the face of `journal.file.Journal` and forgets everything with the process."""

    def __init__(self, by: str, wall: Callable[[], float]) -> None:
        """`by` names this pilot, `wall` gives the time."""
        self.records: list[Record] = []
        self._by = by
        self._wall = wall

    def next_time(self) -> float:
        """The time for the next record."""
        return max(self._wall(), self.records[-1].at) if self.records else self._wall()

    def append(self, event: Event, at: float | None = None) -> Record:
        """Remember the event."""
        at = self.next_time() if at is None else at
        record = record_of(event, seq=len(self.records) + 1, at=at, by=self._by)
        self.records.append(record)
        return record

    def move_into(self, reserve: Path) -> None:
        """It needs no disk."""

    def give_back(self) -> None:
        """It has no disk."""

    def close(self) -> None:
        """Nothing to let go of."""
