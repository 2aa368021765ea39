"""Reading all of a log, whatever its size, and keeping the lines that may tell something.

Its beginning and end alone are `system.logs`, which is what a pilot has time for.
"""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from picard_pilot.model.facts import LINE_CHARACTERS, Line, Log
from picard_pilot.system.files import open_regular
from picard_pilot.system.redact import Redactor

FIRST, LAST = 1500, 3000
"""Telling lines that are kept, of the first and of the last ones."""
WINDOW_BYTES = 4 << 20

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
    redactor = Redactor()
    first: list[Line] = []
    last: deque[Line] = deque(maxlen=LAST)
    try:
        size = os.fstat(descriptor).st_size
        for offset, data in _windows(descriptor):
            for start, found in _telling_lines(data):
                text = found[: 4 * LINE_CHARACTERS].decode("utf-8", "backslashreplace")
                line = Line(offset + start, redactor.text(text)[:LINE_CHARACTERS])
                if len(first) < FIRST:
                    first.append(line)
                else:
                    last.append(line)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return Log(name=path.name, size_bytes=size, lines=(*first, *last))


def _telling_lines(data: bytes) -> list[tuple[int, bytes]]:
    """Those lines, each once, in their order, with their offsets."""
    found: dict[int, int] = {}
    for word in _WORDS:
        position = data.find(word)
        while position >= 0:
            end = data.find(b"\n", position)
            end = len(data) if end < 0 else end
            found[data.rfind(b"\n", 0, position) + 1] = end
            position = data.find(word, end)
    return [(start, data[start:end].rstrip(b"\r")) for start, end in sorted(found.items())]


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
