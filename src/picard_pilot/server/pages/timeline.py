"""A job's history as a picture: phases folded from the history, drawn as SVG that is readable as text.

Server-made, without style attributes and without scripts; colours come from `static/timeline.css`.
Lengths are in percent and texts in pixels, so a drawing fits a phone as well as a wall.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

import msgspec

from picard_pilot.server.pages import words
from picard_pilot.server.pages.facts import Change

#: Phases in the order of a job's trip, with the words of the drawing.
LABELS = {
    "queued": "queued",
    "starting": "starting",
    "setup": "setup",
    "stagein": "stage-in",
    "running": "running",
    "stageout": "stage-out",
    "finishing": "finishing",
    "holding": "holding",
}

#: States of the server that are not phases of the pilot.
_PHASE_OF_STATUS = {**dict.fromkeys(words.WAITING, "queued"), "sent": "starting", "transferring": "holding"}

ROW_PX, BAR_PX, AXIS_PX = 27, 16, 22

#: A shorter bar would be invisible; given as a share of the drawing.
SHORTEST_PERCENT = 0.6

#: A label stands inside a bar at least this wide, else beside it, on the side with more room.
INSIDE_PERCENT = 42.0

#: About as many marks on the axis as fit side by side on a phone.
MOST_TICKS = 5

_TICKS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400)


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A phase from its start to its end; `end_s` is None while it lasts."""

    phase: str
    start_s: float
    end_s: float | None

    def length_s(self, now_s: float) -> float:
        """Seconds so far."""
        return max((now_s if self.end_s is None else self.end_s) - self.start_s, 0.0)


def phase_of(change: Change) -> str | None:
    """The phase that a line of history stands for; None once the job has ended."""
    if change.status in words.FINAL:
        return None
    if change.status in ("starting", "running") and change.phase in LABELS:
        return change.phase
    return _PHASE_OF_STATUS.get(change.status, change.status if change.status in LABELS else "holding")


def spans(history: Iterable[Change]) -> list[Span]:
    """History folded into phases, oldest first; repeats of a phase are one span, a return to it is another."""
    found: list[Span] = []
    for change in sorted(history, key=lambda change: change.at_s):
        phase = phase_of(change)
        if found and found[-1].end_s is None:
            if found[-1].phase == phase:
                continue
            found[-1] = msgspec.structs.replace(found[-1], end_s=change.at_s)
        if phase is not None:
            found.append(Span(phase=phase, start_s=change.at_s, end_s=None))
    return found


def without_long_queue(found: Sequence[Span], now_s: float) -> tuple[list[Span], float | None]:
    """The spans to draw, and the seconds of waiting left out because they would dwarf all that follows."""
    if len(found) < 2 or found[0].phase != "queued":
        return list(found), None
    rest_s = sum(span.length_s(now_s) for span in found[1:])
    waited_s = found[0].length_s(now_s)
    return (list(found[1:]), waited_s) if waited_s > rest_s else (list(found), None)


class _Scale(msgspec.Struct, frozen=True):
    """Seconds to percent of the drawing."""

    start_s: float
    length_s: float

    def percent(self, at_s: float) -> float:
        return min(max((at_s - self.start_s) / self.length_s * 100.0, 0.0), 100.0)

    def ticks(self) -> list[tuple[float, str]]:
        step = next((s for s in _TICKS_S if self.length_s / s <= MOST_TICKS), self.length_s / MOST_TICKS)
        marks = range(1, int(self.length_s / step) + 1)
        return [(step * n / self.length_s * 100.0, _tick_text(step * n, step)) for n in marks]


def _tick_text(seconds: float, step_s: float) -> str:
    if step_s < 1:
        return f"{seconds:.1f} s"
    if step_s < 60:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if step_s < 3600 else f"{seconds / 3600:g} h"


def _scale(found: Sequence[Span], now_s: float) -> _Scale:
    start_s = min(span.start_s for span in found)
    end_s = max(now_s if span.end_s is None else span.end_s for span in found)
    return _Scale(start_s, max(end_s - start_s, 0.05))


def _bar(
    span: Span, scale: _Scale, now_s: float, y: float, height: float, *, label_y: float | None = None
) -> str:
    """One bar as SVG, with its label beside or inside it where one is wanted."""
    left = scale.percent(span.start_s)
    width = max(scale.percent(now_s if span.end_s is None else span.end_s) - left, SHORTEST_PERCENT)
    left = min(left, 100.0 - SHORTEST_PERCENT)
    place = f'x="{left:.2f}%" y="{y:g}" width="{width:.2f}%" height="{height:g}" rx="2"'
    open_class = " open" if span.end_s is None else ""
    said = f"{LABELS[span.phase]}, {words.duration(span.length_s(now_s))}"
    label = "" if label_y is None else _label(span, left, left + width, label_y, now_s)
    return (
        f'<g class="phase-{span.phase}{open_class}"><title>{escape(said)}</title>'
        f'<rect class="bar" {place}/><rect fill="url(#mark-{span.phase})" {place}/>{label}</g>'
    )


