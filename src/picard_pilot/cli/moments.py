"""Times and sizes as people read them. In JSON times stay UTC in ISO 8601, and sizes whole numbers."""

from datetime import UTC, datetime

_STEPS = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))


def duration(seconds: float) -> str:
    """`3m12s`, `2h05m`, `4d03h`: the two largest units."""
    whole = max(0, int(seconds))
    for large, large_name, small, small_name in _STEPS:
        if whole >= large:
            return f"{whole // large}{large_name}{whole % large // small:02d}{small_name}"
    return f"{whole}s"


def shown(moment: datetime | None, clock: str, now: datetime) -> str:
    """A time as an age (`clock` is `age`), in UTC (`utc`) or as this host's clock shows it (`local`)."""
    if moment is None:
        return "-"
    if clock == "utc":
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if clock == "local":
        return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"{duration((now - moment).total_seconds())} ago"


def size(size_bytes: int | None) -> str:
    """A size in binary units; `-` if it is not known."""
    if size_bytes is None:
        return "-"
    number, unit = float(size_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if number < 1024:
            break
        number, unit = number / 1024, larger
    return f"{size_bytes} B" if unit == "B" else f"{number:.1f} {unit}"
