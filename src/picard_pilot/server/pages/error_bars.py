"""Failures over time as stacked bars, SVG made here: readable without scripts and as text. Counting is the server's.

The bars live in a box of 1000 units in width that is stretched to the page; texts stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from picard_pilot.server.errors import Slot
from picard_pilot.server.pages import words

WIDTH, HEIGHT_PX, TOP_PX, AXIS_PX = 1000.0, 120, 16, 20

MOST_COLOURS = 6
"""As many as can be told apart; what is rarer is drawn together as others."""

OTHERS = "others"

GAP = 0.12
"""Of a bar's width, between it and the next."""

MOST_TICKS = 4


class Kind(NamedTuple):
    """One colour of the drawing: the errors that it stands for, its number, and how many jobs it is in all."""

    key: str
    number: int
    jobs: int


def kinds(slots: Sequence[Slot]) -> list[Kind]:
    """The colours for these failures, the most frequent error first; the last may be that of others."""
    sums: dict[str, int] = {}
    for slot in slots:
        for key, jobs in slot.jobs.items():
            sums[key] = sums.get(key, 0) + jobs
    order = sorted(sums, key=lambda key: (-sums[key], key))
    most = order if len(order) <= MOST_COLOURS + 1 else order[:MOST_COLOURS]
    found = [Kind(key, number, sums[key]) for number, key in enumerate(most)]
    if rest := sum(sums[key] for key in order[len(most) :]):
        found.append(Kind(OTHERS, len(most), rest))
    return found


def draw(slots: Sequence[Slot], step_s: int, end_s: float, names: Mapping[str, str]) -> str:
    """The bars from the first failure to `end_s`; empty where there are none. `names`: what each error is called."""
    if not slots:
        return ""
    first = slots[0].at.timestamp()
    count = max(int((max(end_s, slots[-1].at.timestamp()) - first) // step_s) + 1, 1)
    top = max(sum(slot.jobs.values()) for slot in slots)
    found = kinds(slots)
    number_of = {kind.key: kind.number for kind in found}
    others = number_of.get(OTHERS, 0)
    wide = WIDTH / count
    bars = []
    for slot in slots:
        place = (slot.at.timestamp() - first) / step_s
        stacked: dict[int, int] = {}
        for key, jobs in slot.jobs.items():
            number = number_of.get(key, others)
            stacked[number] = stacked.get(number, 0) + jobs
        bars.append(_bar(place * wide, wide, stacked, top, _title(slot, names)))
    told = ", ".join(f"{names.get(kind.key, kind.key)} {kind.jobs}" for kind in found)
    label = f"Failed jobs over time, at most {top} in {words.duration(step_s)}: {told}"
    return (
        f'<svg class="plot errors" width="100%" height="{TOP_PX + HEIGHT_PX + AXIS_PX}" role="img" '
        f'aria-label="{escape(label)}">{_levels(top)}{_times(first, step_s, count)}'
        f'<svg x="0" y="{TOP_PX}" width="100%" height="{HEIGHT_PX}" viewBox="0 0 {WIDTH:g} {HEIGHT_PX}" '
        f'preserveAspectRatio="none">{"".join(bars)}</svg></svg>'
    )


def _bar(x: float, wide: float, stacked: Mapping[int, int], top: int, title: str) -> str:
    drawn, below = [f"<title>{escape(title)}</title>"], 0
    for number, jobs in sorted(stacked.items()):
        high = HEIGHT_PX * jobs / top
        y = HEIGHT_PX * (1 - below / top) - high
        drawn.append(
            f'<rect class="bar-{number}" x="{x + wide * GAP / 2:.1f}" y="{y:.2f}" width="{wide * (1 - GAP):.1f}" '
            f'height="{high:.2f}"/>'
        )
        below += jobs
    return f"<g>{''.join(drawn)}</g>"


def _title(slot: Slot, names: Mapping[str, str]) -> str:
    told = sorted(slot.jobs.items(), key=lambda item: (-item[1], item[0]))
    said = ", ".join(f"{names.get(key, key)} {jobs}" for key, jobs in told)
    return f"{words.clock(slot.at.timestamp())}: {said}"


def _levels(top: int) -> str:
    """The ground and the top, with the number of jobs there."""
    low = TOP_PX + HEIGHT_PX
    return (
        f'<line class="axis" x1="0" x2="100%" y1="{low}" y2="{low}"/>'
        f'<line class="grid" x1="0" x2="100%" y1="{TOP_PX}" y2="{TOP_PX}"/>'
        f'<text class="tick" x="0" y="{TOP_PX - 4}">{words.count(top, "job")}</text>'
    )


def _times(first: float, step_s: int, count: int) -> str:
    """A few moments under the bars that begin there."""
    every = max(1, -(-count // MOST_TICKS))
    drawn = []
    for place in range(0, count, every):
        x = 100 * place / count
        shown = words.clock(first + place * step_s)
        text = shown[:10] if step_s >= words.DAY_S else shown[5:16]
        anchor = "start" if x < 85 else "end"
        drawn.append(
            f'<text class="tick" x="{x:.2f}%" y="{TOP_PX + HEIGHT_PX + 15}" text-anchor="{anchor}">{text}</text>'
        )
    return "".join(drawn)