def _label(span: Span, left: float, right: float, y: float, now_s: float) -> str:
    text = f'{LABELS[span.phase]} <tspan class="quiet">{words.duration(span.length_s(now_s))}</tspan>'
    if right - left >= INSIDE_PERCENT:
        return f'<text class="inside" x="{left:.2f}%" dx="8" y="{y:g}">{text}</text>'
    if 100.0 - right >= left:
        return f'<text x="{right:.2f}%" dx="6" y="{y:g}">{text}</text>'
    return f'<text x="{left:.2f}%" dx="-6" y="{y:g}" text-anchor="end">{text}</text>'


def describe(found: Sequence[Span], now_s: float) -> str:
    """The drawing in words, for those who do not see it: `setup 0.1 s, running 4.2 s so far`."""
    parts = (
        f"{LABELS[span.phase]} {words.duration(span.length_s(now_s))}{'' if span.end_s is not None else ' so far'}"
        for span in found
    )
    return ", ".join(parts) or "nothing has happened yet"


def gantt(found: Sequence[Span], now_s: float, *, title: str) -> str:
    """The phases of one job as a waterfall: a row per phase, its name and length beside its bar."""
    if not found:
        return ""
    scale = _scale(found, now_s)
    plot = ROW_PX * len(found)
    grid = "".join(
        f'<line class="grid" x1="{x:.2f}%" x2="{x:.2f}%" y1="0" y2="{plot}"/>'
        f'<text class="tick" x="{x:.2f}%" y="{plot + 16}" text-anchor="{"end" if x > 92 else "middle"}">{text}</text>'
        for x, text in scale.ticks()
    )
    rows = []
    for number, span in enumerate(found):
        top = number * ROW_PX + (ROW_PX - BAR_PX) / 2
        rows.append(_bar(span, scale, now_s, top, BAR_PX, label_y=top + BAR_PX - 4))
    said = escape(f"{title}: {describe(found, now_s)}")
    return (
        f'<svg class="timeline gantt" width="100%" height="{plot + AXIS_PX}" role="img" aria-label="{said}">'
        f'{grid}<line class="axis" x1="0" x2="100%" y1="{plot}" y2="{plot}"/>{"".join(rows)}</svg>'
    )


def strip(found: Sequence[Span], now_s: float, *, title: str, within: Sequence[Span] = ()) -> str:
    """The phases of one job in one line; on the common scale of `within` where several are compared."""
    if not found:
        return ""
    scale = _scale(within or found, now_s)
    bars = "".join(_bar(span, scale, now_s, 1, 10) for span in found)
    said = escape(f"{title}: {describe(found, now_s)}")
    return f'<svg class="timeline strip" width="100%" height="12" role="img" aria-label="{said}">{bars}</svg>'


#: The mark of each phase, so that none is told from another by colour alone.
_MARKS = {
    "queued": '<circle cx="3" cy="3" r="1"/>',
    "starting": '<path d="M0 6 6 0"/>',
    "setup": '<path d="M0 3H6"/>',
    "stagein": '<path d="M0 0 6 6"/>',
    "running": "",
    "stageout": '<path d="M0 6 6 0M0 0 6 6"/>',
    "finishing": '<path d="M3 0V6"/>',
    "holding": '<path d="M3 0V6M0 3H6"/>',
}


def marks() -> str:
    """The definitions that all drawings of a page share; to stand once in the page."""
    patterns = "".join(
        f'<pattern id="mark-{phase}" class="mark" width="6" height="6" patternUnits="userSpaceOnUse">{shape}</pattern>'
        for phase, shape in _MARKS.items()
    )
    return f'<svg class="marks" width="0" height="0" aria-hidden="true" focusable="false"><defs>{patterns}</defs></svg>'


def standalone(found: Sequence[Span], now_s: float, *, title: str, width_px: int = 720) -> str:
    """The waterfall as an SVG file of its own, with its colours inside, for documents and the terminal's users."""
    drawing = gantt(found, now_s, title=title) or '<svg class="timeline" width="100%" height="1"></svg>'
    css = files("picard_pilot.server.pages").joinpath("static/timeline.css").read_text(encoding="utf-8")
    defs = marks().partition("<defs>")[2].partition("</defs>")[0]
    head, _, body = drawing.partition(">")
    head = head.replace('width="100%"', f'width="{width_px}" xmlns="http://www.w3.org/2000/svg"')
    return f"{head}><style>{css}</style><defs>{defs}</defs>{body}\n"
