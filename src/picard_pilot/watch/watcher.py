"""Watching one job: look, remember, judge, again; a broken limit comes out as a value.

What a breach does to the job is for the caller; how samples are taken is `sampler`.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from picard_pilot.lifecycle.judging import History, judge, kernel_evidence, kernel_kills, remember
from picard_pilot.lifecycle.limits import Breach, Limit, Measure
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.usage import CgroupSample, Sample
from picard_pilot.system.clock import Clock
from picard_pilot.watch.series import Series
from picard_pilot.watch.summary import Summary


class Looks(Protocol):
    """Whoever takes samples: `sampler.Sampler`, or a test."""

    @property
    def pause_s(self) -> float:
        """How long to wait until the next look."""

    async def look(self) -> Sample:
        """The job now."""


class Watcher:
    """One job's watcher. What it knows so far (`history`, `summary`, `series` ...) may be read at any time."""

    def __init__(
        self,
        looks: Looks,
        limits: Sequence[Limit],
        clock: Clock,
        *,
        cores: int,
        summary: Summary,
        series: Series,
        group_before: CgroupSample | None = None,
    ) -> None:
        """`cores` are those of the job; `summary` and `series` go on with what was seen before.

        What the kernel ended since `group_before` counts, the control group's account before the payload began; None:
        since the first sample's.
        """
        self._looks = looks
        self._limits = tuple(limits)
        self._clock = clock
        self._cores = cores
        self._group_before = group_before
        self._group_now: CgroupSample | None = None
        self.history = History()
        self.summary = summary
        self.series = series

    async def breaches(self) -> AsyncGenerator[Breach, None]:
        """Look until cancelled. Each limit is reported once; others may break while the job is being stopped."""
        told: set[Measure] = set()
        while True:
            sample = await self._looks.look()
            self.add(sample)
            while (breach := judge(self.history, self._open(told))) is not None:
                told.add(breach.limit.measure)
                yield breach
            await self._clock.sleep(self._looks.pause_s)

    def add(self, sample: Sample) -> None:
        """Remember a sample; `breaches` does it with each of its own."""
        self.history = remember(self.history, sample, self._limits, cores=self._cores)
        self.summary.add(sample)
        self.series.add(sample, self._clock.now_utc())
        self.take_group(sample.cgroup)

    def take_group(self, group: CgroupSample | None) -> None:
        """Remember the group's account. Once more after the payload's end, before the group is removed: what the kernel
        ended was hardly seen by a look."""
        if group is None:
            return
        self._group_now = group
        if self._group_before is None:
            self._group_before = group

    def write(self, bundle: Bundle) -> None:
        """Bring the files in the job's directory up to date. Raises OSError."""
        self.summary.write(bundle)
        self.series.write(bundle)

    @property
    def kernel_kills(self) -> int | None:
        """Processes that the kernel ended for lack of memory since the payload began; None if that is not known."""
        return kernel_kills(self._group_before, self._group_now)

    @property
    def kernel_evidence(self) -> tuple[str, ...]:
        """The facts of a lack of memory, for a fault's evidence; empty where the kernel ended nothing."""
        return kernel_evidence(self._group_before, self._group_now)

    def _open(self, told: set[Measure]) -> tuple[Limit, ...]:
        return tuple(limit for limit in self._limits if limit.measure not in told)
