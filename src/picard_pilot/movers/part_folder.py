"""A private folder beside a target, into which a program writes the file; and a temporary name on a storage.

What is written by ourselves needs no folder: that is `part_file`.
"""

import os
import shutil
from pathlib import Path

from picard_pilot.movers.part_file import RANDOM_BYTES, SUFFIX, part_name

PATH_SCHEMES = ("http", "https", "dav", "davs")
"""Schemes whose addresses may end in a query that is no part of the path."""


class PartFolder:
    """A folder, as a context, that is removed with all that a program left in it.

    A program may write under names of its own before the last one, refuse a target that exists, or leave rubbish:
    all of that stays in here. `path` is where the file is expected, under its own name. Raises OSError.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self.folder = target.with_name(part_name(target.name))
        self.path = self.folder / target.name

    def __enter__(self) -> "PartFolder":
        self.folder.mkdir(mode=0o700)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def replace_target(self) -> None:
        """Commit: the file is the target from now on, whatever stood there before."""
        self.path.replace(self._target)


def part_surl(surl: str) -> str:
    """A fresh temporary address beside `surl`."""
    path, question, query = surl, "", ""
    if surl.partition("://")[0].lower() in PATH_SCHEMES:
        path, question, query = surl.partition("?")
    folder = path.rpartition("/")[0]
    return f"{folder}/.picard-{os.urandom(RANDOM_BYTES).hex()}{SUFFIX}{question}{query}"
