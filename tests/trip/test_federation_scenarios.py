"""Whole jobs on a real XRootD federation: a site that lost its copy, and large files read where they are."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from storage_kit import HASTY, inputs, outputs, queue_of, stored

from grid import Grid

if TYPE_CHECKING:
    from federation import Federation

pytestmark = pytest.mark.xdist_group("xrootd")

LARGE_BYTES = 3 << 30
SMALL = os.urandom(3 << 20)
LAST_WORD = b"the last word of a large file"


def test_the_site_lost_its_copy_and_the_federation_has_it(grid: Grid, federation: "Federation") -> None:
    """The queue's storage says no such file; the redirector finds it at another site."""
    name = f"in-{grid.queue}.dat"
    federation.sites[2].storage.put(name, SMALL)
    queue_of(
        grid,
        {"SITE": federation.sites[0].root},
        activities={"pr": ["SITE"], "pw": ["DISK"]},
        tables=f'[queue.{grid.queue}.federation]\nredirector = "{federation.root}"\npaths = "flat"',
    )
    job = grid.submit_python(
        f"import os; assert os.path.getsize({name!r}) == {len(SMALL)}", **inputs({name: SMALL})
    )
    assert grid.pilot(*HASTY, "--no-cleanup").wait(90) == 0, grid.output()
    assert grid.wait_status(job, "finished", "failed") == "finished", grid.errors(job)
    staged = next(
        record["event"] for record in grid.journal(job) if record["event"]["event"] == "InputStaged"
    )
    assert "federation" in staged["reason"]
    assert f"filesWithFAX=1 bytesWithFAX={len(SMALL)}" in grid.job(job)["usage"]["job_metrics"]


def test_a_large_file_is_read_directly_and_a_small_one_copied_in_one_job(
    grid: Grid, federation: "Federation", tmp_path: Path
) -> None:
    """The payload finds the small input beside it, and the large one by the address it was given."""
    site = federation.sites[0]
    large, small = f"large-{grid.queue}.root", f"small-{grid.queue}.root"
    path = site.storage.put(large, b"")
    os.truncate(path, LARGE_BYTES - len(LAST_WORD))
    with path.open("ab") as file:
        file.write(LAST_WORD)
    site.storage.put(small, SMALL)
    queue_of(
        grid,
        {"SITE": site.root},
        activities={"pr": ["SITE"], "pw": ["DISK"]},
        queue_lines="direct_access_lan = true",
    )
    script = tmp_path / "read.sh"
    script.write_text(
        "set -e\n"
        f"test $(stat -c %s {shlex.quote(small)}) = {len(SMALL)}\n"
        f"test ! -e {shlex.quote(large)}\n"
        f"turl=$(grep {shlex.quote(large)} input_turls.txt)\n"
        "door=$(echo $turl | cut -d/ -f1-3)\n"
        f'xrdfs "$door" tail -c {len(LAST_WORD)} "/${{turl#"$door"//}}" >out.dat\n'
        f'grep -q "$turl" PoolFileCatalog.xml\n'
    )
    job = grid.submit(
        "/bin/sh",
        shlex.quote(str(script)),
        **inputs({large: (LARGE_BYTES, "ad:00000001"), small: SMALL}),
        **outputs("out.dat"),
    )
    assert grid.pilot(*HASTY, "--no-cleanup").wait(90) == 0, grid.output()
    assert grid.wait_status(job, "finished", "failed") == "finished", (grid.errors(job), grid.output())
    how = {
        record["event"]["lfn"]: record["event"]["how"]
        for record in grid.journal(job)
        if record["event"]["event"] == "InputStaged"
    }
    assert how == {large: "direct", small: "copy"}
    assert (grid.store / "out.dat").read_bytes() == LAST_WORD
    assert stored(grid, job)["out.dat"]["endpoint"] == "DISK"


def test_an_output_goes_to_a_site_by_root(grid: Grid, federation: "Federation") -> None:
    """Stored under its final name, complete, with the checksum that the report tells."""
    name = f"out-{grid.queue}.dat"
    site = federation.sites[1]
    queue_of(grid, {"SITE": site.root}, activities={"pr": ["SITE"], "pw": ["SITE"]})
    job = grid.submit_python(f"open({name!r}, 'wb').write(b'result' * 1000)", **outputs(name))
    assert grid.pilot(*HASTY).wait(90) == 0, grid.output()
    assert grid.wait_status(job, "finished", "failed") == "finished", grid.errors(job)
    assert site.storage.read(name) == b"result" * 1000
    assert not [left for left in site.storage.names() if left.endswith(".part")]
