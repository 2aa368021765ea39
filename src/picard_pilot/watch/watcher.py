"""Watching one job: look, remember, judge, again; a broken limit comes out as a value.

What a breach does to the job is for the caller; how samples are taken is `sampler`.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import msgspec

from picard_pilot.lifecycle.activity import Quiet
from picard_pilot.lifecycle.judging import History, judge, kernel_evidence, kernel_kills, remember
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.limits import Breach, Limit, Measure
from picard_pilot.model.usage import CgroupSample, Sample, UsageNow
from picard_pilot.system.clock import Clock
from picard_pilot.watch.series import Series
from picard_pilot.watch.summary import Summary

_KB = 1024


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
        self._now: UsageNow | None = None
        self._read_at: tuple[float | None, float | None] = (None, None)
        """When the PSS and the directory of `_now` were read."""
        self._told_at: tuple[float | None, float | None] = (None, None)
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
        if (now := usage_now(sample, self.history.quiet)) is not None:
            self._now = now
            self._read_at = (
                None if sample.pss is None else sample.pss.at,
                None if sample.directory is None else sample.directory.at,
            )
        self.summary.add(sample)
        self.series.add(sample, self._clock.now_utc())
        self.take_group(sample.cgroup)

    def take_now(self) -> UsageNow | None:
        """The newest look at the payload, to be told; None before the first. What is read rarely is told once, so that
        no curve shows an old reading as a new one."""
        now, told_at, self._told_at = self._now, self._told_at, self._read_at
        if now is None:
            return None
        if told_at[0] == self._read_at[0]:
            now = msgspec.structs.replace(now, pss_kb=None, swap_kb=None)
        if told_at[1] == self._read_at[1]:
            now = msgspec.structs.replace(now, directory_bytes=None)
        return now

    def take_group(self, group: CgroupSample | None) -> None:
        """Remember the group's account. Once more after the payload's end, before the group is removed: what the kernel
        ended was hardly seen by a look."""
        if group is None:
            return
        self._group_now = group
        if self._group_before is None:
            self._group_before = group

    def begin_group(self, before: CgroupSample) -> None:
        """From here on the samples' group is another: what it ends counts since `before`."""
        self._group_before = self._group_now = before

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


def usage_now(sample: Sample, quiet: Quiet) -> UsageNow | None:
    """A sample as it is told and drawn; None where no payload was seen."""
    tree, pss, directory = sample.tree, sample.pss, sample.directory
    if tree is None or sample.wall_s is None:
        return None
    return UsageNow(
        wall_s=sample.wall_s,
        cpu_s=tree.cpu_s,
        rss_kb=tree.rss_bytes // _KB,
        pss_kb=None if pss is None else pss.pss_bytes // _KB,
        swap_kb=None if pss is None else pss.swap_bytes // _KB,
        processes=tree.processes,
        directory_bytes=None if directory is None else directory.size_bytes,
        free_bytes=sample.free_bytes,
        output_bytes=max(sample.outputs.values(), default=None),
        quiet_s=quiet.quiet_s,
        spinning_s=quiet.spinning_s,
    )
