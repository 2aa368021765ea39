"""The file that takes what movers and their libraries print. No transfer depends on it.

What is worth a line of the pilot's own log is in the answers.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from picard_pilot.system.files import open_regular

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class OpenLog:
    """The file open for the worker to inherit, as a context; where it cannot be had, what is printed is lost."""

    def __init__(self, path: Path | None) -> None:
        """None: nothing is kept."""
        self._path = path

    def __enter__(self) -> int:
        self._fd = self._opened()
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def _opened(self) -> int:
        if self._path is not None:
            try:
                return open_regular(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            except OSError:
                pass  # no room for it, or a payload has put something else there
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


class _Lossy(io.FileIO):
    """Writes what there is room for: a full disk is no reason for a mover's `print` to fail."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def never_fail() -> None:
    """In the worker: from now on nothing that is printed, whatever is in it and wherever it goes, raises anything."""
    for name, fd in (("stdout", 1), ("stderr", 2)):
        stream = io.TextIOWrapper(
            io.BufferedWriter(_Lossy(fd, "wb", closefd=False)),
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )
        setattr(sys, name, stream)
