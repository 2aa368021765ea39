"""What a job's page draws of its payload: memory, CPU, disk, processes and I/O over time, and the same as a table.

From the points that heartbeats told (`server.usage`) to plots (`plots`); how far limits are is `limits`.
"""

from __future__ import annotations

from collections.abc import Sequence

from picard_pilot.model.limits import Measure
from picard_pilot.server.pages.limits import KB_BYTES, Near
from picard_pilot.server.pages.plots import Line, Plot, Point, Units, in_units
from picard_pilot.server.usage import UsagePoint

BYTES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))
RATES = tuple((size, f"{name}/s") for size, name in BYTES)
COUNT = ((1.0, ""),)
CORES = ((1.0, ""),)

IO_WINDOW_S = 30.0
"""Counts of I/O are as old as this when they are told: rates over less would jump between nothing and the double."""

MOST_ROWS = 40
"""Of the table: enough to see the course of a job."""


def plots(curve: Sequence[UsagePoint], near: Sequence[Near], cores: int | None) -> list[Plot]:
    """The drawings, each with its limit where it has one; those without a known value are left out."""
    limits = {each.measure: each for each in near}
    memory = (_line("PSS", curve, "pss_kb", KB_BYTES), _line("RSS", curve, "rss_kb", KB_BYTES))
    disk = (_line("work directory", curve, "directory_bytes"),)
    passed = tuple(
        Line(name=name, points=tuple(rates(curve, column, IO_WINDOW_S)))
        for name, column in (("read", "rchar"), ("written", "wchar"))
    )
    cpu = (Line(name="cores used", points=tuple(rates(curve, "cpu_s", 0.0))),)
    found = [
        _plot("Memory", memory, BYTES, limits.get(Measure.MEMORY)),
        _plot("CPU", cpu, CORES, given=cores),
        _plot("Disk of the work directory", disk, BYTES, limits.get(Measure.DIRECTORY)),
        _plot("Processes", (_line("processes", curve, "processes"),), COUNT, limits.get(Measure.PROCESSES)),
        _plot("I/O through calls", passed, RATES),
    ]
    return [plot for plot in found if any(line.points for line in plot.lines)]


def rates(curve: Sequence[UsagePoint], column: str, window_s: float) -> list[Point]:
    """What a count grew by per second, at each point since the newest one that is at least `window_s` older, or since
    the first; counts begin with the payload, at nothing."""
    known = [(0.0, 0.0)]
    known += [
        (point.wall_s, value)
        for point in curve
        if (value := getattr(point, column)) is not None and point.wall_s > 0
    ]
    found: list[Point] = []
    before = 0
    for place in range(1, len(known)):
        at, value = known[place]
        while before + 1 < place and known[before + 1][0] <= at - window_s:
            before += 1
        then, less = known[before]
        if at > then:
            found.append((at, max(0.0, (value - less) / (at - then))))
    return found


def table(curve: Sequence[UsagePoint]) -> list[tuple[str, ...]]:
    """Rows of texts: time, PSS, RSS, cores used, processes, directory, read, written; evenly picked, the last among
    them."""
    step = -(-len(curve) // MOST_ROWS) or 1
    picked = list(curve[::-1][::step][::-1])
    return [
        (
            _clock(point.wall_s),
            _bytes(point.pss_kb, KB_BYTES),
            _bytes(point.rss_kb, KB_BYTES),
            _cores(earlier, point),
            "–" if point.processes is None else str(point.processes),
            _bytes(point.directory_bytes),
            _bytes(point.rchar),
            _bytes(point.wchar),
        )
        for earlier, point in zip([None, *picked], picked, strict=False)
    ]


def _line(name: str, curve: Sequence[UsagePoint], column: str, factor: float = 1.0) -> Line:
    points = tuple(
        (point.wall_s, value * factor) for point in curve if (value := getattr(point, column)) is not None
    )
    return Line(name=name, points=points)


def _plot(
    title: str,
    lines: tuple[Line, ...],
    units: Units,
    near: Near | None = None,
    *,
    given: int | None = None,
) -> Plot:
    limit = near.limit if near is not None else given
    limit_says = ""
    if near is not None:
        limit_says = f"limit {in_units(near.limit, units)}"
    elif given is not None:
        limit_says = f"{given} given"
    end_s = max((line.points[-1][0] for line in lines if line.points), default=0.0)
    words = [line.says(units, end_s) for line in lines if line.points]
    says = "; ".join([*words, *([limit_says] if limit_says else [])])
    return Plot(title=title, says=says, lines=lines, units=units, limit=limit, limit_says=limit_says)


def _bytes(value: int | None, factor: int = 1) -> str:
    return "–" if value is None else in_units(value * factor, BYTES)


def _cores(before: UsagePoint | None, point: UsagePoint) -> str:
    then_s, then_cpu_s = (0.0, 0.0) if before is None else (before.wall_s, before.cpu_s)
    if point.cpu_s is None or then_cpu_s is None or point.wall_s <= then_s:
        return "–"
    return f"{max(0.0, point.cpu_s - then_cpu_s) / (point.wall_s - then_s):.2f}"


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
