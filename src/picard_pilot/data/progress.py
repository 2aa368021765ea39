"""Measuring how far a stage is: files, bytes, the rate of the last seconds, and what is left of it.

Pure: the clock comes in. Whom it is told is `pilot`; how it reads is `model.progress`.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping

from picard_pilot.model.progress import StageProgress

RATE_WINDOW_S = 20.0
"""The rate is that of the last 20 s: long enough to be steady, short enough to show a storage that stops."""

SAMPLE_S = 0.5
"""How far apart the samples of the rate are at least, however many files report: 40 of them in a window."""

RATE_AFTER_S = 0.5
"""A rate from less than this is none."""


class Progress:
    """The progress of one stage of one job; told by transfers, asked by whoever shows it."""

    def __init__(
        self,
        sizes: Mapping[str, int | None],
        monotonic: Callable[[], float],
        done: Collection[str] = (),
    ) -> None:
        """`sizes` by LFN of all files of the stage, None where unknown; those in `done` are through already."""
        self._sizes = dict(sizes)
        self._monotonic = monotonic
        self._done = {lfn for lfn in done if lfn in self._sizes}
        self._partly: dict[str, int] = {}
        """Bytes of the present attempt, of files under way."""
        self._moved_bytes = 0
        """All that moved, in failed attempts too: what the rate is made of."""
        # Kept as sums: a stage may have ten thousand files, and is asked twice a second for each under way.
        self._done_bytes = sum(self._sizes[lfn] or 0 for lfn in self._done)
        self._known_bytes = sum(size for size in self._sizes.values() if size is not None)
        self._unknown = sum(size is None for size in self._sizes.values())
        self._samples: deque[tuple[float, int]] = deque([(monotonic(), 0)])

    def passed(self, lfn: str, passed_bytes: int) -> None:
        """So many bytes of the file have passed in its present attempt. A smaller number than before: a new one."""
        before = self._partly.get(lfn, 0)
        self._partly[lfn] = passed_bytes
        self._move(passed_bytes - before if passed_bytes >= before else passed_bytes)

    def failed(self, lfn: str) -> None:
        """The file's present attempt came to nothing; its bytes do not count as done."""
        self._partly.pop(lfn, None)

    def finished(self, lfn: str, size_bytes: int | None = None, *, moved: bool = True) -> None:
        """The file is through; without `moved` its bytes stay where they are, which says nothing about the rate."""
        before = self._partly.pop(lfn, 0)
        if lfn not in self._sizes or lfn in self._done:
            return
        expected = self._sizes[lfn]
        size = expected if size_bytes is None else size_bytes
        if expected is None and size is not None:
            self._unknown -= 1
        self._known_bytes += (size or 0) - (expected or 0)
        self._sizes[lfn] = size
        self._done.add(lfn)
        self._done_bytes += size or 0
        if moved and size is not None:
            self._move(max(0, size - before))

    def view(self) -> StageProgress:
        """How far it is now."""
        bytes_done = self._done_bytes + sum(
            min(passed, size) if (size := self._sizes.get(lfn)) is not None else passed
            for lfn, passed in self._partly.items()
        )
        bytes_total = None if self._unknown else self._known_bytes
        rate = self._rate()
        left_s = None
        if bytes_total is not None and rate:
            left_s = max(0, bytes_total - bytes_done) / rate
        return StageProgress(
            files_done=len(self._done),
            files_total=len(self._sizes),
            bytes_done=bytes_done,
            bytes_total=bytes_total,
            rate_bytes_s=rate,
            left_s=left_s,
        )

    def _move(self, count: int) -> None:
        self._moved_bytes += count
        now = self._monotonic()
        if now - self._samples[-1][0] >= SAMPLE_S:
            self._samples.append((now, self._moved_bytes))
            self._forget(now)

    def _forget(self, now: float) -> None:
        """Keep one sample from before the window, at which it begins."""
        while len(self._samples) > 1 and self._samples[1][0] <= now - RATE_WINDOW_S:
            self._samples.popleft()

    def _rate(self) -> float | None:
        now = self._monotonic()
        self._forget(now)
        began, moved_before = self._samples[0]
        if now - began < RATE_AFTER_S:
            return None
        return (self._moved_bytes - moved_before) / (now - began)
