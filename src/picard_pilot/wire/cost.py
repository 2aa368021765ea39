"""What a job has cost as pairs of `job_metrics`, written by the pilot with its final report and read by the monitor.

A server that knows nothing of them keeps and shows them as they are. Whom it was lost to is told by the report's codes.
"""

from collections.abc import Mapping

from picard_pilot.model.cost import COSTLY, Cost, Saving
from picard_pilot.model.states import Phase

WALL, BYTES_IN, BYTES_OUT, SAVED, SPARED = "costWall", "bytesIn", "bytesOut", "savedBy", "triesSpared"
KEYS = frozenset({WALL, BYTES_IN, BYTES_OUT, SAVED, SPARED})

_MOST = 10**15
"""No number of a job is larger: a petabyte, or the seconds of thirty million years."""


def pairs_of(cost: Cost) -> dict[str, str]:
    """`costWall=0.12/1.01/12.50/3600.22/12.00/0.41 bytesIn=1000 ...`: seconds in the phases of `COSTLY` in their order.

    Zeros of the others are left out; some 100 of the 500 characters that a server keeps.
    """
    pairs = {WALL: "/".join(f"{cost.wall_s.get(phase, 0.0):.2f}" for phase in COSTLY)}
    for key, count in ((BYTES_IN, cost.bytes_in), (BYTES_OUT, cost.bytes_out), (SPARED, cost.spared)):
        if count:
            pairs[key] = str(count)
    if cost.saved_by:
        pairs[SAVED] = "+".join(cost.saved_by)
    return pairs


def cost_in(pairs: Mapping[str, str], cores: int, cpu_s: float | None) -> Cost | None:
    """What the pairs tell, with the report's own cores and CPU time; None where they tell no slot time."""
    parts = [_seconds(part) for part in pairs.get(WALL, "").split("/")]
    wall_s: dict[Phase, float] = {}
    if len(parts) != len(COSTLY):
        return None
    for phase, seconds in zip(COSTLY, parts, strict=True):
        if seconds is None:
            return None
        wall_s[phase] = seconds
    words = pairs.get(SAVED, "").split("+")
    return Cost(
        cores=max(1, cores),
        wall_s=wall_s,
        cpu_s=cpu_s,
        bytes_in=_whole(pairs.get(BYTES_IN, "")),
        bytes_out=_whole(pairs.get(BYTES_OUT, "")),
        saved_by=tuple(saving for saving in Saving if saving in words),
        spared=_whole(pairs.get(SPARED, "")),
    )


def without_cost(metrics: str) -> str:
    """The `job_metrics` text without these pairs."""
    return " ".join(word for word in metrics.split() if word.partition("=")[0] not in KEYS)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(_MOST)):
        return 0
    return min(int(text), _MOST)


def _seconds(text: str) -> float | None:
    whole, dot, parts = text.partition(".")
    if not (whole.isascii() and whole.isdigit() and parts.isascii() and parts.isdigit() and dot):
        return None
    return float(text) if len(text) <= len(str(_MOST)) else None
