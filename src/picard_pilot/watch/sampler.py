"""Looking at one job: processes and free space at each look, PSS and the whole directory rarely.

No judgement here: that is `lifecycle.judging`. No look ever holds the pilot, whatever hangs: a file system, or the
memory map of a process.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from picard_pilot.lifecycle.activity import window_for
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.command import ProcessId
from picard_pilot.model.limits import Limit, Measure, limit_on
from picard_pilot.model.states import Phase
from picard_pilot.model.usage import CgroupSample, DirectorySample, PssSample, Sample, TreeSample
from picard_pilot.system import disk
from picard_pilot.system.clock import Clock
from picard_pilot.system.daemon_threads import DaemonThreads
from picard_pilot.watch import cgroups, directory, pss, tree
from picard_pilot.watch.job_files import OWN_FILES
from picard_pilot.watch.reading import CORE_SHARE, Reading

PERIOD_S = 5.0
"""Between two looks: a program that leaks 100 MB/s is seen before it has taken another half gigabyte."""
LONGEST_PAUSE_S = 60.0
"""A tree of more than a thousand processes costs more than its share: too many must be noticed within minutes."""
IO_PERIOD_S = 30.0
"""A third of the cost of a look of a large tree, and its growth over minutes says enough."""
SMALL_TREE = 30
"""So few processes cost nothing: their I/O is seen at each look, and a short job's last half minute is not lost."""
PSS_PERIOD_S = 60.0
DIRECTORY_PERIOD_S = 60.0
"""As often as pilots have looked at them; dearer ones are read less often."""

NEAR_LIMIT = 0.8
"""PSS, and the directory, are read at once when they may have come so near to the limit."""

GROWN_SHARE, GROWN_BYTES = 0.2, 50_000_000
"""And when RSS has grown by a fifth since the last reading, and by 50 MB: from 5 MB to 64 GB that is forty readings."""

QUICK_PATIENCE_S = 10.0
"""A look at /proc or a file takes milliseconds; what takes longer hangs, and is unknown this time."""
SLOW_PATIENCE_S = 1.0
"""A dear reading that takes longer is taken up by the next look."""

PROGRESS_FILE = "payload.progress"
"""A payload that works without a sign of it (a remote computation, a long wait for a lock) touches this file in its
working directory whenever it made progress."""

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to look at now; it changes with the job's phase."""

    phase: Phase
    launcher: ProcessId | None = None
    """Of the payload while it runs."""
    cgroup: Path | None = None
    """The payload's own group."""
    slot_cgroup: Path | None = None
    """Where it has none: the pilot's (`cgroups.memory_group_of`), which tells what the kernel ends in it. What else it
    counts is not the payload's alone."""
    moved_bytes: int | None = None
    """Bytes moved so far by the stage that moves files now, in failed attempts too."""


class _Files(NamedTuple):
    free_bytes: int | None
    outputs: dict[str, int]
    stdout_bytes: int | None
    stderr_bytes: int | None
    declared: int | None


