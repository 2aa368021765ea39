"""How far a stage-in or stage-out is, as it is told to people, to the server and to the monitor.

Measuring it is `data.progress`; its form in an update is `wire.progress`.
"""

import msgspec


class StageProgress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Files and bytes that are through, of how many; what is not known (yet) is None."""

    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int | None = None
    """None while the size of at least one file is unknown."""
    rate_bytes_s: float | None = None
    """Of the last seconds; 0 while nothing moves."""
    left_s: float | None = None
    """What is left at this rate, in seconds."""
    trouble: str | None = None
    """The last failure of a file that is not through, in a few words."""
    again_s: float | None = None
    """In how many seconds that file is tried again; None: it is being tried, or nothing is known."""

    @property
    def share(self) -> float | None:
        """The part that is done, 0 to 1: of the bytes, else of the files."""
        if self.bytes_total:
            return min(1.0, self.bytes_done / self.bytes_total)
        return self.files_done / self.files_total if self.files_total else None

    def says(self) -> str:
        """For people: `3 of 10 files, 1.2 GB of 4.0 GB, 95 MB/s, 30 s left; f from A: contact: gone, again in 20 s`."""
        parts = [f"{self.files_done} of {self.files_total} files", _amount(self.bytes_done)]
        if self.bytes_total is not None:
            parts[1] += f" of {_amount(self.bytes_total)}"
        if self.rate_bytes_s is not None:
            parts.append(f"{_amount(self.rate_bytes_s)}/s")
        if self.left_s is not None:
            parts.append(f"{_time(self.left_s)} left")
        told = ", ".join(parts)
        if self.trouble is None:
            return told
        return f"{told}; {self.trouble}" + (f", again in {_time(self.again_s)}" if self.again_s else "")


def _amount(size_bytes: float) -> str:
    """In decimal units, as storages and networks are measured: 1.2 GB."""
    if size_bytes < 1000:
        return f"{size_bytes:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        size_bytes /= 1000
        if size_bytes < 999.95 or unit == "TB":
            break
    return f"{size_bytes:.0f} {unit}" if size_bytes >= 9.95 else f"{size_bytes:.1f} {unit}"


def _time(seconds: float) -> str:
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
