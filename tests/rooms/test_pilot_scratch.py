"""Whether a later pilot can find what this one leaves: the line at a pilot's start."""

import os
from pathlib import Path

import pytest

from picard_pilot.pilot import scratch
from picard_pilot.system.mounts import MOUNTS, mount_of

LOCAL = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"


def mounts(directory: Path, *lines: str) -> Path:
    """A list of mounts as the kernel writes it: a disk, and these."""
    path = directory / "mountinfo"
    path.write_text(LOCAL + "".join(f"{line}\n" for line in lines))
    return path


def said(workdir: Path, environ: dict[str, str], listed: Path, *, recover: bool = True) -> str:
    """The line of a pilot that works in `workdir`."""
    return scratch.describe(scratch.look_at(workdir, environ, listed), workdir, recover=recover)


def test_a_directory_that_stays_is_good_for_recovery(tmp_path: Path) -> None:
    """And the line says for whom it waits."""
    line = said(tmp_path, {"TMPDIR": str(tmp_path), "SLURM_JOB_ID": "987654"}, mounts(tmp_path))
    assert line.startswith("recovery: yes")
    assert str(tmp_path) in line and f"user {os.geteuid()}" in line


@pytest.mark.parametrize("variable", [variable for variable, _ in scratch.WIPED_VARIABLES])
def test_what_the_batch_system_empties_is_named(tmp_path: Path, variable: str) -> None:
    """The directory itself and everything below it; a neighbour of a like name is none of it."""
    place = tmp_path / "dir_17"
    (place / "work").mkdir(parents=True)
    (tmp_path / "dir_17b").mkdir()
    environ = {variable: str(place), "HOME": "/home/somebody"}
    for workdir in (place, place / "work"):
        line = said(workdir, environ, mounts(tmp_path))
        assert line.startswith("recovery: no")
        assert variable in line and str(place) in line and "--workdir" in line
    assert said(tmp_path / "dir_17b", environ, mounts(tmp_path)).startswith("recovery: yes")


def test_a_link_does_not_hide_where_the_work_directory_is(tmp_path: Path) -> None:
    """Scratch disks are often reached by one."""
    (tmp_path / "dir_17").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "dir_17")
    line = said(tmp_path / "link", {"_CONDOR_SCRATCH_DIR": str(tmp_path / "dir_17")}, mounts(tmp_path))
    assert line.startswith("recovery: no")


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"LSB_JOBID": "123456"}, "123456.tmpdir"),
        ({"JOB_ID": "123456", "SGE_TASK_ID": "1"}, "123456.1.all.q"),
        ({"PBS_JOBID": "123456.head.example.org"}, "pbs.123456.head.example.org"),
        ({"SLURM_JOB_ID": "123456"}, "somebody_123456"),
    ],
)
def test_a_directory_with_the_batch_jobs_number_is_for_this_slot_alone(
    tmp_path: Path, environ: dict[str, str], name: str
) -> None:
    """Whether it is emptied or not: later pilots look elsewhere. Another job's number means nothing."""
    workdir = tmp_path / name
    workdir.mkdir()
    assert said(workdir, environ, mounts(tmp_path)).startswith("recovery: no")
    other = tmp_path / name.replace("123456", "1234567")
    other.mkdir()
    assert said(other, environ, mounts(tmp_path)).startswith("recovery: yes")


def test_a_short_number_of_a_batch_job_proves_nothing(tmp_path: Path) -> None:
    """Disks have numbers too."""
    (tmp_path / "disk-7").mkdir()
    assert said(tmp_path / "disk-7", {"SLURM_JOB_ID": "7"}, mounts(tmp_path)).startswith("recovery: yes")


