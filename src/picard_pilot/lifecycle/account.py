"""How a pilot spent its slot: to each job and phase its share of the cores, and what was left to nobody. Pure.

What one job has cost over all pilots that had it is `lifecycle.cost`. Moments are of one clock that is never set.
"""

from collections.abc import Mapping
from typing import NamedTuple

from picard_pilot.model.cost import COSTLY
from picard_pilot.model.states import Phase


class Use(NamedTuple):
    """What a job does at a moment: its phase, and the cores that it was given."""

    phase: Phase
    cores: int


Share = tuple[int | None, Phase | None]
"""Job and phase; None and None: the pilot itself, which starts, asks for work, waits or leaves."""

OWN: Share = (None, None)


class Account:
    """Adds up core seconds. The sum of all shares is the slot's cores times its time, always."""

    def __init__(self, began_at: float, cores: int) -> None:
        """`cores` is what the slot has; where nobody says so, what its jobs ask for is what counts."""
        self._began_at = self._at = began_at
        self.cores = max(1, cores)
        self._jobs: dict[int, Use] = {}
        self.core_s: dict[Share, float] = {}

    def now(self, at: float, job_id: int, phase: Phase | None, cores: int = 1) -> None:
        """At this moment a job enters a phase, or leaves the slot (None)."""
        self.count(at)
        if phase in COSTLY:
            self._jobs[job_id] = Use(phase, max(1, cores))
        else:
            self._jobs.pop(job_id, None)

    def count(self, until: float) -> None:
        """Share out the time up to this moment."""
        passed_s = until - self._at
        if passed_s <= 0:
            return
        self._at = until
        for share, cores in shares(self._jobs, self.cores).items():
            self.core_s[share] = self.core_s.get(share, 0.0) + cores * passed_s

    @property
    def total_core_s(self) -> float:
        """The slot's cores times the time that was counted."""
        return self.cores * (self._at - self._began_at)


def shares(jobs: Mapping[int, Use], cores: int) -> dict[Share, float]:
    """How many of the slot's cores each job has in its phase, and how many nobody has; together all `cores`.

    Payloads come first, each with the cores that it was given, all with less if there are not so many. The others,
    which prepare or store, have what is left of theirs: beside a payload that fills the slot they cost nothing.
    """
    found: dict[Share, float] = {}
    left = float(cores)
    for running in (True, False):
        group = {job: use for job, use in jobs.items() if (use.phase is Phase.RUNNING) is running}
        asked = sum(use.cores for use in group.values())
        scale = min(1.0, left / asked) if asked else 0.0
        for job, use in group.items():
            found[job, use.phase] = use.cores * scale
        left -= asked * scale
    if left > 0:
        found[OWN] = left
    return found
