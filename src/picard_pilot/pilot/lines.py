"""The last lines of a payload's output, read with bounded effort whatever the payload wrote.

Reading whole logs for known errors is `diagnosis`.
"""

import os
import stat

from picard_pilot.system.redact import Redactor

TAIL_BYTES = 16 * 1024
"""How much of a file's end is read: some hundred ordinary lines."""

LINE_CHARACTERS = 400
"""A longer line is cut; the server keeps 500 characters of a whole diagnosis."""


def last_lines(path: str, count: int, redactor: Redactor) -> list[str]:
    """The last `count` lines that are not blank, oldest first; none for what is missing, unreadable or no plain file.

    Bytes that are not UTF-8 and control characters are shown as escapes. They go to the journal and the server, so
    secrets are hidden; the first line is left out where only its end was read, which may be the end of one.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return []
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            return []
        start = max(0, about.st_size - TAIL_BYTES)
        data = os.pread(fd, TAIL_BYTES, start)
    except OSError:
        return []
    finally:
        os.close(fd)
    if start and b"\n" in data.rstrip(b"\n"):
        data = data.partition(b"\n")[2]
    shown = []
    inside_key = False
    for line in data.decode("utf-8", "backslashreplace").splitlines():
        clean, inside_key = redactor.line(line, inside_key)
        if clean.strip():
            shown.append(_shown(clean.strip()))
    return shown[-count:]


def _shown(text: str) -> str:
    text = text.replace("\t", " ")
    text = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text).strip()
    return text if len(text) <= LINE_CHARACTERS else text[: LINE_CHARACTERS - 1] + "…"
