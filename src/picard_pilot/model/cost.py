"""What a job has cost, and what of it was saved from being lost. How it is computed is `lifecycle.cost`.

All sums are of slot time: seconds times cores, whether the cores were busy or not, since that is what a site gives.
"""

from enum import StrEnum

import msgspec

from picard_pilot.model.fault import Blame
from picard_pilot.model.states import Phase

COSTLY = (Phase.STARTING, Phase.SETUP, Phase.STAGEIN, Phase.RUNNING, Phase.STAGEOUT, Phase.FINISHING)
"""The phases in which a job takes a slot; one that waits on disk takes none."""


class Saving(StrEnum):
    """What kept a job's work from being lost."""

    RECOVERY = "recovery"
    """A later pilot went on with what an earlier one had left."""
    ALTERNATIVE = "alternative"
    """An output went to another storage than the one that did not take it."""


class Cost(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one attempt of a job has taken, from all pilots that had it, dead ones too."""

    cores: int = 1
    wall_s: dict[Phase, float] = {}
    """Seconds in each phase; those of `COSTLY` only."""
    cpu_s: float | None = None
    """CPU time of the payload; None where its end is not known."""
    bytes_in: int = 0
    """Of inputs that were copied."""
    bytes_out: int = 0
    """Of outputs and log that were stored."""
    error: str | None = None
    """The error that all of it was lost to; None where the job is not failed."""
    blame: Blame | None = None
    saved_by: tuple[Saving, ...] = ()
    """Why a job that ended well was not lost."""
    spared: int = 0
    """Tries at storages that were known to be sick, and were not made."""

    @property
    def total_s(self) -> float:
        """Seconds of slot."""
        return sum(self.wall_s.values())

    def core_s(self, phase: Phase | None = None) -> float:
        """Slot time (seconds times cores) of one phase, or of all."""
        return self.cores * (self.total_s if phase is None else self.wall_s.get(phase, 0.0))

    @property
    def saved_core_s(self) -> float:
        """Slot time of the payload that would have to be spent again without what saved it."""
        return self.core_s(Phase.RUNNING) if self.saved_by else 0.0
