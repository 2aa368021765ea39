"""A measured figure and the table in which figures are printed. Nothing is measured or judged here."""

import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_COLUMNS = f"{'n':>5}{'min':>10}{'p50':>10}{'p95':>10}{'max':>10}  "


class Figure(NamedTuple):
    """What was measured, each single value, their unit, and what is aimed at (empty: a reference)."""

    what: str
    values: Sequence[float]
    unit: str
    target: str = ""

    def line(self) -> str:
        """One line of the table."""
        values = sorted(self.values)
        if not values:
            return f"{self.what:<58}    no value: see above"
        shown = [values[0], statistics.median(values), p95(values), values[-1]]
        if len(values) == 1:
            return (
                f"{self.what:<58}{1:>5}{'':>10}{_short(values[0]):>10}{'':>20}  {self.unit:<8} {self.target}"
            )
        columns = "".join(f"{_short(value):>10}" for value in shown)
        return f"{self.what:<58}{len(values):>5}{columns}  {self.unit:<8} {self.target}"


def p95(values: Sequence[float]) -> float:
    """The value below which 95 % of them lie; the largest of a few."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


def print_table(title: str, figures: Iterable[Figure]) -> None:
    """Print figures under a title, at once: a benchmark that is interrupted has still said what it knows."""
    print(f"\n{title:<58}{_COLUMNS}{'unit':<8} target")
    for figure in figures:
        print(figure.line(), flush=True)


def _short(value: float) -> str:
    """Three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
