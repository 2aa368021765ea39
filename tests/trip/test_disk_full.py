"""Full disks under real pilots: said as 1098, nothing lost, no traceback, and a documented exit code."""

import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from disk_kit import SmallDisk, small_disk
from grid import Grid, wait_for

FILL = """
import os
file = open('fat', 'wb', buffering=0)
for size in (65536, 4096, 1):
    try:
        while True: file.write(b'x' * size)
    except OSError:
        pass
"""
"""A payload that takes the last byte of its disk."""

FILL_FOR_EVER = (
    FILL
    + """
open('told', 'w')
while True:
    try: file.write(b'x')
    except OSError: pass
"""
)
"""One that takes every byte that becomes free, for ever."""


@pytest.fixture
def disk(grid: Grid) -> Iterator[SmallDisk]:
    """The work directory as a file system of its own, of 4 MB."""
    with small_disk(grid.workdir, "4m") as made:
        yield made


def embarrassments(grid: Grid) -> list[str]:
    """Lines of the pilots' output that nobody should have to read."""
    signs = ('  File "', "never awaited", "Exception")
    return [line for line in grid.output().splitlines() if any(sign in line for sign in signs)]


def check_failed(grid: Grid, job_id: int, *codes: int) -> str:
    """The job has failed with one of these codes, 1098 if none is given; its text."""
    assert grid.wait_status(job_id, "failed", "finished") == "failed", grid.output()[-3000:]
    found, diag = grid.errors(job_id)["pilot"]
    assert found in (codes or (1098,)), (diag, grid.output()[-3000:])
    assert not embarrassments(grid)
    return diag


def test_a_work_directory_that_is_full_from_the_start(grid: Grid, disk: SmallDisk) -> None:
    """The job that was taken is reported; no further one is, since it would fare no better."""
    first, second = grid.submit("/bin/true"), grid.submit("/bin/true")
    disk.fill()
    assert grid.pilot().wait(60) == 69, grid.output()[-3000:]
    assert "disk is full" in check_failed(grid, first)
    assert grid.status(second) == "activated"
    assert not grid.job_dir(first).exists()


def test_a_file_system_without_inodes(grid: Grid) -> None:
    """Bytes are not all that a disk can run out of."""
    with small_disk(grid.workdir, "4m", "nr_inodes=5"):
        job_id = grid.submit("/bin/true")
        assert grid.pilot().wait(60) == 69, grid.output()[-3000:]
        check_failed(grid, job_id)
        assert not grid.job_dir(job_id).exists()


def test_a_payload_that_fills_the_disk(grid: Grid, disk: SmallDisk) -> None:
    """The disk is named as the cause, its log archive is there, and the next job has room again."""
    first = grid.submit_python(FILL + "raise SystemExit(3)\n")
    second = grid.submit("/bin/true")
    assert grid.pilot().wait(60) == 0, grid.output()[-3000:]
    assert "exit code 3" in check_failed(grid, first)
    assert (grid.store / f"log.{first}.tgz").stat().st_size
    assert grid.wait_status(second, "finished", "failed") == "finished"


def test_a_payload_that_fills_the_disk_and_ends_well(grid: Grid, disk: SmallDisk) -> None:
    """It did its work: everything that follows finds room in the reserve."""
    job_id = grid.submit_python(FILL)
    assert grid.pilot("--jobs", "1").wait(60) == 0, grid.output()[-3000:]
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert (grid.store / f"log.{job_id}.tgz").stat().st_size
    assert not embarrassments(grid)


@pytest.mark.parametrize("words", [0, 1000, 2000, 3000])
def test_a_payload_that_takes_every_byte_for_ever_is_stopped_all_the_same(
    grid: Grid, disk: SmallDisk, words: int
) -> None:
    """What is set aside for the journal does not go to the payload, wherever in a block the journal ends."""
    job_id = grid.submit_python(FILL_FOR_EVER, jobName="x" * words)
    pilot = grid.pilot("--stop-grace", "0.2")
    wait_for(lambda: (grid.job_dir(job_id) / "told").exists(), "the disk is full")
    pilot.send_signal(signal.SIGTERM)
    assert pilot.wait(60) == 143, grid.output()[-3000:]
    # Which of the two stopped it depends on which record was the first without room.
    check_failed(grid, job_id, 1201, 1098)
    assert not grid.job_dir(job_id).exists()


def test_an_input_that_does_not_fit(grid: Grid, disk: SmallDisk) -> None:
    """1098, not the storage's fault; the half of it is removed."""
    checksum = grid.put("big.dat", b"x" * 5_000_000)
    job_id = grid.submit(
        "/bin/true",
        inFiles="big.dat",
        fsize="5000000",
        checksum=checksum,
        scopeIn="t",
        ddmEndPointIn="DISK",
        GUID="G",
    )
    assert grid.pilot("--jobs", "1", "--no-cleanup").wait(60) == 0, grid.output()[-3000:]
    assert "big.dat" in check_failed(grid, job_id)
    assert (grid.store / f"log.{job_id}.tgz").stat().st_size
    assert [path.name for path in grid.job_dir(job_id).iterdir() if "big" in path.name] == []


def test_a_log_archive_that_does_not_fit(grid: Grid, disk: SmallDisk) -> None:
    """More output than there is room to pack: beginnings and ends are packed, and the good job is not lost."""
    job_id = grid.submit_python("import os, sys\nsys.stdout.buffer.write(os.urandom(2_700_000))\n" + FILL)
    assert grid.pilot("--jobs", "1").wait(60) == 0, grid.output()[-3000:]
    assert grid.wait_status(job_id, "failed", "finished") == "finished", grid.errors(job_id)
    with tarfile.open(grid.store / f"log.{job_id}.tgz") as archive:
        sizes = {Path(member.name).name: member.size for member in archive.getmembers()}
    assert "archive_notes.txt" in sizes
    assert 60_000 < sizes["payload.stdout"] < 70_000
    assert not embarrassments(grid)


