"""What a payload left under an output's name: whether it can be stored, and by which GUID it goes.

Storing it is `data.stageout`.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from picard_pilot.model.files import FileSpec
from picard_pilot.model.job import Job

OUTPUT_SIZE_LIMIT_BYTES = 500_000_000_000
"""What today's pilots refuse to store as one file."""

GUID_NAMESPACE = "9b0e6f62-54a8-4f0e-9c3c-5d0c1f4b7a21"
"""Under which the GUIDs of outputs are made; a random one, and the same for ever."""


class Unfit(Exception):
    """What the payload left under an output's name cannot be stored: the catalogue's name for it, and a sentence."""

    def __init__(self, name: str, says: str) -> None:
        super().__init__(says)
        self.name = name
        self.says = says


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """An output that can be stored: where its bytes really are, and how many."""

    path: Path
    size_bytes: int


def fit_output(directory: Path, lfn: str) -> Fit:
    """What lies under an output's name, if it can be stored.

    A symbolic link counts if it leads to a regular file inside `directory`. Raises FileNotFoundError if there is
    nothing, Unfit for whatever must not be stored.
    """
    path = directory / lfn
    try:
        real = path.resolve(strict=True)
        found = real.stat()
    except FileNotFoundError:
        if os.path.lexists(path):
            raise Unfit("FILEHANDLINGFAILURE", f"output {lfn} is a symbolic link to nothing") from None
        raise
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        raise Unfit("FILEHANDLINGFAILURE", f"output {lfn} cannot be read: {error}") from error
    if not real.is_relative_to(directory.resolve()):
        raise Unfit("FILEHANDLINGFAILURE", f"output {lfn} is a symbolic link out of the job's directory")
    if not stat.S_ISREG(found.st_mode):
        raise Unfit("FILEHANDLINGFAILURE", f"output {lfn} is {_kind(found.st_mode)}, not a regular file")
    if found.st_size == 0:
        raise Unfit("ZEROFILESIZE", f"output {lfn} has no bytes")
    if found.st_size > OUTPUT_SIZE_LIMIT_BYTES:
        raise Unfit(
            "OUTPUTFILETOOLARGE",
            f"output {lfn} has {found.st_size} bytes, more than {OUTPUT_SIZE_LIMIT_BYTES}",
        )
    return Fit(path=real, size_bytes=found.st_size)


def output_guid(job: Job, file: FileSpec, from_payload: Mapping[str, str]) -> str:
    """The output's GUID as PanDA writes it: the one that the payload wrote into the file, the job's, or one of ours.

    Ours follows from job, attempt and name, so that it is the same whichever pilot makes it.
    """
    return from_payload.get(file.lfn) or file.guid or _made_guid(job, file)


def _made_guid(job: Job, file: FileSpec) -> str:
    import uuid

    name = f"{job.job_id}/{job.attempt_nr}/{file.scope or ''}/{file.lfn}"
    return str(uuid.uuid5(uuid.UUID(GUID_NAMESPACE), name)).upper()


def _kind(mode: int) -> str:
    names = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return names.get(stat.S_IFMT(mode), "a device")
