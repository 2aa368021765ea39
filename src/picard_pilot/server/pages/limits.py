"""How near a job is to each of its limits: the newest and the largest measured value beside the limit and its origin.

Plain values and texts, the same on the job's page and on the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from picard_pilot.model.limits import Measure, Unit, amount
from picard_pilot.model.usage import ToldLimit
from picard_pilot.server.usage import UsagePoint
from picard_pilot.system.typed import ready

KB_BYTES = 1024

NEAR_SHARE = 0.8
"""From here on a limit is near: the pilot itself looks more often then."""

Read = Callable[[UsagePoint], float | None]


class Near(msgspec.Struct, frozen=True, kw_only=True):
    """A limit, and how much of it is and was used; unknown is None."""

    measure: str
    limit: float
    unit: str
    origin: str
    """`queue: maxrss 4000 MB x 2`."""
    now: float | None = None
    most: float | None = None
    """Of free space: the least."""
    share: float | None = None
    """The part of the limit that is used now, 1 at the limit."""
    most_share: float | None = None

    @property
    def at_least(self) -> bool:
        """Whether the value must stay above the limit."""
        return self.measure == Measure.FREE_SPACE

    def text(self, value: float | None) -> str:
        """A value of this measure for people."""
        if value is None:
            return "not known"
        return amount(value, Unit(self.unit)) if self.unit in frozenset(Unit) else f"{value:g} {self.unit}"

    def says(self) -> str:
        """`memory: 1.4 GB now, 2.0 GB at most, limit 8.4 GB (queue: maxrss 4000 MB x 2)`."""
        values = [f"{self.text(self.now)} now"] if self.now is not None else []
        if self.most is not None:
            values.append(f"{self.text(self.most)} {'at least' if self.at_least else 'at most'}")
        return f"{self.measure}: {', '.join([*values, f'limit {self.text(self.limit)} ({self.origin})'])}"


ready(Near)


def _pss(point: UsagePoint) -> float | None:
    return None if point.pss_kb is None else (point.pss_kb + (point.swap_kb or 0)) * KB_BYTES


_READS: dict[str, Read] = {
    Measure.MEMORY: _pss,
    Measure.PROCESSES: lambda point: point.processes,
    Measure.DIRECTORY: lambda point: point.directory_bytes,
    Measure.FREE_SPACE: lambda point: point.free_bytes,
    Measure.OUTPUT_FILE: lambda point: point.output_bytes,
    Measure.WALL_TIME: lambda point: point.wall_s,
    Measure.CPU_TIME: lambda point: point.cpu_s,
    Measure.QUIET_TIME: lambda point: point.quiet_s,
    Measure.SPINNING_TIME: lambda point: point.spinning_s,
}


def nearness(
    limits: Sequence[ToldLimit],
    curve: Sequence[UsagePoint],
    *,
    peak_pss_kb: int | None = None,
    output_text_bytes: int | None = None,
    goes_on: bool = True,
) -> list[Near]:
    """Each limit with the newest value of the curve, while the payload goes on, and with the largest.

    `peak_pss_kb` and `output_text_bytes` are told apart from the curve: the largest PSS, and the larger of stdout and
    stderr.
    """
    found = []
    for limit in limits:
        read = _READS.get(limit.measure)
        values = [] if read is None else [value for point in curve if (value := read(point)) is not None]
        if limit.measure == Measure.OUTPUT_TEXT and output_text_bytes is not None:
            values = [output_text_bytes]
        now = values[-1] if values and goes_on else None
        if limit.measure == Measure.MEMORY and peak_pss_kb is not None:
            values = [*values, peak_pss_kb * KB_BYTES]
        found.append(_near(limit, now, values))
    return found


def _near(limit: ToldLimit, now: float | None, values: Sequence[float]) -> Near:
    at_least = limit.measure == Measure.FREE_SPACE
    most = (min if at_least else max)(values, default=None)

    def share(value: float | None) -> float | None:
        if value is None:
            return None
        return (
            (limit.value / value if value > 0 else float(limit.value > 0))
            if at_least
            else value / limit.value
        )

    return Near(
        measure=limit.measure,
        limit=limit.value,
        unit=limit.unit,
        origin=f"{limit.origin}: {limit.detail}",
        now=now,
        most=most,
        share=share(now),
        most_share=share(most),
    )
