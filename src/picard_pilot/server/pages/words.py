"""Numbers and states as people read them: durations, ages, sizes, times, the word and the sign of a state.

No HTML here; every function takes a value and gives text. Unknown is `unknown`, never zero.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from picard_pilot.server.pages.facts import FileFact

UNKNOWN = "unknown"

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400


def duration(seconds: float | None) -> str:
    """A length of time with two meaningful parts at most: `8 ms`, `0.12 s`, `3.4 s`, `2 min 05 s`, `1 h 03 min`."""
    if seconds is None:
        return UNKNOWN
    seconds = max(seconds, 0.0)
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 0.9995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min {whole % MINUTE_S:02d} s"
    if whole < DAY_S:
        return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S:02d} min"
    return f"{whole // DAY_S} d {whole % DAY_S // HOUR_S:02d} h"


def age(seconds: float | None) -> str:
    """How long ago, in one part: `12 s ago`, `3 min ago`."""
    if seconds is None:
        return UNKNOWN
    for length_s, unit in ((DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "min")):
        if seconds >= length_s:
            return f"{int(seconds // length_s)} {unit} ago"
    return f"{int(seconds)} s ago" if seconds >= 1 else "just now"


def size(size_bytes: int | None) -> str:
    """A size in binary units: `512 B`, `174.8 KiB`, `1.2 GiB`."""
    if size_bytes is None:
        return UNKNOWN
    if size_bytes < 1024:
        return f"{size_bytes} B"
    value = float(size_bytes)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 1023.95 or unit == "TiB":
            break
    return f"{value:.1f} {unit}"


def clock(at_s: float | None) -> str:
    """A moment for a table: `2026-11-22 19:40:05` in UTC."""
    return UNKNOWN if at_s is None else datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def clock_fine(at_s: float | None) -> str:
    """A moment to the millisecond, for histories: `2026-11-22 19:40:05.123` in UTC."""
    return UNKNOWN if at_s is None else iso(at_s).replace("T", " ").rstrip("Z")


def iso(at_s: float) -> str:
    """A moment for a machine, in UTC: what a `time` element carries."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def count(number: int, noun: str) -> str:
    """`1 output`, `2 outputs`, `no outputs`: plain nouns only."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def file_state(file: FileFact) -> str:
    """The state of a file in words that fit what the file is to its job.

    The server calls the log of a failed job failed although it was stored, and an input ready that nobody looked
    for yet: people are told what is known of the file itself.
    """
    if file.role == "input":
        if file.how or file.failed_tries:
            return "staged" if file.how else "not staged"
        return {"ready": "listed", "unknown": "listed"}.get(file.status or "", file.status or UNKNOWN)
    if file.surl:
        return "stored"
    return {"unknown": "not stored", "ready": "stored", "absent": "absent, as allowed"}.get(
        file.status or "", "not stored"
    )


_WAYS = {
    "copy": "copied",
    "reflink": "copied, sharing its blocks",
    "symlink": "linked",
    "already there": "was already there",
    "direct": "read where it is",
}


def way(how: str | None) -> str:
    """How a file went, for people; the pilot's own word where it is a new one."""
    return UNKNOWN if how is None else _WAYS.get(how, how)


def shorten(text: str, at_most: int) -> str:
    """The beginning of a text, cut between words, with an ellipsis where something was cut."""
    if len(text) <= at_most:
        return text
    head, _, _ = text[:at_most].rpartition(" ")
    return (head or text[:at_most]).rstrip(" ,;:(") + " …"


class Badge(msgspec.Struct, frozen=True):
    """How a state looks: its kind (a CSS class), a sign that needs no colour, and its word."""

    kind: str
    sign: str
    word: str


_KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "waiting": ("…", ("pending", "defined", "waiting", "assigned", "activated", "throttled")),
    "active": ("▸", ("sent", "starting", "setup", "stagein", "running", "stageout", "finishing")),
    "held": ("◷", ("holding", "transferring", "merging")),
    "good": ("✓", ("finished",)),
    "bad": ("✗", ("failed",)),
    "off": ("⊘", ("cancelled", "closed")),
}
_BADGES = {word: Badge(kind, sign, word) for kind, (sign, all_) in _KINDS.items() for word in all_}

#: States of the server after which nothing more happens to a job.
FINAL = frozenset({"finished", "failed", "cancelled", "closed"})

#: States of the server in which a job waits for a pilot.
WAITING = frozenset(_KINDS["waiting"][1])


def badge(status: str, phase: str | None = None) -> Badge:
    """The badge of a job: of its phase while a pilot has it, else of the server's state."""
    if phase in _BADGES and status in ("sent", "starting", "running"):
        return _BADGES[phase]
    return _BADGES.get(status, Badge("off", "?", status))
