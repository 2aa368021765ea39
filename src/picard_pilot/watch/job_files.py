"""The files that the watch keeps in a job's directory, under the names that the field knows.

What stands in them is `summary` and `series`. The directory is the payload's, who may put there what it likes.
"""

import os
from pathlib import Path

from picard_pilot.model.bundle import Bundle
from picard_pilot.system.files import read_regular, write_durably

SUMMARY_FILE = "memory_monitor_summary.json"
SERIES_FILE = "memory_monitor_output.txt"

OWN_FILES = (SUMMARY_FILE, SERIES_FILE)
"""They change without the payload doing anything."""

MOST_BYTES = 1 << 20
"""What is larger was not written by us."""


def put(bundle: Bundle, name: str, data: bytes) -> None:
    """Replace a file as a whole, and whatever a payload put in its place. Raises OSError."""
    # Made in the private directory: a new name in the payload's would look like a sign of its life.
    made = Path(bundle.private) / name
    write_durably(made, data)
    os.replace(made, Path(bundle.directory) / name)  # noqa: PTH105 - as short, and says so


def get(bundle: Bundle, name: str) -> bytes:
    """What an earlier pilot left, or a payload put in its place; nothing where there is no such file."""
    path = Path(bundle.directory) / name
    try:
        return read_regular(path) if path.lstat().st_size <= MOST_BYTES else b""
    except OSError:
        return b""
