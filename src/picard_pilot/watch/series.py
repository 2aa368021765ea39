"""How a payload's use went over time, for plots: a table of bounded length that spans the whole of it.

The columns are prmon's, so that what reads its `memory_monitor_output.txt` reads this. Totals are `summary`.
"""

from picard_pilot.model.bundle import Bundle
from picard_pilot.model.usage import PssSample, Sample, TreeSample
from picard_pilot.watch.job_files import SERIES_FILE, get, put

INTERVAL_S = 30.0
"""Between two rows at first; doubled whenever the table is full."""
MOST_ROWS = 600
"""More than a plot has pixels to show; 60 kB."""

COLUMNS = (
    "Time",
    "wtime",
    "utime",
    "stime",
    "nprocs",
    "nthreads",
    "vmem",
    "pss",
    "rss",
    "swap",
    "rchar",
    "wchar",
    "read_bytes",
    "write_bytes",
)
"""Seconds since 1970, seconds, numbers, kB and bytes."""

_KB = 1024

MOST_DIGITS = 18
"""No number of a job is larger."""

Row = tuple[int | None, ...]


class Series:
    """Rows of one payload so far, oldest first; None where a value was not known."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.interval_s = INTERVAL_S
        self._next_at = float("-inf")

    def add(self, sample: Sample, now_utc: float) -> None:
        """Take one sample in, if it is time for a row. Samples without a payload change nothing."""
        if sample.tree is None or sample.at < self._next_at:
            return
        if len(self.rows) >= MOST_ROWS:
            self._thin()
        self._next_at = sample.at + self.interval_s
        self.rows.append(_row(sample.tree, sample.pss, sample.wall_s, round(now_utc)))

    def encode(self) -> bytes:
        """The text of the file: a head and one line per row, with tabs. What is not known is empty."""
        lines = ["\t".join(COLUMNS)]
        lines += ["\t".join("" if value is None else str(value) for value in row) for row in self.rows]
        return ("\n".join(lines) + "\n").encode()

    def write(self, bundle: Bundle) -> None:
        """Replace the file in the job's directory. Raises OSError."""
        put(bundle, SERIES_FILE, self.encode())

    @classmethod
    def resume(cls, bundle: Bundle) -> "Series":
        """Go on with the file that an earlier pilot left; lines that are none of ours are passed over."""
        series = cls()
        for line in get(bundle, SERIES_FILE).decode("ascii", "replace").splitlines()[1:]:
            words = line.split("\t")
            if len(words) == len(COLUMNS) and all(_is_value(word) for word in words):
                series.rows.append(tuple(int(word) if word else None for word in words))
        while len(series.rows) > MOST_ROWS:
            series._thin()
        return series

    def _thin(self) -> None:
        self.rows = self.rows[::2]
        self.interval_s *= 2


def _is_value(word: str) -> bool:
    return not word or (word.isascii() and word.isdigit() and len(word) <= MOST_DIGITS)


def _row(tree: TreeSample, pss: PssSample | None, wall_s: float | None, now: int) -> Row:
    io = tree.io
    return (
        now,
        None if wall_s is None else round(wall_s),
        round(tree.cpu_user_s),
        round(tree.cpu_system_s),
        tree.processes,
        tree.threads,
        tree.vmem_bytes // _KB,
        None if pss is None else pss.pss_bytes // _KB,
        tree.rss_bytes // _KB,
        None if pss is None else pss.swap_bytes // _KB,
        *((None,) * 4 if io is None else (io.rchar, io.wchar, io.read_bytes, io.write_bytes)),
    )
