"""Whether a job shows a sign of life: CPU time, I/O, files, bytes that a stage moves, and its own word. Pure.

How long it may show none is `limits`.
"""

from typing import NamedTuple

import msgspec

from picard_pilot.model.states import Phase
from picard_pilot.model.usage import Sample

WINDOW_S = 300.0
"""Activity is measured over five minutes: a stuck program that polls each minute has bursts, but no work."""

WINDOWS_PER_LIMIT = 4
"""A shorter limit is measured in at least so many windows."""

IDLE_CORE_SHARE = 0.01
"""Less CPU than this share of its cores is none: a program that waits and polls was seen at 0.2 % of one core."""

BUSY_CORES = 0.5
"""So much CPU is work on any number of cores: a job of 128 cores may merge its outputs with one."""

IDLE_IO_BYTES_S = 10_000.0
"""Less I/O than this per second and core is none: a shell that asks for something each second reads as much only to
load its programs."""

BUSY_IO_BYTES_S = 100_000.0
"""So much I/O per second is work on any number of cores."""


LONGEST_WINDOWS = 2
"""No window counts for more than two: what is longer was a pause in which nobody looked, such as a suspended slot."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What the counters said when a window began; None where they were not known."""

    at: float
    cpu_s: float | None = None
    io_bytes: int | None = None
    stamp: int | None = None
    stamp_at: float | None = None
    """When the directory was read: the same reading twice tells nothing."""
    declared: int | None = None
    moved_bytes: int | None = None


class Quiet(msgspec.Struct, frozen=True, kw_only=True):
    """For how long a job has shown no sign of life, as far as could be seen.

    Time in which nobody looked (the whole slot was suspended) and time in which too little could be seen do not count.
    """

    phase: Phase | None = None
    mark: Mark | None = None
    quiet_s: float = 0.0
    """Nothing at all moved."""
    spinning_s: float = 0.0
    """CPU time passed at most: no I/O, no file, no word."""
    seen: str = ""
    """What the last window showed, for people."""


def observe(quiet: Quiet, sample: Sample, *, cores: int, window_s: float = WINDOW_S) -> Quiet:
    """The quiet times once this sample is seen too. Another phase begins anew."""
    if quiet.phase is not sample.phase or quiet.mark is None:
        return Quiet(phase=sample.phase, mark=_mark(sample))
    elapsed = sample.at - quiet.mark.at
    if elapsed < window_s:
        return quiet
    now = _mark(sample)
    signs = _signs(quiet.mark, now, elapsed, max(1, cores))
    counted = min(elapsed, LONGEST_WINDOWS * window_s) if signs.tell else 0.0
    return Quiet(
        phase=sample.phase,
        mark=now,
        quiet_s=0.0 if signs.moved or signs.cpu else quiet.quiet_s + counted,
        spinning_s=0.0 if signs.moved else quiet.spinning_s + counted,
        seen=_words(quiet.mark, now, elapsed),
    )


def window_for(limit_s: float | None) -> float:
    """How long a window is, where a job may be quiet for so long."""
    return WINDOW_S if limit_s is None else min(WINDOW_S, limit_s / WINDOWS_PER_LIMIT)


class _Signs(NamedTuple):
    """Per kind whether there was a sign of life; None where that is not known."""

    cpu: bool | None
    io: bool | None
    files: bool | None
    stage: bool | None
    word: bool

    @property
    def moved(self) -> bool:
        """There was one that a program without an aim does not give."""
        return bool(self.io or self.files or self.stage or self.word)

    @property
    def tell(self) -> bool:
        """Enough is known to call it quiet: of a stage its bytes, of a payload its CPU time and one thing more."""
        if self.stage is not None:
            return True
        return self.cpu is not None and (self.io is not None or self.files is not None)


def _mark(sample: Sample) -> Mark:
    tree, directory = sample.tree, sample.directory
    whole = directory if directory is not None and directory.whole else None
    return Mark(
        at=sample.at,
        cpu_s=None if tree is None else tree.cpu_s,
        # A part that is not seen may move: then nobody knows.
        io_bytes=None if tree is None or tree.io is None or tree.io_unread else tree.io.passed,
        stamp=None if whole is None else whole.stamp,
        stamp_at=None if whole is None else whole.at,
        declared=sample.declared,
        moved_bytes=sample.moved_bytes,
    )


def _signs(before: Mark, now: Mark, elapsed: float, cores: int) -> _Signs:
    cpu, io = _grown(before.cpu_s, now.cpu_s), _grown(before.io_bytes, now.io_bytes)
    stage = _grown(before.moved_bytes, now.moved_bytes)
    return _Signs(
        cpu=None if cpu is None else cpu / elapsed >= min(IDLE_CORE_SHARE * cores, BUSY_CORES),
        io=None if io is None else io / elapsed >= min(IDLE_IO_BYTES_S * cores, BUSY_IO_BYTES_S),
        files=_files_changed(before, now),
        stage=None if stage is None else stage != 0,
        # That no word was given says nothing: hardly any payload gives one.
        word=now.declared is not None and now.declared != before.declared,
    )


def _files_changed(before: Mark, now: Mark) -> bool | None:
    if before.stamp is None or now.stamp is None or before.stamp_at == now.stamp_at:
        return None
    return before.stamp != now.stamp


def _grown(before: float | None, now: float | None) -> float | None:
    return None if before is None or now is None else now - before


def _words(before: Mark, now: Mark, elapsed: float) -> str:
    cpu, io = _grown(before.cpu_s, now.cpu_s), _grown(before.io_bytes, now.io_bytes)
    stage, files = _grown(before.moved_bytes, now.moved_bytes), _files_changed(before, now)
    parts = [
        "CPU not known" if cpu is None else f"{cpu:.1f} s of CPU",
        "I/O not known" if io is None else f"{io / 1000:.0f} kB read and written",
        "files not known" if files is None else "files changed" if files else "no file changed",
    ]
    if stage is not None:
        parts = [f"{stage / 1000:.0f} kB moved"]
    return f"in the last {elapsed:.0f} s: " + ", ".join(parts)
