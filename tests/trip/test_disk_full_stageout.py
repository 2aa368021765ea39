"""The work directory's disk is full in the middle of a stage-out: outputs are safe, and the end is told."""

from collections.abc import Iterator

import pytest
from eventful_storage import EVENT
from test_disk_full import embarrassments
from test_storage_nights import Storages, record, run, submit

from disk_kit import SmallDisk, small_disk
from grid import Grid

NO_SPACE = 69
"""How a pilot leaves whose disk takes not even a record."""


@pytest.fixture
def disk(grid: Grid) -> Iterator[SmallDisk]:
    """The work directory as a file system of its own, of 4 MB."""
    with small_disk(grid.workdir, "4m") as made:
        yield made


class Filling(Storages):
    """Storages that fill the pilot's disk when such a file is stored."""

    def __init__(self, grid: Grid, word: str, name: str) -> None:
        super().__init__(grid)
        text = grid.site_file.read_text()
        grid.site_file.write_text(text.replace("fickle_storage:Fickle", "eventful_storage:Eventful"))
        for folder in (self.first, self.second):
            (folder / EVENT).write_text(f"{word} {name}")

    def well(self) -> None:
        """They have mended their ways."""
        super().well()
        for folder in (self.first, self.second):
            (folder / EVENT).unlink()


TROUBLES = {
    "none": ("", 0),
    "the first refuses": ("space", 1),
    "the first is late": ("late", 1),
    "all": ("contact", 2),
}
"""Which storages have which trouble with outputs."""


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("word", ["fill", "bare"])
@pytest.mark.parametrize("health", ["elsewhere", "on the full disk"])
def test_a_disk_that_is_full_while_an_output_is_stored(
    grid: Grid, disk: SmallDisk, word: str, trouble: str, health: str
) -> None:
    """What was set aside takes the records; where that is gone, the job waits on disk for a pilot that has room."""
    storages = Filling(grid, word, "out.")
    job_id, counter = submit(grid)
    says, count = TROUBLES[trouble]
    storages.trouble(says, *(storages.first, storages.second)[:count] or (grid.directory,))
    flags = ("--node-directory", str(grid.workdir / "node")) if health == "on the full disk" else ()
    code = run(grid, "--jobs", "1", "--no-cleanup", *flags)
    # What is left of its last block may just do for the journal.
    assert code == 0 or (word, code) == ("bare", NO_SPACE), grid.output()[-3000:]
    assert not embarrassments(grid)
    if "OutputStored" not in grid.events(job_id):
        assert (grid.job_dir(job_id) / f"out.{job_id}.txt").read_text() == "precious"
    if code == NO_SPACE or grid.status(job_id) == "holding":
        disk.empty()
        storages.well()
        assert run(grid, "--no-cleanup", *flags) == 0, grid.output()[-3000:]
    assert grid.wait_status(job_id, "finished", "failed") == "finished", (grid.errors(job_id), grid.output())
    lfn = f"out.{job_id}.txt"
    copies = [folder for folder in (storages.first, storages.second) if (folder / lfn).exists()]
    assert [f"file://{folder}/{lfn}" for folder in copies] == [record(grid, job_id)["surl"]]
    assert (copies[0] / lfn).read_text() == "precious"
    assert counter.read_text() == "x"
    assert not embarrassments(grid)


@pytest.mark.parametrize("word", ["fill", "bare"])
def test_a_disk_that_is_full_while_the_log_is_stored(grid: Grid, disk: SmallDisk, word: str) -> None:
    """The outputs are stored already: the job ends well, now or with the next pilot."""
    storages = Filling(grid, word, "log.")
    job_id, counter = submit(grid)
    assert run(grid, "--jobs", "1", "--no-cleanup") in (0, NO_SPACE), grid.output()[-3000:]
    if grid.status(job_id) != "finished":
        assert word == "bare", grid.output()[-3000:]
        disk.empty()
        storages.well()
        assert run(grid, "--no-cleanup") == 0, grid.output()[-3000:]
    assert grid.wait_status(job_id, "finished", "failed") == "finished", (grid.errors(job_id), grid.output())
    assert (storages.first / f"log.{job_id}.tgz").stat().st_size
    assert counter.read_text() == "x"
    assert not embarrassments(grid)


FILL_ALL = """
import os, sys
sys.stdout.buffer.write(os.urandom(300_000))
def fill(name):
    file = open(name, 'wb', buffering=0)
    for size in (65536, 4096, 1):
        try:
            while True: file.write(b'x' * size)
        except OSError: pass
fill('out.' + os.environ['PANDAID'] + '.dat')
os.remove('picard/reserve')
fill('more')
"""
"""A payload whose output takes the whole disk; what was set aside is taken as well."""


def test_a_log_for_which_the_job_s_own_files_leave_no_room(grid: Grid, disk: SmallDisk) -> None:
    """They are stored, and give way to it; so do the inputs."""
    checksum = grid.put("in.dat", b"i" * 1_000_000)
    job_id = grid.submit_python(
        FILL_ALL,
        inFiles="in.dat", fsize="1000000", checksum=checksum, scopeIn="t", ddmEndPointIn="DISK", GUID="G",
        outFiles="out.$PANDAID.dat", scopeOut="t",
    )  # fmt: skip
    assert run(grid, "--jobs", "1", "--no-cleanup") in (0, NO_SPACE), grid.output()[-3000:]
    assert grid.wait_status(job_id, "finished", "failed", "holding") == "finished", grid.output()[-3000:]
    assert (grid.store / f"out.{job_id}.dat").stat().st_size > 1_000_000
    assert (grid.store / f"log.{job_id}.tgz").stat().st_size
    assert not (grid.job_dir(job_id) / "in.dat").exists()
