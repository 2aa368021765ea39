"""Reading a payload's logs with bounded effort, whatever it left there: the lines at their beginning and end.

What the lines mean is `diagnosis`'s. Nothing here follows a link, waits on a pipe or reads a large file whole.
"""

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from picard_pilot.model.facts import LINE_CHARACTERS, Line, Log
from picard_pilot.system.files import open_regular
from picard_pilot.system.redact import Redactor

HEAD_BYTES = 64 * 1024
"""Of a large log's beginning: options, set-up and start of a program, some hundred lines."""
TAIL_BYTES = 256 * 1024
"""Of its end: the failure, what led to it, and summaries of a few hundred lines that some programs print after it."""
HEAD_LINES = 500
TAIL_LINES = 3000
"""More than ordinary lines of these many bytes; very short ones would cost every rule a hundred thousand looks."""
FURTHER_LOGS = 8
"""How many further logs are read: a job of several steps has one per step."""
ENTRIES = 2000
"""How many names of a directory are looked at for them; payloads may make millions."""
COUNTED_BYTES = 1 << 30
"""Up to which offset lines are counted: a second's reading."""

_LINE = re.compile(rb"[^\r\n\0]+")
"""Progress bars end their lines by a carriage return; a file that was truncated while written has a hole of zeros."""
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CHUNK_BYTES = 1 << 20


def read_log(path: str, name: str, redactor: Redactor, *, head_bytes: int = HEAD_BYTES) -> Log | None:
    """The log `name` at `path`; None for what is missing, unreadable or no plain file.

    Lines that are blank are left out. Bytes that are not UTF-8 and control characters are shown as escapes, colours
    are dropped, secrets hidden. Where a part begins in the middle of a line the rest of that line is left out: it
    may be the end of a secret. In a part that is one line alone, its last characters are shown.
    """
    try:
        descriptor = open_regular(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        size = os.fstat(descriptor).st_size
        if size <= head_bytes + TAIL_BYTES:
            parts = [(0, os.pread(descriptor, size, 0))]
        else:
            start = size - TAIL_BYTES
            parts = [
                (0, os.pread(descriptor, head_bytes, 0)),
                (start, os.pread(descriptor, TAIL_BYTES, start)),
            ]
    except OSError:
        return None
    finally:
        os.close(descriptor)
    lines: list[Line] = []
    gap_at = None
    for offset, data in parts:
        gap_at = len(lines) if offset else None
        few = HEAD_LINES if len(parts) == 2 and not offset else TAIL_LINES
        found = _whole_lines(offset, data)
        raw = found[:few] if few == HEAD_LINES else found[-few:]
        lines += _shown_lines(raw, redactor)
    return Log(name=name, size_bytes=size, lines=tuple(lines), gap_at=gap_at)


def last_lines(path: str, count: int, redactor: Redactor) -> list[str]:
    """The texts of the last `count` lines, as `read_log` shows them; none for what it does not read."""
    log = read_log(path, "", redactor, head_bytes=0)
    return [] if log is None else [line.text for line in log.lines[-count:]]


def names_like(directory: str, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """The names in a directory that fit one of these shell patterns, of the first some thousand, sorted."""
    found: list[str] = []
    if not patterns:
        return ()
    try:
        with os.scandir(directory) as entries:
            for _, entry in zip(range(ENTRIES), entries, strict=False):
                # A name that is no text, as a payload may make one, can be neither told nor written down.
                if entry.name.isprintable() and any(fnmatchcase(entry.name, one) for one in patterns):
                    found.append(entry.name)
    except OSError:
        return ()
    return tuple(sorted(found)[:FURTHER_LOGS])


def line_number(path: str, offset: int) -> int | None:
    """The number, from 1, of the line at `offset`, which costs reading all before it; None where that is too much."""
    if offset > COUNTED_BYTES:
        return None
    try:
        descriptor = open_regular(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return 1 + sum(chunk.count(b"\n") for chunk in _chunks(descriptor, offset))
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _chunks(descriptor: int, end: int) -> Iterator[bytes]:
    position = 0
    while position < end and (chunk := os.pread(descriptor, min(_CHUNK_BYTES, end - position), position)):
        yield chunk
        position += len(chunk)


def _whole_lines(offset: int, data: bytes) -> list[tuple[int, bytes]]:
    """The lines of a part with their offsets, without the rest of one that began before it."""
    found = [(offset + match.start(), match.group()) for match in _LINE.finditer(data)]
    if offset and found and found[0][0] == offset:
        if len(found) > 1:
            return found[1:]
        start, line = found[0]
        return [(start + max(0, len(line) - LINE_CHARACTERS), line[-LINE_CHARACTERS:])]
    return found


def _shown_lines(raw: list[tuple[int, bytes]], redactor: Redactor) -> Iterator[Line]:
    inside_key = False
    for offset, data in raw:
        # More than is shown, in bytes: no secret may lose its beginning or end before it is recognised.
        text = data[: 8 * LINE_CHARACTERS].decode("utf-8", "backslashreplace")
        clean, inside_key = redactor.line(_COLOURS.sub("", text), inside_key)
        if shown := _shown(clean):
            yield Line(offset, shown)


def _shown(text: str) -> str:
    """With a blank for each tab and an escape for what cannot be printed, without blanks at its end, cut."""
    if not text.isprintable():
        text = text.replace("\t", " ")
        text = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
    text = text.rstrip()
    return text if len(text) <= LINE_CHARACTERS else text[: LINE_CHARACTERS - 1] + "…"
