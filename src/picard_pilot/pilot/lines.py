"""The last lines of a payload's output, read with bounded effort whatever the payload wrote.

Reading whole logs for known errors is `diagnosis`.
"""

import os
import stat

TAIL_BYTES = 16 * 1024
"""How much of a file's end is read: some hundred ordinary lines."""

LINE_CHARACTERS = 400
"""A longer line is cut; the server keeps 500 characters of a whole diagnosis."""


def last_lines(path: str, count: int) -> list[str]:
    """The last `count` lines that are not blank, oldest first; none for what is missing, unreadable or no plain file.

    Bytes that are not UTF-8 and control characters are shown as escapes.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return []
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            return []
        data = os.pread(fd, TAIL_BYTES, max(0, about.st_size - TAIL_BYTES))
    except OSError:
        return []
    finally:
        os.close(fd)
    lines = [_shown(line) for line in data.splitlines() if line.strip()]
    return lines[-count:]


def _shown(line: bytes) -> str:
    text = line.decode("utf-8", "backslashreplace").replace("\t", " ")
    text = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text).strip()
    return text if len(text) <= LINE_CHARACTERS else text[: LINE_CHARACTERS - 1] + "…"
