"""Curves over time as SVG made here: readable without scripts, as text and on a phone. What is drawn is `curves`.

Lines live in a box of 1000 units in width that is stretched to the page; texts stand beside it and are not stretched.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import msgspec

from picard_pilot.server.pages import words

HEIGHT_PX, TOP_PX, AXIS_PX = 110, 16, 20
WIDTH, BOX = 1000.0, 100.0
"""Units of the box in which lines are drawn."""

MOST_DRAWN = 200
"""Points of one line: as many as half a screen has room for; a longer curve is drawn by the largest of neighbours."""

LIMIT_IN_SIGHT = 4.0
"""A limit this many times above the largest value is told and not drawn: the curve would lie on the ground."""

WORTH_SAYING_S = 10.0
"""So old may the newest value of a curve be without a word."""

MOST_TICKS = 5
_TICKS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200, 86400)

Point = tuple[float, float]
"""Seconds and value."""

Units = Sequence[tuple[float, str]]
"""Sizes and names of a unit, the largest first: `(1e9, "GB")`."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One curve of a plot; points in the order of time."""

    name: str
    points: tuple[Point, ...]

    def says(self, units: Units, end_s: float) -> str:
        """Its newest and largest value: `PSS 1.4 GB, at most 2 GB`; how old the newest is, where the plot goes on."""
        (at, newest), largest = self.points[-1], max(value for _, value in self.points)
        earlier = f" {words.duration(end_s - at)} before" if end_s - at >= WORTH_SAYING_S else ""
        return f"{self.name} {in_units(newest, units)}{earlier}, at most {in_units(largest, units)}"


class Plot(msgspec.Struct, frozen=True, kw_only=True):
    """One drawing: its curves on a common scale, and the line that they should stay below, if any."""

    title: str
    says: str
    """What it shows in words, for those who do not see it."""
    lines: tuple[Line, ...]
    units: Units
    limit: float | None = None
    limit_says: str = ""

    @property
    def limit_drawn(self) -> bool:
        """Whether the limit is near enough to be drawn."""
        return self.limit is not None and self.limit <= LIMIT_IN_SIGHT * max(self.largest, 1e-9)

    @property
    def largest(self) -> float:
        """The largest value of all curves."""
        return max((value for line in self.lines for _, value in line.points), default=0.0)


def draw(plot: Plot, end_s: float) -> str:
    """The plot from the payload's start to `end_s`; empty where nothing is known. A single point is a dot."""
    if not any(line.points for line in plot.lines) or end_s <= 0:
        return ""
    top = _round_up(max(plot.largest, plot.limit or 0.0) if plot.limit_drawn else plot.largest)
    height = TOP_PX + HEIGHT_PX + AXIS_PX
    limit = _limit(plot, top) if plot.limit_drawn else ""
    curves = "".join(_curve(number, line, end_s, top) for number, line in enumerate(plot.lines))
    return (
        f'<svg class="plot" width="100%" height="{height}" role="img" '
        f'aria-label="{escape(f"{plot.title}: {plot.says}")}">'
        f"{_levels(plot, top)}{_times(end_s)}"
        f'<svg x="0" y="{TOP_PX}" width="100%" height="{HEIGHT_PX}" viewBox="0 0 {WIDTH:g} {BOX:g}" '
        f'preserveAspectRatio="none">{curves}</svg>{limit}</svg>'
    )


def thinned(points: Sequence[Point], most: int = MOST_DRAWN) -> list[Point]:
    """At most about so many points that keep the peaks: of each group of neighbours the largest. The first and the last
    stay."""
    if len(points) <= most:
        return list(points)
    inner = points[1:-1]
    size = -(-len(inner) // (most - 2))
    groups = (inner[at : at + size] for at in range(0, len(inner), size))
    return [points[0], *(max(group, key=lambda point: point[1]) for group in groups), points[-1]]


def in_units(value: float, units: Units) -> str:
    """A value in the largest unit of which there is one, with three digits or two decimals at most."""
    size, name = next(((size, name) for size, name in units if abs(value) >= size), units[-1])
    number = value / size
    digits = f"{round(number, 2):g}" if number < 1 else f"{number:.3g}" if number < 999.5 else f"{number:.0f}"
    return f"{digits} {name}".strip()


def _curve(number: int, line: Line, end_s: float, top: float) -> str:
    if not line.points:
        return ""
    points, dot = (line.points * 2, " dot") if len(line.points) == 1 else (line.points, "")
    title = f"<title>{escape(line.name)}</title>"
    return f'<polyline class="line line-{number}{dot}" points="{_path(thinned(points), end_s, top)}">{title}</polyline>'


def _path(points: Sequence[Point], end_s: float, top: float) -> str:
    return " ".join(
        f"{min(max(at / end_s, 0.0), 1.0) * WIDTH:.0f},{BOX - min(max(value / top, 0.0), 1.0) * BOX:.1f}"
        for at, value in points
    )


def _levels(plot: Plot, top: float) -> str:
    """The ground, the half and the top with their values."""
    drawn = []
    for share in (0.0, 0.5, 1.0):
        y = TOP_PX + HEIGHT_PX * (1 - share)
        drawn.append(f'<line class="{"grid" if share else "axis"}" x1="0" x2="100%" y1="{y:g}" y2="{y:g}"/>')
        if share:
            text = escape(in_units(top * share, plot.units))
            drawn.append(f'<text class="tick" x="0" y="{y - 4:g}">{text}</text>')
    return "".join(drawn)


def _times(end_s: float) -> str:
    step = next((each for each in _TICKS_S if end_s / each <= MOST_TICKS), end_s / MOST_TICKS)
    y = TOP_PX + HEIGHT_PX + 15
    drawn = []
    for number in range(1, int(end_s / step) + 1):
        x = step * number / end_s * 100
        anchor = "end" if x > 92 else "middle"
        text = _time(step * number, step)
        drawn.append(f'<text class="tick" x="{x:.2f}%" y="{y}" text-anchor="{anchor}">{text}</text>')
    return "".join(drawn)


def _time(seconds: float, step_s: float) -> str:
    if step_s < 60:
        return f"{seconds:g} s"
    if step_s < 3600:
        return f"{seconds / 60:g} min"
    return f"{seconds / 3600:.3g} h" if step_s < 86400 else f"{seconds / 86400:.3g} d"


def _limit(plot: Plot, top: float) -> str:
    assert plot.limit is not None
    y = TOP_PX + HEIGHT_PX * (1 - plot.limit / top)
    return (
        f'<line class="limit" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="limit" x="100%" y="{y - 4:.1f}" text-anchor="end">{escape(plot.limit_says)}</text>'
    )


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 ... that leaves a little air."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** (len(f"{int(value)}") - 1) if value >= 1 else 1.0
    while unit > value:
        unit /= 10
    return next(unit * step for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12) if unit * step >= value * 1.05)