def test_a_private_tmp_is_noticed_by_what_is_bound_there(tmp_path: Path) -> None:
    """Slurm's job_container/tmpfs gives each job a /tmp of its own and sets no variable."""
    line = f"40 22 8:1 /slurm/123456/_tmp {tmp_path} rw - ext4 /dev/sda1 rw"
    listed = mounts(tmp_path, line)
    (tmp_path / "work").mkdir()
    assert said(tmp_path / "work", {"SLURM_JOB_ID": "123456"}, listed).startswith("recovery: no")
    assert said(tmp_path / "work", {"SLURM_JOB_ID": "999999"}, listed).startswith("recovery: yes")


def test_a_tmp_that_htcondor_binds_from_its_scratch_directory_is_emptied_with_it(tmp_path: Path) -> None:
    """As HTCondor 23 does by default, with TMPDIR set to /tmp: no name tells it, only the list of mounts."""
    place, workdir = tmp_path / "execute" / "dir_17", tmp_path / "tmp"
    for directory in (place, workdir):
        directory.mkdir(parents=True)
    environ = {"_CONDOR_SCRATCH_DIR": str(place)}
    line = said(workdir, environ, mounts(tmp_path, f"40 22 8:1 {place}/tmp {workdir} rw - ext4 /dev/sda1 rw"))
    assert line.startswith("recovery: no")
    assert f"{workdir} is bound there from _CONDOR_SCRATCH_DIR ({place})" in line
    for other in (f"8:1 {place}2/tmp", f"8:2 {place}/tmp"):
        listed = mounts(tmp_path, f"40 22 {other} {workdir} rw - ext4 /dev/sda1 rw")
        assert said(workdir, environ, listed).startswith("recovery: yes")


def test_a_home_that_pbs_names_is_not_emptied(tmp_path: Path) -> None:
    """Without a sandbox the job's directory is its user's home."""
    environ = {"PBS_JOBDIR": str(tmp_path), "HOME": str(tmp_path)}
    assert said(tmp_path, environ, mounts(tmp_path)).startswith("recovery: yes")


def test_shared_scratch_is_said(tmp_path: Path) -> None:
    """A pilot on another node can go on there as well."""
    (tmp_path / "shared area").mkdir()
    place = str(tmp_path / "shared area").replace(" ", "\\040")
    listed = mounts(tmp_path, f"41 22 0:50 / {place} rw - nfs4 files.example.org:/scratch rw")
    line = said(tmp_path / "shared area", {}, listed)
    assert "on any node that has it (nfs4 from files.example.org:/scratch)" in line
    assert "any node" not in said(tmp_path, {}, listed)


def test_a_pilot_that_shall_not_recover_says_that_it_does_not(tmp_path: Path) -> None:
    """What it leaves is for others all the same."""
    assert "(--no-recover)" in said(tmp_path, {}, mounts(tmp_path), recover=False)


def test_job_directories_of_other_users_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They lie there for ever unless their own user comes."""
    (tmp_path / "PanDA_Pilot-1").mkdir()
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert "1 job directories there belong to other users" in said(tmp_path, {}, mounts(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: owner)
    assert "other users" not in said(tmp_path, {}, mounts(tmp_path))


def test_the_kernels_own_list_can_be_read(tmp_path: Path) -> None:
    """Every directory lies on something; without the list, nothing is known and nothing is claimed."""
    mount = mount_of(tmp_path)
    assert MOUNTS.exists() and mount is not None and str(tmp_path).startswith(mount.point)
    assert mount_of(tmp_path, tmp_path / "none") is None
    assert said(tmp_path, {}, tmp_path / "none").startswith("recovery: yes")


def test_a_later_mount_covers_an_earlier_one_at_the_same_place(tmp_path: Path) -> None:
    """As the kernel sees it; lines that are none are passed over."""
    listed = mounts(
        tmp_path,
        f"40 22 0:40 / {tmp_path} rw - nfs4 a:/x rw",
        "nonsense",
        f"41 40 0:41 / {tmp_path} rw - tmpfs none rw",
    )
    mount = mount_of(tmp_path / "below", listed)
    assert mount is not None and (mount.kind, mount.shared) == ("tmpfs", False)
