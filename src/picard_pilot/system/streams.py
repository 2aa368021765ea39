"""The three files of a command: where its input comes from and its output goes, and the tail of what it wrote.

Who starts the command is `system.run` and `payload.launcher`.
"""

import errno
import os
from pathlib import Path

TAIL_PIECE_BYTES = 4
"""A character of UTF-8 has at most so many bytes; as many less one may be the rest of one that was cut."""


def open_input(data: bytes | None) -> int:
    """A descriptor to read `data` from, held in memory so that a command that never reads blocks nobody."""
    if data is None:
        return os.open(os.devnull, os.O_RDONLY)
    memory = os.memfd_create("stdin")
    try:
        done = 0
        while done < len(data):
            done += os.write(memory, data[done:])
        # Opened anew: it starts at the beginning, and the command cannot write to it.
        return os.open(f"/proc/self/fd/{memory}", os.O_RDONLY)
    finally:
        os.close(memory)


def open_output(path: Path | None, temporary: Path) -> int:
    """A descriptor to append to the file at `path`, or to one without a name. Raises OSError.

    Appending keeps what is there, and keeps both streams whole when they share a file.
    """
    if path is not None:
        if "\0" in str(path):
            raise OSError(errno.EINVAL, "a NUL byte in the name", ascii(str(path)))
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        return os.open(temporary, os.O_RDWR | os.O_APPEND | os.O_TMPFILE, 0o600)
    except OSError as error:
        # EISDIR is the answer of a kernel, EOPNOTSUPP of a file system without it, network ones above all.
        if error.errno not in (errno.EISDIR, errno.EOPNOTSUPP):
            raise
    return _open_unlinked(temporary)


def _open_unlinked(directory: Path) -> int:
    path = directory / f".picard-output-{os.getpid()}-{os.urandom(8).hex()}"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    path.unlink()
    return fd


def read_tail(fd: int, start: int, size: int, tail_bytes: int) -> str:
    """The last bytes of `size` that were written from offset `start` on, as text.

    A character that the cut halved is left out; other bytes that are no UTF-8 are written as `\\xNN`.
    """
    length = min(size, tail_bytes)
    offset, data = start + size - length, b""
    while len(data) < length:
        piece = os.pread(fd, length - len(data), offset + len(data))
        if not piece:
            break
        data += piece
    if length < size:
        cut = 0
        while cut < min(TAIL_PIECE_BYTES - 1, len(data)) and data[cut] & 0xC0 == 0x80:
            cut += 1
        data = data[cut:]
    return data.decode("utf-8", "backslashreplace")
