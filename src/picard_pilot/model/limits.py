"""A limit of a job: measure, value with its unit, who set it and how; and what a broken one says.

Which limits a job has is `lifecycle.limits`; measuring is `watch`.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

MB = 1_000_000
MIB = 1 << 20
GB = 1_000_000_000


class Measure(StrEnum):
    """What is limited."""

    MEMORY = "memory"
    PROCESSES = "processes"
    DIRECTORY = "work directory"
    FREE_SPACE = "free disk space"
    OUTPUT_FILE = "one output file"
    OUTPUT_TEXT = "stdout or stderr"
    WALL_TIME = "wall time"
    CPU_TIME = "CPU time"
    QUIET_TIME = "time without a sign of life"
    SPINNING_TIME = "time with CPU use alone"


class Unit(StrEnum):
    """In what a measure counts."""

    BYTES = "bytes"
    SECONDS = "s"
    COUNT = "processes"


UNIT_OF: dict[Measure, Unit] = {
    Measure.MEMORY: Unit.BYTES,
    Measure.PROCESSES: Unit.COUNT,
    Measure.DIRECTORY: Unit.BYTES,
    Measure.FREE_SPACE: Unit.BYTES,
    Measure.OUTPUT_FILE: Unit.BYTES,
    Measure.OUTPUT_TEXT: Unit.BYTES,
    Measure.WALL_TIME: Unit.SECONDS,
    Measure.CPU_TIME: Unit.SECONDS,
    Measure.QUIET_TIME: Unit.SECONDS,
    Measure.SPINNING_TIME: Unit.SECONDS,
}


class From(StrEnum):
    """Who set a limit."""

    JOB = "job"
    QUEUE = "queue"
    DEFAULT = "default"


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """One limit: at most so much (of free space: at least), who set it and how it came to its value."""

    measure: Measure
    value: float
    origin: From
    detail: str
    """`maxrss 4000 MB x 2` for instance."""

    @property
    def unit(self) -> Unit:
        """The unit of `value`."""
        return UNIT_OF[self.measure]

    def says(self) -> str:
        """For people: `8.0 GB (queue: maxrss 4000 MB x 2)`."""
        return f"{amount(self.value, self.unit)} ({self.origin}: {self.detail})"


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """A broken limit: how much was measured, at which limit, and what it rests on."""

    limit: Limit
    value: float
    error: str
    """The catalogue's name of the fault."""
    evidence: tuple[str, ...]
    at: float

    def says(self) -> str:
        """One sentence with measure, value, limit and the limit's origin."""
        word = "below" if self.limit.measure is Measure.FREE_SPACE else "above"
        measured = amount(self.value, self.limit.unit)
        return f"{self.limit.measure}: {measured} is {word} the limit of {self.limit.says()}"


def limit_on(limits: Sequence[Limit], measure: Measure) -> Limit | None:
    """The limit on a measure, if there is one."""
    return next((limit for limit in limits if limit.measure is measure), None)


def amount(value: float, unit: Unit) -> str:
    """A measured value for people."""
    if unit is Unit.BYTES:
        for size, name in ((GB, "GB"), (MB, "MB"), (1000, "kB")):
            if abs(value) >= size:
                return f"{value / size:.1f} {name}"
        return f"{value:.0f} bytes"
    if unit is Unit.SECONDS:
        return f"{value:.0f} s" if value < 7200 else f"{value / 3600:.1f} h"
    return f"{value:.0f}"
