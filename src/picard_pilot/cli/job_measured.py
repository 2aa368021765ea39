"""What was measured of a job, in words with units. The names under which servers keep it are `wire`'s."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from picard_pilot.cli.moments import duration, size
from picard_pilot.cli.screen import clean
from picard_pilot.model.cost import Saving
from picard_pilot.wire.cost import KEYS as COST_KEYS
from picard_pilot.wire.cost import cost_in
from picard_pilot.wire.ending import without_ending
from picard_pilot.wire.error_notes import without_error
from picard_pilot.wire.progress import pairs_in, without_progress
from picard_pilot.wire.usage_now import without_now

Usage = Mapping[str, int | float | str]

_KB_BYTES = 1024
"""Memory comes in the kernel's kB, and a server keeps what was read and written in kB too."""

_MEMORY = {"rss": "RSS", "pss": "PSS", "vmem": "virtual memory", "swap": "swap"}

_PASSED = {
    "rchar": "read by calls",
    "wchar": "written by calls",
    "rbytes": "read from storage",
    "wbytes": "written to storage",
}

_TIMES = ("getting the job", "stage-in", "payload", "stage-out", "starting the pilot", "set-up")
"""The order of the server's `pilot_timing`."""

_PHASE_SINCE = "phaseSince"
"""Told by the job's history already."""


def measured(usage: Usage) -> list[str]:
    """One phrase for each thing that is known; progress of files is told elsewhere."""
    left = {name: value for name, value in usage.items() if value != ""}
    return [*_work(left), *_memory(left), *_moved(left), *_times(left), *_metrics(left), *_others(left)]


def _work(left: dict[str, int | float | str]) -> Iterator[str]:
    unit = str(left.pop("cpu_consumption_unit", "s"))
    if (spent := left.pop("cpu_consumption_time", None)) is not None:
        seconds = _number(spent) if unit == "s" else None
        yield f"CPU time {clean(f'{spent} {unit}') if seconds is None else duration(seconds)}"
    for name, words in (
        ("cpu_conversion_factor", "CPU conversion factor"),
        ("cpu_architecture_level", "CPU architecture"),
        ("core_count", "cores"),
        ("mean_core_count", "cores on average"),
        ("n_events", "events"),
        ("n_input_files", "input files"),
    ):
        if (value := left.pop(name, None)) is not None:
            yield f"{words} {clean(str(value))}"


def _memory(left: dict[str, int | float | str]) -> Iterator[str]:
    for name, words in _MEMORY.items():
        most, mean = (_number(left.pop(f"{kind}_{name}", None)) for kind in ("max", "avg"))
        told = [
            f"{size(int(value * _KB_BYTES))} {how}"
            for value, how in ((most, "at most"), (mean, "on average"))
            if value is not None
        ]
        if told:
            yield f"{words} {' and '.join(told)}"


def _moved(left: dict[str, int | float | str]) -> Iterator[str]:
    for name, words in _PASSED.items():
        total, rate = (_number(left.pop(f"{kind}_{name}", None)) for kind in ("tot", "rate"))
        told = [size(int(total * _KB_BYTES))] if total is not None else []
        told += [f"{size(int(rate * _KB_BYTES))}/s"] if rate is not None else []
        if told:
            yield f"{words} {' at '.join(told)}"


def _times(left: dict[str, int | float | str]) -> Iterator[str]:
    for name, words in (("reported_start", "begun at"), ("reported_end", "ended at")):
        if (value := left.pop(name, None)) is not None:
            yield f"{words} {clean(str(value))} UTC"
    spent = [_number(text) for text in str(left.get("pilot_timing", "")).split("|")]
    if len(spent) == len(_TIMES):
        del left["pilot_timing"]
        for words, seconds in zip(_TIMES, spent, strict=True):
            if seconds is not None:
                yield f"{words} {duration(seconds)}"


def _metrics(left: dict[str, int | float | str]) -> Iterator[str]:
    text = without_error(without_ending(str(left.pop("job_metrics", ""))))
    pairs = pairs_in(without_now(without_progress(text)))
    pairs.pop(_PHASE_SINCE, None)
    yield from _cost(pairs)
    known: tuple[tuple[str, str, Callable[[int], str]], ...] = (
        ("stdoutBytes", "stdout", size),
        ("stderrBytes", "stderr", size),
        ("remainingTime", "left in the slot", duration),
    )
    for name, words, shown in known:
        if (value := _number(pairs.get(name))) is not None:
            del pairs[name]
            yield f"{words} {shown(int(value))}"
    for name, text in pairs.items():
        if name not in COST_KEYS:
            yield clean(f"{name} {text}")


def _cost(pairs: Mapping[str, str]) -> Iterator[str]:
    spent = cost_in(pairs, 1, None)
    if spent is None:
        return
    for words, count in (("copied in", spent.bytes_in), ("stored", spent.bytes_out)):
        if count:
            yield f"{words} {size(count)}"
    if spent.saved_by:
        yield f"saved by {' and '.join(_SAVED[one] for one in spent.saved_by)}"
    if spent.spared:
        yield f"{spent.spared} requests to sick storages not made"


_SAVED = {Saving.RECOVERY: "a later pilot", Saving.ALTERNATIVE: "an alternative storage"}


def _others(left: dict[str, int | float | str]) -> Iterator[str]:
    for name, value in left.items():
        yield clean(f"{name.replace('_', ' ')} {value}")


def _number(value: int | float | str | None) -> float | None:
    """None where it is none that could have been measured."""
    try:
        number = None if value is None else float(value)
    except ValueError:
        return None
    return number if number is not None and 0 <= number < float("inf") else None