class Sampler:
    """Takes samples of one job."""

    def __init__(
        self,
        bundle: Bundle,
        outputs: Sequence[str],
        subject: Callable[[], Subject],
        limits: Sequence[Limit],
        clock: Clock,
        *,
        period_s: float = PERIOD_S,
    ) -> None:
        """`outputs` are the LFNs of the job's outputs; `subject` is asked at each look."""
        self._bundle, self._outputs, self._subject, self._clock = bundle, tuple(outputs), subject, clock
        memory = limit_on(limits, Measure.MEMORY)
        self._memory_bytes = None if memory is None else memory.value
        room = limit_on(limits, Measure.DIRECTORY)
        self._directory_bytes = None if room is None else room.value
        self._written = 0
        """What the payload had written when the directory was last read."""
        crowd = limit_on(limits, Measure.PROCESSES)
        self._most_processes = float("inf") if crowd is None else crowd.value
        self._period_s = period_s
        quiet = limit_on(limits, Measure.QUIET_TIME)
        # Twice a window at least: an old count would look like no I/O.
        self._io_period_s = min(IO_PERIOD_S, window_for(None if quiet is None else quiet.value) / 2)
        self._threads = DaemonThreads("watch", 4)
        quick = {"period_s": period_s, "patience_s": QUICK_PATIENCE_S}
        self._tree: Reading[tree.Seen | None] = Reading(self._threads, **quick)
        self._files: Reading[_Files] = Reading(self._threads, **quick)
        self._pss: Reading[tuple[ProcessId, PssSample | None]] = Reading(
            self._threads, period_s=PSS_PERIOD_S, patience_s=SLOW_PATIENCE_S
        )
        self._directory: Reading[DirectorySample | None] = Reading(
            self._threads, period_s=DIRECTORY_PERIOD_S, patience_s=SLOW_PATIENCE_S
        )
        self._launcher: ProcessId | None = None
        self._before: TreeSample | None = None
        self._io_at = 0.0

    @property
    def pause_s(self) -> float:
        """How long to wait until the next look, so that looks together cost what they may. Too many processes, which
        make looks dear, are confirmed at once: they end the job."""
        if self._before is not None and self._before.processes > self._most_processes:
            return self._period_s
        stretched_s = (self._tree.cost_s + self._files.cost_s) / CORE_SHARE
        return max(self._period_s, min(stretched_s, LONGEST_PAUSE_S))

    @property
    def spent_s(self) -> dict[str, float]:
        """CPU time that each kind of reading has cost so far."""
        return {
            "tree": self._tree.spent_s,
            "files": self._files.spent_s,
            "pss": self._pss.spent_s,
            "directory": self._directory.spent_s,
        }

    def close(self) -> None:
        """Look no more; what hangs is left to itself."""
        self._threads.close()

    async def look(self) -> Sample:
        """Everything that is to be known now; what cannot be found out is None. Never raises for what it looks at."""
        subject, now = self._subject(), self._clock.monotonic()
        if subject.launcher != self._launcher:
            self._launcher, self._before, self._written = subject.launcher, None, 0
        seen = await self._look_at_tree(now, subject.launcher)
        sample = None if seen is None else tree.never_less(seen.sample, self._before)
        self._before = sample or self._before
        reading = await self._look_at_pss(now, subject.launcher, seen)
        files = await self._files.take(now, self._look_at_files)
        return Sample(
            at=now,
            phase=subject.phase,
            wall_s=None if seen is None or subject.launcher is None else _age_s(subject.launcher),
            tree=sample,
            pss=reading,
            cgroup=_group(subject),
            directory=await self._look_at_directory(now, sample),
            free_bytes=None if files is None else files.free_bytes,
            outputs={} if files is None else files.outputs,
            stdout_bytes=None if files is None else files.stdout_bytes,
            stderr_bytes=None if files is None else files.stderr_bytes,
            declared=None if files is None else files.declared,
            moved_bytes=subject.moved_bytes,
        )

    async def _look_at_tree(self, now: float, launcher: ProcessId | None) -> tree.Seen | None:
        if launcher is None:
            return None
        small = self._before is None or self._before.processes <= SMALL_TREE
        with_io = small or now - self._io_at >= self._io_period_s
        if with_io:
            self._io_at = now
        return await self._tree.take(now, lambda: tree.look(launcher, with_io=with_io))

    async def _look_at_pss(
        self, now: float, launcher: ProcessId | None, seen: tree.Seen | None
    ) -> PssSample | None:
        """The newest reading of this payload."""
        self._pss.collect(now)
        last = self._last_pss(launcher)
        if launcher is None or seen is None or not seen.pids:
            return last
        urgent = last is None or self._is_near_limit(seen.sample, last) or _has_grown(seen.sample, last)
        if self._pss.due(now, urgent=urgent):
            rss_bytes = seen.sample.rss_bytes
            await self._pss.take(now, lambda: (launcher, pss.read(seen.pids, now, rss_bytes)))
        return self._last_pss(launcher)

    def _last_pss(self, launcher: ProcessId | None) -> PssSample | None:
        if self._pss.last is None or self._pss.last[0] != launcher:
            return None
        return self._pss.last[1]

    def _is_near_limit(self, sample: TreeSample, last: PssSample) -> bool:
        """RSS is never less than PSS; since the last reading PSS has hardly grown by more than RSS.

        It can where workers write to pages that they shared: that is for the regular readings to find.
        """
        if self._memory_bytes is None:
            return False
        grown = max(0, sample.rss_bytes - last.rss_bytes)
        most = min(sample.rss_bytes, last.pss_bytes + grown) + last.swap_bytes
        return most >= NEAR_LIMIT * self._memory_bytes

    def _may_be_full(self, written_bytes: int) -> bool:
        """Whether the directory has come near its limit since it was read, if all was written there."""
        last = self._directory.last
        if self._directory_bytes is None or last is None or written_bytes <= 0:
            return False
        return last.size_bytes + written_bytes >= NEAR_LIMIT * self._directory_bytes

    async def _look_at_directory(self, now: float, seen: TreeSample | None) -> DirectorySample | None:
        self._directory.collect(now)
        written = 0 if seen is None or seen.io is None else seen.io.wchar
        if self._directory.due(now, urgent=self._may_be_full(written - self._written)):
            self._written = written
            own = (Path(self._bundle.private).name, *OWN_FILES)
            top = Path(self._bundle.directory)
            await self._directory.take(now, lambda: directory.measure(top, now, not_progress=own))
        return self._directory.last

    def _look_at_files(self) -> _Files:
        top = self._bundle.directory
        try:
            free: int | None = disk.free_bytes(Path(top))
        except OSError:
            free = None
        sizes = {lfn: _status(f"{top}/{lfn}") for lfn in self._outputs}
        out, err = _status(self._bundle.stdout), _status(self._bundle.stderr)
        word = _status(f"{top}/{PROGRESS_FILE}")
        return _Files(
            free_bytes=free,
            outputs={lfn: status.st_size for lfn, status in sizes.items() if status is not None},
            stdout_bytes=None if out is None else out.st_size,
            stderr_bytes=None if err is None else err.st_size,
            declared=None if word is None else word.st_mtime_ns,
        )


def _has_grown(sample: TreeSample, last: PssSample) -> bool:
    """Whether RSS is so much larger that the reading says nothing of the present: it was one of the payload's first
    moments, and a job of a minute would have none but that."""
    return sample.rss_bytes - last.rss_bytes >= max(GROWN_SHARE * last.rss_bytes, GROWN_BYTES)


def _age_s(launcher: ProcessId) -> float:
    """Seconds since a process of this boot began."""
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - launcher.start_ticks / _TICKS_PER_S)


def _group(subject: Subject) -> CgroupSample | None:
    if subject.cgroup is not None:
        return cgroups.read(subject.cgroup)
    found = None if subject.slot_cgroup is None else cgroups.read(subject.slot_cgroup)
    if found is None:
        return None
    return CgroupSample(limit_bytes=found.limit_bytes, oom_kills=found.oom_kills)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None
