"""What a payload is to see of the node, as a list of mounts, outermost first; making them is a container program's.

Links in paths are followed here, once: a mount over a link would hide the link and not what it leads to.
"""

import os
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from picard_pilot.model.isolation import CannotConfine, ConfineRequest

NEVER_HIDDEN = (
    "/",
    "/bin",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/opt",
    "/proc",
    "/sbin",
    "/sys",
    "/usr",
    "/var",
)
"""Folders without which no program runs: a secret file directly in one of them cannot be hidden."""

TEMPORARY = ("/tmp", "/var/tmp")
"""Folders of which a payload gets its own, so that what is hidden in the node's is hidden."""


class Show(StrEnum):
    """How a path is seen."""

    HIDDEN = "hidden"
    READ_ONLY = "read only"
    READ_WRITE = "read and write"


class Mount(NamedTuple):
    """A path, without links in it, and how it is seen with all below it."""

    path: str
    show: Show


def plan(request: ConfineRequest) -> tuple[Mount, ...]:
    """The mounts of a request, those that hold others first. Raises CannotConfine, OSError."""
    shows: dict[str, Show] = {}
    for path in request.hidden:
        if (folder := _folder_to_hide(path)) is not None:
            shows[folder] = Show.HIDDEN
    for paths, show in (
        (request.read_only, Show.READ_ONLY),
        (request.read_write, Show.READ_WRITE),
        ((request.job_directory,), Show.READ_WRITE),
    ):
        for path in paths:
            real = os.path.realpath(path, strict=True)
            if shows.get(real) is Show.HIDDEN:
                raise CannotConfine(f"{path} would have to be hidden and visible at once")
            shows[real] = show
    scratch = os.path.realpath(request.scratch, strict=True)
    if shown(scratch, shows) in (Show.READ_WRITE, Show.READ_ONLY):
        shows[scratch] = Show.HIDDEN
    ordered = sorted(shows, key=lambda path: (len(PurePosixPath(path).parts), path))
    return tuple(Mount(path, shows[path]) for path in ordered)


def shown(path: str, shows: dict[str, Show]) -> Show | None:
    """How a path is seen by the innermost entry that holds it; None where none does."""
    parents = (path, *map(str, PurePosixPath(path).parents))
    return next((shows[each] for each in parents if each in shows), None)


def below(inner: str, outer: str) -> bool:
    """Whether a path is the other or lies in it."""
    return PurePosixPath(inner).is_relative_to(outer)


def _folder_to_hide(path: str) -> str | None:
    """The folder to cover so that this path is not seen; None where there is nothing. Raises CannotConfine.

    For a file it is its folder. A mount over the file itself is gone, in every namespace, as soon as the pilot puts
    a renewed credential in its place.
    """
    real = os.path.realpath(path)
    folder = real if Path(real).is_dir() else str(Path(real).parent)
    if not Path(folder).is_dir() or folder in TEMPORARY:
        return None
    if folder in NEVER_HIDDEN:
        raise CannotConfine(
            f"{path} cannot be hidden: the payload needs {folder}; keep it in a folder of its own"
        )
    return folder