def test_a_full_storage(grid: Grid) -> None:
    """The output waits for room; a pilot that shall not wait says 1333; the payload's record stays what it was."""
    with small_disk(grid.store, "64k") as storage:
        job_id = grid.submit_python(
            "import os\nopen('out.' + os.environ['PANDAID'] + '.dat', 'wb').write(b'x' * 100_000)\n",
            outFiles="out.$PANDAID.dat", scopeOut="t",
        )  # fmt: skip
        assert grid.pilot("--jobs", "1").wait(60) == 0, grid.output()[-3000:]
        assert grid.wait_status(job_id, "holding", "failed", "finished") == "holding"
        assert grid.errors(job_id)["pilot"][0] == 1333
        assert grid.pilot("--no-hold-outputs").wait(60) == 0, grid.output()[-3000:]
        check_failed(grid, job_id, 1333)
        assert sorted(path.name for path in storage.place.iterdir()) == [f"log.{job_id}.tgz"]
        assert grid.job(job_id)["row"].get("trans_exit_code", 0) == 0


def test_a_later_pilot_takes_a_job_up_from_a_full_disk(grid: Grid, disk: SmallDisk) -> None:
    """The payload filled the disk after its pilot was killed: how it ended is known, and the job is reported."""
    job_id = grid.submit_python(
        "import os, time\nprint('begun', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.02)\n"
        + FILL
        + "raise SystemExit(3)\n"
    )
    pilot = grid.pilot()
    grid.wait_event(job_id, "PayloadStarted")
    pilot.kill()
    pilot.wait()
    (grid.job_dir(job_id) / "go").touch()
    wait_for(lambda: disk.free_bytes == 0, "the disk is full")
    assert grid.pilot().wait(60) == 0, grid.output()[-3000:]
    assert "exit code 3" in check_failed(grid, job_id)
    assert not grid.job_dir(job_id).exists()


@pytest.mark.parametrize("keep_kb", [0, 4, 8, 16, 32, 64, 400, 512, 528, 560, 640])
def test_wherever_the_room_ends_the_job_is_reported(grid: Grid, disk: SmallDisk, keep_kb: int) -> None:
    """Room for nothing, a directory, the reserve, a record, a launch: each end is said, and none is lost."""
    job_id = grid.submit("/bin/echo", "some words")
    disk.fill(keep_bytes=keep_kb << 10)
    assert grid.pilot("--jobs", "1").wait(60) in (0, 69), grid.output()[-3000:]
    if grid.wait_status(job_id, "failed", "finished") == "failed":
        check_failed(grid, job_id)
    assert not list(grid.workdir.glob("PanDA_Pilot-*"))
    assert not embarrassments(grid)


MUTE = """
import os, sys
full = os.open('/dev/full', os.O_WRONLY)
os.dup2(full, 1), os.dup2(full, 2)
os.execv(sys.executable, [sys.executable, "-m", "picard_pilot.cli.main", *sys.argv[1:]])
"""
"""A pilot whose stdout and stderr lie on a full disk."""


def test_a_full_disk_under_the_pilot_s_own_output(grid: Grid) -> None:
    """The wrapper's log cannot grow: the jobs do not care, and the exit code is the usual one."""
    job_id = grid.submit("/bin/true")
    assert grid.pilot(program=("-c", MUTE)).wait(60) == 0
    assert grid.wait_status(job_id, "finished", "failed") == "finished"
    assert "exit code 0" in (grid.workdir / "pilotlog.txt").read_text()


def test_a_pilot_without_any_stream(grid: Grid) -> None:
    """Started with stdin, stdout and stderr closed: the files it opens do not take their place."""
    closed = (
        "import os, sys\nos.closerange(0, 3)\nos.execv(sys.executable, [sys.executable, '-m', *sys.argv[1:]])"
    )
    job_id = grid.submit_python(
        "import os, sys\nprint('to stdout', flush=True)\nprint('to stderr', file=sys.stderr, flush=True)\n"
        "open('out.' + os.environ['PANDAID'] + '.txt', 'w').write('saved' + sys.stdin.read())\n",
        outFiles="out.$PANDAID.txt", scopeOut="t",
    )  # fmt: skip
    pilot = grid.pilot("--jobs", "1", "--no-cleanup", program=("-c", closed, "picard_pilot.cli.main"))
    assert pilot.wait(60) == 0
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert (grid.store / f"out.{job_id}.txt").read_text() == "saved"
    assert (grid.job_dir(job_id) / "payload.stdout").read_text() == "to stdout\n"
    assert (grid.job_dir(job_id) / "payload.stderr").read_text() == "to stderr\n"
    assert grid.events(job_id)[-1] == "ReportAccepted"


def test_nobody_reads_the_pilot_s_output(grid: Grid) -> None:
    """A pipe whose reader is gone: the same."""
    closed = MUTE.replace(
        "full = os.open('/dev/full', os.O_WRONLY)", "reader, full = os.pipe()\nos.close(reader)"
    )
    job_id = grid.submit("/bin/true")
    assert grid.pilot(program=("-c", closed)).wait(60) == 0
    assert grid.wait_status(job_id, "finished", "failed") == "finished"
