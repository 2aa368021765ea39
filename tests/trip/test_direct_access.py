"""A whole job that reads a large input where it is and has a small one copied."""

import json
import shlex
import sys
from pathlib import Path

from grid import Grid

LARGE_BYTES = 3_000_000_000
"""More than the 2 GiB up to which a queue copies by default; sparse, so that it takes no room."""

BEGINNING = b"root, the beginning of a large file"

PAYLOAD = """
import os, sys, urllib.parse
import xml.etree.ElementTree as tree

large, small = sys.argv[1:]
assert large.startswith("file:///"), large
path = urllib.parse.unquote(large[len("file://"):])
with open(path, "rb") as file:
    beginning = file.read(35)
assert not os.path.lexists("large.root")
assert small == "small.root" and not os.path.islink(small)
content = open(small, "rb").read()
turls = open(os.environ["PILOT_INPUT_TURLS"]).read().splitlines()
assert turls == [large, small], turls
files = {
    file.find("logical/lfn").get("name"): (file.get("ID"), file.find("physical/pfn").get("name"))
    for file in tree.parse(os.environ["PILOT_POOL_FILE_CATALOG"]).getroot()
}
assert files == {"large.root": ("G-1", large), "small.root": ("G-2", "small.root")}, files
assert os.path.basename(os.environ["PILOT_POOL_FILE_CATALOG"]) == "PoolFileCatalog.xml"
with open("result.dat", "wb") as out:
    out.write(beginning + content)
"""


def submit(grid: Grid, parameters: str = "{turl:large.root} {turl:small.root}", **spec: object) -> int:
    """A job with a large and a small input on the site's storage."""
    with (grid.store / "large.root").open("wb") as file:
        file.write(BEGINNING)
        file.truncate(LARGE_BYTES)
    checksum = grid.put("small.root", b"small" * 600_000)
    script = grid.directory / "payload.py"
    script.write_text(PAYLOAD)
    return grid.submit(
        shlex.quote(sys.executable),
        f"-E {shlex.quote(str(script))} {parameters}",
        inFiles="large.root,small.root",
        fsize=f"{LARGE_BYTES},3000000",
        checksum=f"NULL,{checksum}",
        scopeIn="t,t",
        GUID="G-1,G-2",
        ddmEndPointIn="DISK,DISK",
        outFiles="result.dat",
        scopeOut="t",
        **spec,
    )


def permit(grid: Grid) -> None:
    """Let the queue's payloads read on the site's storage."""
    said = grid.site_file.read_text()
    grid.site_file.write_text(
        said.replace('status = "online"', 'status = "online"\ndirect_access_lan = true')
    )


def staged(grid: Grid, job_id: int) -> dict[str, dict[str, object]]:
    """The journal's word on each input."""
    return {
        record["event"]["lfn"]: record["event"]
        for record in grid.journal(job_id)
        if record["event"]["event"] == "InputStaged"
    }


def test_a_large_input_read_directly_and_a_small_one_copied(grid: Grid) -> None:
    """Each by the way that suits it; the payload finds both, and the reasons are in journal and log."""
    permit(grid)
    job_id = submit(grid)
    assert grid.pilot("--jobs", "1", "--no-cleanup").wait(60) == 0, grid.output()[-3000:]
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert (grid.store / "result.dat").read_bytes() == BEGINNING + b"small" * 600_000
    inputs = staged(grid, job_id)
    assert inputs["large.root"]["how"] == "direct"
    assert inputs["large.root"]["turl"] == f"file://{grid.store}/large.root"
    assert "more than the queue's 2147483648 for a copy" in str(inputs["large.root"]["reason"])
    assert inputs["small.root"]["how"] in ("copy", "reflink")
    assert "copied: 3000000 bytes" in str(inputs["small.root"]["reason"])
    log = (grid.job_dir(job_id) / "pilotlog.txt").read_text()
    assert "large.root from DISK (the job names DISK; read directly: 3000000000 bytes are more than" in log
    assert "opened in" in log
    page = json.dumps(grid.job(job_id))
    assert "large.root | DISK | direct" in page
    assert "read directly: 3000000000 bytes are more than" in page


def test_a_job_that_asks_for_direct_access(grid: Grid) -> None:
    """`transferType=direct` counts for small inputs too; the reason says who asked."""
    permit(grid)
    checksum = grid.put("small.root", b"small")
    job_id = grid.submit(
        shlex.quote(sys.executable),
        "-c \"import os, sys; assert not os.path.lexists('small.root'); "
        "assert sys.argv[1].startswith('file:///')\" {turl:small.root}",
        inFiles="small.root",
        fsize="5",
        checksum=checksum,
        scopeIn="t",
        GUID="G-2",
        ddmEndPointIn="DISK",
        transferType="direct",
    )
    assert grid.pilot("--jobs", "1", "--no-cleanup").wait(60) == 0, grid.output()[-3000:]
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert "transferType=direct" in str(staged(grid, job_id)["small.root"]["reason"])


def test_a_job_that_asks_for_copies_of_what_cannot_be_copied(grid: Grid) -> None:
    """Its own word counts; the queue's limit then refuses it before a byte is moved, saying why."""
    permit(grid)
    said = grid.site_file.read_text()
    grid.site_file.write_text(said + f"\n[queue.{grid.queue}.limits]\nmaxinputsize_mb = 100\n")
    job_id = submit(grid, "--useLocalIO {turl:large.root} {turl:small.root}")
    assert grid.pilot("--jobs", "1", "--no-cleanup").wait(60) == 0, grid.output()[-3000:]
    assert grid.wait_status(job_id, "finished", "failed") == "failed"
    code, says = grid.errors(job_id)["pilot"]
    assert code == 1168
    assert "large.root" in says
    assert not staged(grid, job_id)


def test_a_database_release_of_the_node_is_not_staged_in(grid: Grid) -> None:
    """A row in the queue's file, and the release is linked from where it lies."""
    release = grid.directory / "cvmfs" / "31.8.1" / "DBRelease-31.8.1.tar.gz"
    release.parent.mkdir(parents=True)
    release.write_bytes(b"conditions")
    said = grid.site_file.read_text()
    grid.site_file.write_text(
        f"{said}\n[[queue.{grid.queue}.local_files]]\nnames = 'DBRelease-(.+)\\.tar\\.gz'\n"
        f'path = "{grid.directory}/cvmfs/{{1}}/{{0}}"\n'
    )
    job_id = grid.submit(
        "/bin/cp",
        "{turl:DBRelease-31.8.1.tar.gz} result.dat",
        inFiles=release.name,
        fsize="10",
        checksum="NULL",
        scopeIn="ddo",
        GUID="G",
        ddmEndPointIn="DISK",
        outFiles="result.dat",
        scopeOut="t",
    )
    assert grid.pilot("--jobs", "1", "--no-cleanup").wait(60) == 0, grid.output()[-3000:]
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert (grid.store / "result.dat").read_bytes() == b"conditions"
    assert staged(grid, job_id)[release.name]["endpoint"] == "node"
    assert (grid.job_dir(job_id) / release.name).readlink() == Path(release)
