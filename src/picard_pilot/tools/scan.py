"""Reading all of a log, whatever its size, and keeping the lines that may tell something.

Its beginning and end alone are `system.logs`, which is what a pilot has time for.
"""

import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from picard_pilot.model.facts import LINE_CHARACTERS, Line, Log
from picard_pilot.system.files import open_regular
from picard_pilot.system.redact import Redactor

FIRST, LAST = 1500, 3000
"""Telling lines that are kept, of the first and of the last ones."""
WINDOW_BYTES = 1 << 20
_SHOWN_BYTES = 4 * LINE_CHARACTERS
"""Of a line: no secret may lose its beginning or end before it is recognised."""
_LINE = re.compile(rb"[^\r\n\0]+")
"""As in `system.logs`."""

_WORDS = (
    *(
        b"rror",
        b"RROR",
        b"FATAL",
        b"fatal",
        b"xception",
        b"fail",
        b"FAIL",
        b"annot ",
        b"No s",
        b"ot found",
        b"kill",
    ),
    *(
        b"bort",
        b"egmentation",
        b"imed out",
        b"xpired",
        b"efused",
        b"enied",
        b"uota",
        b"terminate",
        b"Traceback",
    ),
    *(b"undefined", b"nvalid"),
)
"""Parts of words in lines that tell of errors. Looking for each in bytes takes a twentieth of a second per 100 MB; one
pattern for all of them takes three times as long as all these together."""


def telling(path: Path) -> Log | None:
    """The telling lines of a whole log, in memory bounded; None for what cannot be read or is no plain file."""
    try:
        descriptor = open_regular(path, os.O_RDONLY)
    except OSError:
        return None
    first: list[_Part] = []
    last: deque[_Part] = deque(maxlen=LAST)
    try:
        size = os.fstat(descriptor).st_size
        for offset, data in _windows(descriptor):
            for part in _telling_parts(offset, data):
                (first if len(first) < FIRST else last).append(part)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    redactor = Redactor()
    return Log(name=path.name, size_bytes=size, lines=tuple(one.shown(redactor) for one in (*first, *last)))


class _Part(NamedTuple):
    """A line, or the beginning or end of a long one."""

    offset: int
    data: bytes
    is_end: bool

    def shown(self, redactor: Redactor) -> Line:
        """As far as it is shown, without secrets."""
        text = redactor.text(self.data.decode("utf-8", "backslashreplace"))
        return Line(self.offset, text[-LINE_CHARACTERS:] if self.is_end else text[:LINE_CHARACTERS])


def _tells(data: bytes) -> bool:
    return any(word in data for word in _WORDS)


def _telling_parts(offset: int, data: bytes) -> Iterator[_Part]:
    """Those of whole lines, each once, in their order."""
    found: dict[int, int] = {}
    for word in _WORDS:
        position = data.find(word)
        while position >= 0:
            end = data.find(b"\n", position)
            end = len(data) if end < 0 else end
            found[data.rfind(b"\n", 0, position) + 1] = end
            position = data.find(word, end)
    each = sorted(found.items())
    if len(each) > FIRST + LAST:  # more are not kept
        each = [*each[:FIRST], *each[-LAST:]]
    for start, end in each:
        for line in _LINE.finditer(data, start, end):
            yield from _parts(offset + line.start(), line.group())


def _parts(start: int, line: bytes) -> Iterator[_Part]:
    """The line, or of a long one its beginning and end, as far as they tell something."""
    if _tells(head := line[:_SHOWN_BYTES]):
        yield _Part(start, head, is_end=False)
    if len(line) > _SHOWN_BYTES and _tells(tail := line[-_SHOWN_BYTES:]):
        yield _Part(start + len(line) - len(tail), tail, is_end=True)


def _windows(descriptor: int) -> Iterator[tuple[int, bytes]]:
    """Pieces of whole lines with their offsets; a line that is longer than a piece is cut."""
    offset, rest = 0, b""
    while chunk := os.pread(descriptor, WINDOW_BYTES, offset + len(rest)):
        data = rest + chunk
        end = data.rfind(b"\n") + 1
        if not end or len(data) - end > WINDOW_BYTES:
            end = len(data)
        yield offset, data[:end]
        offset, rest = offset + end, data[end:]
    if rest:
        yield offset, rest
