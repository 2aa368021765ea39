"""Where each file of a stage came from or went, how and why: as text in an update's `pilot_log`, and read back.

A real server keeps such a text as it is, up to 4,000 characters, and shows it to people; our own monitor shows its
lines beside the files. Inputs have no other place in an update: one named in the output report counts as bad.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from picard_pilot.model.file_note import FileNote
from picard_pilot.wire.fields import fields_of
from picard_pilot.wire.v1 import UPDATE_JOB

HEAD = "transfers of "
"""How such a text begins; then the phase."""

LIMIT_CHARACTERS = (fields_of(UPDATE_JOB)["pilot_log"].max_length or 0) - 1

WHY_CHARACTERS = 240
"""Of one sentence; a few of the longest still leave room for other files."""

SEPARATOR = " | "

GROUPS = 5
"""Lines that sum up what found no room; each has at most 100 characters or so."""

GROUPS_CHARACTERS = 600


def compose(phase: str, notes: Sequence[FileNote], room: int = LIMIT_CHARACTERS) -> str:
    """The text: files with a failure first, then the others, then one line for each way of those left out; `room`
    characters at most."""
    lines = [HEAD + phase]
    left = room - len(lines[0]) - GROUPS_CHARACTERS
    left_out: list[FileNote] = []
    for note in _most_telling_first(notes):
        line = _line(note)
        if left_out or len(line) + 1 > left:
            left_out.append(note)
            continue
        lines.append(line)
        left -= len(line) + 1
    lines += _summary(left_out)
    return "\n".join(lines)[:room]


def is_note(text: str) -> bool:
    """Whether a `pilot_log` is such a text, and no extract of the pilot's log."""
    return text.startswith(HEAD)


def notes_in(text: str) -> tuple[FileNote, ...]:
    """The tries that the text tells, in its order; lines that are none are passed over."""
    return tuple(note for line in text.splitlines() if (note := _note(line)) is not None)


def _most_telling_first(notes: Sequence[FileNote]) -> Iterable[FileNote]:
    """All tries of files that were not had at once, then the rest; each in its order."""
    troubled = {note.lfn for note in notes if not note.ok}
    yield from (note for note in notes if note.lfn in troubled)
    yield from (note for note in notes if note.lfn not in troubled)


def _line(note: FileNote) -> str:
    fields = (
        "ok" if note.ok else "failed",
        note.lfn,
        note.endpoint,
        note.how,
        "-" if note.size_bytes is None else str(note.size_bytes),
        "-" if note.seconds is None else f"{note.seconds:.3f}",
        note.why[:WHY_CHARACTERS],
    )
    return SEPARATOR.join(_bare(field) for field in fields)


def _bare(text: str) -> str:
    return " ".join(text.split()).replace(SEPARATOR, " / ") or "-"


def _note(line: str) -> FileNote | None:
    word, *fields = line.split(SEPARATOR, 6)
    if word not in ("ok", "failed") or len(fields) != 6:
        return None
    lfn, endpoint, how, size, seconds, why = fields
    return FileNote(
        lfn=lfn,
        endpoint=endpoint,
        how=how,
        ok=word == "ok",
        why=why,
        size_bytes=int(size) if size.isascii() and size.isdigit() and len(size) < 20 else None,
        seconds=_seconds(seconds),
    )


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _summary(left_out: Sequence[FileNote]) -> list[str]:
    ways = Counter((note.ok, note.how, note.endpoint) for note in left_out)
    return [
        f"and {count} more: {_bare(how) if ok else f'failed, {_bare(how)}'}, {_bare(endpoint)[:60]}"
        for (ok, how, endpoint), count in ways.most_common(GROUPS)
    ]
