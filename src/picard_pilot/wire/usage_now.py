"""What a payload uses now as pairs of `job_metrics`, written by the pilot and read by the monitor.

A server that knows nothing of them keeps and shows them as they are; largest and mean values have fields of their own.
"""

from collections.abc import Mapping

from picard_pilot.model.usage import UsageNow

PREFIX = "now"
"""Of each key, so that no experiment's own metric is meant."""

_KEYS = {
    "wall_s": "nowWall",
    "cpu_s": "nowCpu",
    "rss_kb": "nowRss",
    "pss_kb": "nowPss",
    "swap_kb": "nowSwap",
    "processes": "nowProcs",
    "directory_bytes": "nowDir",
    "free_bytes": "nowFree",
    "output_bytes": "nowOutput",
    "quiet_s": "nowQuiet",
    "spinning_s": "nowSpinning",
}
_SECONDS = frozenset({"wall_s", "cpu_s", "quiet_s", "spinning_s"})

_MOST = 10**15
"""No number of a job is larger: a petabyte, or the seconds of thirty million years."""


def pairs_of(now: UsageNow) -> dict[str, str]:
    """`nowWall=61.2 nowCpu=118.4 nowRss=1400000 ...` in seconds, kB (memory) and bytes (disk).

    What is not known, and a quiet time of zero, is left out; some 150 of the 500 characters that a server keeps.
    """
    pairs = {}
    for name, key in _KEYS.items():
        value = getattr(now, name)
        if value is None or (value == 0 and name in ("quiet_s", "spinning_s")):
            continue
        pairs[key] = f"{value:.1f}".removesuffix(".0") if name in _SECONDS else str(value)
    return pairs


def now_in(pairs: Mapping[str, str]) -> UsageNow | None:
    """What the pairs tell; None where they do not tell when that was."""
    wall_s = _seconds(pairs.get(_KEYS["wall_s"], ""))
    if wall_s is None:
        return None
    found = {
        name: _seconds(pairs.get(key, "")) if name in _SECONDS else _whole(pairs.get(key, ""))
        for name, key in _KEYS.items()
    }
    for name in ("quiet_s", "spinning_s"):
        found[name] = found[name] or 0.0
    return UsageNow(**{**found, "wall_s": wall_s})  # type: ignore[arg-type]


def without_now(metrics: str) -> str:
    """The `job_metrics` text without these pairs."""
    keys = frozenset(_KEYS.values())
    return " ".join(word for word in metrics.split() if word.partition("=")[0] not in keys)


def _whole(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(_MOST)):
        return None
    return min(int(text), _MOST)


def _seconds(text: str) -> float | None:
    whole, _, tenths = text.partition(".")
    seconds = _whole(whole)
    if seconds is None or not (tenths == "" or (tenths.isascii() and tenths.isdigit() and len(tenths) < 4)):
        return None
    return float(text)
