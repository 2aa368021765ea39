"""A small file system that a test can fill to the last byte."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

FILLER = ".filler"


class SmallDisk:
    """A mounted tmpfs."""

    def __init__(self, place: Path) -> None:
        self.place = place

    @property
    def free_bytes(self) -> int:
        found = os.statvfs(self.place)
        return found.f_bavail * found.f_frsize

    def fill(self, keep_bytes: int = 0) -> None:
        """Take everything but `keep_bytes`."""
        with (self.place / FILLER).open("ab", buffering=0) as filler:
            for size in (65536, 4096):
                try:
                    while self.free_bytes - size >= keep_bytes:
                        filler.write(b"\0" * size)
                except OSError:
                    continue

    def empty(self) -> None:
        """Give back what `fill` took."""
        (self.place / FILLER).unlink(missing_ok=True)


@contextmanager
def small_disk(place: Path, size: str, *options: str) -> Iterator[SmallDisk]:
    """A file system of that size at `place`; the test is skipped where none can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    place.mkdir(exist_ok=True)
    words = ",".join((f"size={size}", *options))
    command = ["mount", "-t", "tmpfs", "-o", words, "picard-test", str(place)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(place)
    finally:
        # Lazily: a process that is just ending may still have a file open.
        subprocess.run(["umount", "--lazy", str(place)], check=True)
