"""What was seen of a job at one moment: its processes, their memory, its directory, its control group.

Unknown is None. Measuring is `watch`; what a measured value means against a limit is `lifecycle.limits`.
"""

import msgspec

from picard_pilot.model.states import Phase


class ToldLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of a job as the server and its pages are told of it."""

    measure: str
    """`memory`, `work directory`, `wall time` ... (`model.limits.Measure`)."""
    value: float
    unit: str
    """bytes, s or processes."""
    origin: str
    """job, queue or default."""
    detail: str
    """How it came to its value: `maxrss 4000 MB x 2`."""


class UsageNow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a payload was seen to use at one moment of its run: a point of a curve; unknown is None."""

    wall_s: float
    """Seconds since the payload's start, by a clock that is never set."""
    cpu_s: float | None = None
    """CPU time up to here, of ended processes too."""
    rss_kb: int | None = None
    pss_kb: int | None = None
    """Read less often than the rest, as are swap and directory."""
    swap_kb: int | None = None
    processes: int | None = None
    directory_bytes: int | None = None
    free_bytes: int | None = None
    """What may still be written on the directory's file system."""
    output_bytes: int | None = None
    """The largest output so far."""
    quiet_s: float | None = None
    """How long there was no sign of life."""
    spinning_s: float | None = None
    """How long there was none but CPU time."""


class IoCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes since the start, as /proc/PID/io counts them; reaped children are in the numbers of who reaped them.

    The first two are what passed through read and write calls, the others what really went to and from a storage.
    """

    rchar: int
    wchar: int
    read_bytes: int
    write_bytes: int

    @property
    def passed(self) -> int:
        """Through calls, in both directions."""
        return self.rchar + self.wchar


class TreeSample(msgspec.Struct, frozen=True, kw_only=True):
    """All processes under a launcher. CPU times are of living and of ended ones, orphans included.

    `rss_bytes` counts a page shared by n processes n times: a first look, never a reason to end a job.
    """

    processes: int
    threads: int
    cpu_user_s: float
    cpu_system_s: float
    rss_bytes: int
    vmem_bytes: int
    io: IoCounts | None = None
    """Read less often than the rest, so it may be half a minute old."""
    io_unread: int = 0
    """Living processes whose counts we may not read: if any, `io` is a lower bound."""

    @property
    def cpu_s(self) -> float:
        """User and system time together."""
        return self.cpu_user_s + self.cpu_system_s


class PssSample(msgspec.Struct, frozen=True, kw_only=True):
    """Memory of a tree with each shared page counted once, and what of it lies in the swap; read rarely."""

    at: float
    """When it was read, on the same clock as `Sample.at`."""
    pss_bytes: int
    swap_bytes: int
    processes: int
    unread: int = 0
    """Living processes whose memory we may not read: if any, the sums are lower bounds."""
    rss_bytes: int = 0
    """The sum of RSS at the same time."""


class CgroupSample(msgspec.Struct, frozen=True, kw_only=True):
    """A control group's own account, of all that ever ran in it."""

    memory_bytes: int | None = None
    """What the kernel cannot take back: anonymous and shared memory and swap; no page cache."""
    peak_bytes: int | None = None
    """The most that was charged, page cache included."""
    limit_bytes: int | None = None
    """Where the kernel ends a process; the smallest on the way up. None: no limit, or not known."""
    oom_kills: int | None = None
    """Processes that the kernel ended for lack of memory here."""
    cpu_s: float | None = None
    processes: int | None = None


class DirectorySample(msgspec.Struct, frozen=True, kw_only=True):
    """A directory and all below it; links are counted, never followed."""

    at: float
    """When it was read, on the same clock as `Sample.at`."""
    size_bytes: int
    """Blocks really taken; a file with several names counts once."""
    files: int
    stamp: int
    """Changes when a file is written, comes or goes; the pilot's own files do not count."""
    whole: bool = True
    """False where there was more than could be looked at: then all numbers are lower bounds."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a job. `at` is on a clock that is never set back."""

    at: float
    phase: Phase
    wall_s: float | None = None
    """How long the payload has run."""
    tree: TreeSample | None = None
    pss: PssSample | None = None
    """The newest reading, which may be much older than the rest."""
    cgroup: CgroupSample | None = None
    directory: DirectorySample | None = None
    """The newest reading, as with `pss`."""
    free_bytes: int | None = None
    """What may still be written on the directory's file system."""
    outputs: dict[str, int] = {}
    """Sizes of the job's outputs that exist, by LFN."""
    stdout_bytes: int | None = None
    stderr_bytes: int | None = None
    declared: int | None = None
    """Changes whenever the payload declares progress; None as long as it never did."""
    moved_bytes: int | None = None
    """Bytes that a stage has moved so far; None while none does."""
