"""The site's drain file: while it is there, no further job is taken; with a time in it, the slot ends then.

Its place is a setting. An administrator writes it by hand, so that what is in it may be anything.
"""

from datetime import UTC, datetime
from pathlib import Path

from picard_pilot.model.slot import Found, SlotEnd
from picard_pilot.watch.slot.words import duration_s, moment, text_of

MAX_BYTES = 1000


def look(path: Path) -> Found:
    """What the file says: nothing (no further job), a time (UTC), or `+` and a duration from its last change."""
    try:
        changed_at = path.stat().st_mtime
        text = text_of(path, MAX_BYTES).strip().partition("\n")[0].strip()
    except FileNotFoundError:
        return Found()
    except OSError as error:
        # That it cannot be read says nothing; a file system that is gone for a moment must not end a pilot.
        return Found(doubts=(f"the drain file {path} cannot be read: {error.strerror}",))
    why = f"the site's drain file {path} is there"
    if not text:
        return Found(drain=why)
    at = _when(text, changed_at)
    if at is None:
        doubt = f"the drain file {path} says {text[:60]!r}, which is no time: no further job is taken, that is all"
        return Found(drain=why, doubts=(doubt,))
    return Found(drain=why, ends=(SlotEnd(at=at, name="the site's drain file", evidence=f"{path}: {text}"),))


def _when(text: str, changed_at: float) -> float | None:
    if text.startswith("+"):
        length_s = duration_s(text[1:])
        return None if length_s is None else changed_at + length_s
    at = moment(text)
    if at is not None:
        return at
    try:
        written = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (written if written.tzinfo else written.replace(tzinfo=UTC)).timestamp()
