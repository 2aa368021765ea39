"""What a payload has used in all: largest and mean values, for the heartbeat and for memory_monitor_summary.json.

The file has the names and units of prmon, which dashboards and brokers read: kB for memory, bytes for I/O, seconds.
"""

from typing import Annotated

import msgspec

from picard_pilot.model.bundle import Bundle
from picard_pilot.model.report import UsageSummary
from picard_pilot.model.usage import Sample
from picard_pilot.watch.job_files import SUMMARY_FILE, get, put

_KB = 1024
_RATES = ("rchar", "wchar", "read_bytes", "write_bytes")
_MEMORY = ("vmem", "pss", "rss", "swap")

Value = Annotated[int, msgspec.Meta(ge=0, le=10**18)] | Annotated[float, msgspec.Meta(ge=0, le=1e18)]
"""A payload may have written the file that is read: what is beyond this is no number of a job."""


class _Kept(msgspec.Struct, kw_only=True):
    """The file's content. A name that is missing was never known."""

    Max: dict[str, Value] = {}
    Avg: dict[str, Value] = {}
    picard: dict[str, Value] = {}
    """For how many seconds each mean was watched, so that a later pilot goes on with it."""


class Summary:
    """The values of one payload so far; samples without one change nothing."""

    def __init__(self) -> None:
        self._max: dict[str, Value] = {}
        self._sums: dict[str, float] = {}
        """Values times the seconds for which they held."""
        self._seconds: dict[str, float] = {}
        self._last: Sample | None = None

    def add(self, sample: Sample) -> None:
        """Take one sample in."""
        before, self._last = self._last, sample
        if sample.tree is None:
            return
        tree, io = sample.tree, sample.tree.io
        held_s = 0.0 if before is None or before.tree is None else sample.at - before.at
        for name, value in (
            ("vmem", tree.vmem_bytes // _KB),
            ("rss", tree.rss_bytes // _KB),
            ("nprocs", tree.processes),
            ("nthreads", tree.threads),
        ):
            self._take(name, value, held_s)
        if sample.pss is not None:
            self._take("pss", sample.pss.pss_bytes // _KB, held_s)
            self._take("swap", sample.pss.swap_bytes // _KB, held_s)
        self._rise("utime", round(tree.cpu_user_s))
        self._rise("stime", round(tree.cpu_system_s))
        if sample.wall_s is not None:
            self._rise("wtime", round(sample.wall_s))
        if io is not None and not tree.io_unread:
            for name in _RATES:
                self._rise(name, getattr(io, name))

    def usage(self) -> UsageSummary:
        """The values for the heartbeat; None for what was never known."""
        most, mean = self._max, self._means()
        last = self._last
        cpu_s = [most[name] for name in ("utime", "stime") if name in most]
        return UsageSummary(
            cpu_time_s=round(sum(cpu_s)) if cpu_s else None,
            **{f"max_{name}_kb": _whole(most.get(name)) for name in _MEMORY},
            **{f"avg_{name}_kb": _whole(mean.get(name)) for name in _MEMORY},
            **{f"total_{name}": _whole(most.get(name)) for name in _RATES},
            **{f"rate_{name}": _whole(mean.get(name)) for name in _RATES},
            stdout_bytes=None if last is None else last.stdout_bytes,
            stderr_bytes=None if last is None else last.stderr_bytes,
        )

    def encode(self) -> bytes:
        """The text of the file."""
        kept = _Kept(
            Max=dict(sorted(self._max.items())),
            Avg={name: round(value, 1) for name, value in sorted(self._means().items())},
            picard={name: round(value, 1) for name, value in sorted(self._seconds.items())},
        )
        return msgspec.json.format(msgspec.json.encode(kept), indent=2) + b"\n"

    def write(self, bundle: Bundle) -> None:
        """Replace the file in the job's directory. Raises OSError."""
        put(bundle, SUMMARY_FILE, self.encode())

    @classmethod
    def resume(cls, bundle: Bundle) -> "Summary":
        """Go on with the file that an earlier pilot left; begin anew where there is none that can be read."""
        summary = cls()
        try:
            kept = msgspec.json.decode(get(bundle, SUMMARY_FILE), type=_Kept)
        except (ValueError, RecursionError):
            return summary
        summary._max = dict(kept.Max)
        for name, seconds in kept.picard.items():
            if name in kept.Avg and name in kept.Max:
                summary._seconds[name] = float(seconds)
                summary._sums[name] = float(kept.Avg[name]) * float(seconds)
        return summary

    def _take(self, name: str, value: int, held_s: float) -> None:
        self._rise(name, value)
        self._sums[name] = self._sums.get(name, 0.0) + value * held_s
        self._seconds[name] = self._seconds.get(name, 0.0) + held_s

    def _rise(self, name: str, value: Value) -> None:
        self._max[name] = max(value, self._max.get(name, value))

    def _means(self) -> dict[str, float]:
        """Means of what goes up and down; of counters the rate per second."""
        means = {
            name: self._sums[name] / held_s if held_s > 0 else float(self._max[name])
            for name, held_s in self._seconds.items()
        }
        wall_s = self._max.get("wtime", 0)
        if wall_s > 0:
            means |= {name: self._max[name] / wall_s for name in _RATES if name in self._max}
        return means


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
