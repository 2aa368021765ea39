"""Reading control groups: a real one where this machine lets us make one, and the files of both versions."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from process_kit import PYTHON, until

from picard_pilot.model.usage import CgroupSample
from picard_pilot.watch import cgroups

MB = 1 << 20
VERSION_1 = Path("/sys/fs/cgroup/memory")


def make(folder: Path, files: dict[str, str]) -> Path:
    """A group of files."""
    folder.mkdir(parents=True)
    for name, text in {"cgroup.procs": "", **files}.items():
        (folder / name).write_text(text)
    return folder


def test_version_2_is_read_without_the_page_cache(tmp_path: Path) -> None:
    """Anonymous and shared memory and swap; the limit is the smallest on the way up, as HTCondor sets it above."""
    make(tmp_path / "slot.slice", {"memory.max": "268435456\n"})
    group = make(
        tmp_path / "slot.slice" / "slot.scope",
        {
            "memory.max": "max\n",
            "memory.peak": "62914560\n",
            "memory.swap.current": "1000\n",
            "memory.stat": "anon 5000\nfile 900000\nkernel 77\nshmem 300\n",
            "memory.events": "low 0\nhigh 0\nmax 4\noom 1\noom_kill 2\noom_group_kill 1\n",
            "cpu.stat": "usage_usec 4220000\nuser_usec 1\n",
            "pids.current": "7\n",
        },
    )
    assert cgroups.read(group) == CgroupSample(
        memory_bytes=6300, peak_bytes=62914560, limit_bytes=268435456, oom_kills=2, cpu_s=4.22, processes=7
    )


def test_version_1_is_read_without_the_page_cache(tmp_path: Path) -> None:
    """Its word for no limit is a number near 2**63."""
    group = make(
        tmp_path / "job",
        {
            "memory.usage_in_bytes": "999999\n",
            "memory.limit_in_bytes": "9223372036854771712\n",
            "memory.max_usage_in_bytes": "1000001\n",
            "memory.stat": "rss 1\ntotal_rss 5000\ntotal_cache 900000\ntotal_shmem 300\ntotal_swap 1000\n",
            "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
        },
    )
    assert cgroups.read(group) == CgroupSample(memory_bytes=6300, peak_bytes=1000001, oom_kills=3)


def test_a_group_without_the_memory_controller_knows_nothing_and_not_zero(tmp_path: Path) -> None:
    """A hybrid layout, or a group to which it was not delegated; and a directory that is no group."""
    assert cgroups.read(make(tmp_path / "bare", {"cpu.stat": "usage_usec 10\n"})) == CgroupSample(cpu_s=1e-5)
    broken = {"memory.stat": "anon\nfile many\n", "memory.max": "\n", "memory.events": "?"}
    assert cgroups.read(make(tmp_path / "broken", broken)) == CgroupSample()
    assert cgroups.read(tmp_path) is None
    assert cgroups.read(tmp_path / "gone") is None


def test_the_group_of_a_process_is_found_in_what_is_mounted(tmp_path: Path) -> None:
    """Version 2 alone, version 1 beside it, and a mount whose top is a group itself, as in a container."""
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "5").mkdir()
    mounted = tmp_path / "with blank" / "cgroup"
    group = make(mounted / "batch" / "job", {"memory.events": "oom_kill 0\n"})
    point = str(mounted).replace(" ", "\\040")

    def found(groups: str, *mounts: str) -> Path | None:
        (proc / "5" / "cgroup").write_text(groups)
        (proc / "self" / "mountinfo").write_text("\n".join(mounts) + "\n")
        return cgroups.memory_group_of(5, proc=proc)

    version_2 = f"30 24 0:26 / {point} rw shared:4 - cgroup2 cgroup2 rw"
    version_1 = f"31 24 0:27 / {point} rw - cgroup cgroup rw,memory"
    others = (
        "32 24 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct",
        "33 24 8:1 / / rw - ext4 /dev/sda rw",
    )
    assert found("0::/batch/job\n", *others, version_2) == group
    assert found("9:memory:/batch/job\n0::/elsewhere\n", *others, version_1) == group
    inside = f"34 24 0:26 /batch {point}/batch rw - cgroup2 cgroup2 rw"
    assert found("0::/batch/job\n", inside) == group
    itself = f"35 24 0:26 /batch/job {point}/batch/job rw - cgroup2 cgroup2 rw"
    assert found("0::/batch/job\n", itself) == group
    assert found("0::/other\n", inside) is None
    assert found("0::/batch\n", version_2) is None
    assert found("8:cpu,cpuacct:/batch/job\n", *others) is None
    assert found("", "nonsense", "- -") is None


def test_our_own_group_is_found_or_not_there_at_all() -> None:
    """Whatever this machine has; what is found can be read."""
    found = cgroups.memory_group_of(os.getpid())
    if found is not None:
        sample = cgroups.read(found)
        assert sample is not None
        assert sample.oom_kills is not None
    assert cgroups.memory_group_of(0x7FFFFFF0) is None


@pytest.fixture
def real_group() -> Iterator[Path]:
    """A group of version 1 with a limit of 40 MB."""
    group = VERSION_1 / f"picard-test-{secrets.token_hex(6)}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(40 * MB))
    except OSError as error:
        if group.is_dir():
            group.rmdir()
        pytest.skip(f"no control group of version 1 can be made here: {error}")
    yield group
    until(lambda: not (group / "cgroup.procs").read_text(), "the group to be empty")
    group.rmdir()


def _in_group(group: Path, text: str) -> "subprocess.Popen[bytes]":
    join = f"open({str(group / 'cgroup.procs')!r}, 'w').write('0')\n"
    return subprocess.Popen([*PYTHON, "-c", join + text], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_a_real_group_counts_what_lives_in_it(real_group: Path) -> None:
    """Memory that was taken, not files that were read."""
    text = "x = bytearray(20 << 20)\nprint('ready', flush=True)\ninput()\n"
    with _in_group(real_group, text) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        sample = cgroups.read(real_group)
        child.kill()
    assert sample is not None
    assert sample.memory_bytes is not None
    assert 20 * MB <= sample.memory_bytes < 40 * MB
    assert sample.limit_bytes == 40 * MB
    assert sample.oom_kills == 0


def test_a_kill_by_the_kernel_is_a_fact_of_the_group(real_group: Path) -> None:
    """A number, not a text in somebody's log."""
    text = "x = bytearray(400 << 20)\n"
    with _in_group(real_group, text) as child:
        assert child.wait() == -9
    sample = cgroups.read(real_group)
    assert sample is not None
    assert sample.oom_kills is not None
    assert sample.oom_kills >= 1
