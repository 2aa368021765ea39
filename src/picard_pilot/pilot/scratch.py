"""Whether what a pilot leaves in its work directory can be found by a later one, told at its start with the reason.

Looking for what was left is `pilot.recovery`; who holds a job is `journal.lease`.
"""

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from picard_pilot.payload import jobdir
from picard_pilot.settings.environment import batch
from picard_pilot.system.mounts import MOUNTS, Mount, mount_of, origin_of

log = logging.getLogger("picard.recovery")

WIPED_VARIABLES = (
    ("_CONDOR_SCRATCH_DIR", "HTCondor"),
    ("SLURM_TMPDIR", "Slurm"),
    ("SLURM_JOB_TMP", "Slurm"),
    ("SLURM_JOB_TMPDIR", "Slurm"),
    ("PBS_JOBDIR", "PBS"),
)
"""Variables that name a directory which the batch system makes for a job and removes with it. What other systems (LSF,
Grid Engine) call TMPDIR has the job's number in its name, which is noticed for every directory."""


SURE_DIGITS = 4
"""A shorter number of a batch job may stand in a path for something else."""


class Scratch(NamedTuple):
    """What becomes of a work directory after the slot."""

    lost_because: str | None
    """Why no later pilot finds what is left there, as the end of a sentence; None where one can."""
    mount: Mount | None = None
    foreign: int = 0
    """Job directories of other users that lie there: this user can neither take them up nor remove them."""


def look_at(workdir: Path, environ: Mapping[str, str], mounts: Path = MOUNTS) -> Scratch:
    """What can be known of `workdir` before anything was left there."""
    mount = mount_of(workdir, mounts)
    return Scratch(_lost_because(workdir, environ, mounts), mount, _foreign(workdir))


def describe(scratch: Scratch, workdir: Path, *, recover: bool) -> str:
    """The line for the log: whether recovery is possible here, and why not."""
    more = f"; {scratch.foreign} job directories there belong to other users" if scratch.foreign else ""
    if scratch.lost_because is not None:
        return (
            f"recovery: no, what is left here at the end of the slot is lost: {scratch.lost_because}; "
            f"a directory that stays can be named with --workdir{more}"
        )
    mount = scratch.mount
    where = f"the next pilot of user {os.geteuid()} that works in {workdir}"
    if mount is not None and mount.shared:
        where += f", on any node that has it ({mount.kind} from {mount.source})"
    if not recover:
        return f"recovery: this pilot takes up nothing (--no-recover); what it leaves is for {where}{more}"
    return f"recovery: yes, what cannot be finished now waits for {where}{more}"


def _lost_because(workdir: Path, environ: Mapping[str, str], mounts: Path) -> str | None:
    path, mount = os.path.realpath(workdir), mount_of(workdir, mounts)
    for variable, system in WIPED_VARIABLES:
        place = environ.get(variable)
        # PBS names the home directory there unless it was asked for a sandbox.
        if not place or place == environ.get("HOME"):
            continue
        if _is_below(path, os.path.realpath(place)):
            return f"{workdir} is in {variable} ({place}), which {system} empties"
        if mount is not None and _shows_part_of(place, path, mount, mounts):
            return f"{mount.point} is bound there from {variable} ({place}), which {system} empties"
    slot = batch(environ)
    number = re.match(r"\d+", slot.job_id or "")
    if number is None or len(number[0]) < SURE_DIGITS:
        return None
    if _names(path, number[0]):
        return f"{workdir} is for job {slot.job_id} of {slot.system} alone, where no later pilot looks"
    if mount is not None and _names(mount.root, number[0]):
        return (
            f"{mount.point} is for job {slot.job_id} of {slot.system} alone (bound there from {mount.root})"
        )
    return None


def _shows_part_of(place: str, path: str, mount: Mount, mounts: Path) -> bool:
    """Whether what is seen at `path` lies in `place` all the same: HTCondor binds a job's own /tmp from there."""
    its = mount_of(Path(place), mounts)
    if its is None or its.device != mount.device:
        return False
    return _is_below(origin_of(path, mount), origin_of(os.path.realpath(place), its))


def _is_below(path: str, place: str) -> bool:
    return path == place or path.startswith(place.rstrip("/") + "/")


def _names(path: str, number: str) -> bool:
    """Whether a part of the path has this number, by itself or among other words: `123`, `job_123`, `123.tmpdir`."""
    return re.search(rf"(?<!\d){number}(?!\d)", path) is not None


def _foreign(workdir: Path) -> int:
    count = 0
    if os.geteuid() == 0:
        return 0  # who may do everything
    try:
        for directory in jobdir.left_in(workdir):
            try:
                count += directory.lstat().st_uid != os.geteuid()
            except FileNotFoundError:
                continue  # its pilot has just removed it
    except OSError as error:
        log.warning("nobody can look for left jobs in %s: %s", workdir, error)
    return count
