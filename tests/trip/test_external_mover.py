"""A whole job whose files a site's own program moves: the example of the page, named by the queue."""

from pathlib import Path

from storage_kit import HASTY, inputs, log_of, outputs, stored

from grid import ROOT, Grid

EXAMPLE = ROOT / "examples" / "external-mover" / "folder-mover"
CONTENT = b"moved by hand"


def queue(grid: Grid, mover: str, mount: Path) -> None:
    """A queue with one endpoint of an invented scheme, which only the program knows."""
    grid.site_file.write_text(
        f"""
        [queue.{grid.queue}]
        state = "ACTIVE"
        status = "online"
        [queue.{grid.queue}.environment]
        SITE_MOUNT = "{mount}"
        [queue.{grid.queue}.endpoints]
        default = ["OWN"]
        [queue.{grid.queue}.movers]
        default = ["{mover}"]
        [endpoint.OWN]
        protocols = ["mounted://site"]
        paths = "flat"
        """
    )


def test_a_job_by_a_sites_program(grid: Grid, tmp_path: Path) -> None:
    """Input, output and log go through the program, which the queue names with its path and its variables."""
    mount = tmp_path / "mount"
    (mount / "site").mkdir(parents=True)
    (mount / "site" / "in.txt").write_bytes(CONTENT)
    queue(grid, f"external:{EXAMPLE}", mount)
    job = grid.submit_python(
        "open('out.txt', 'wb').write(open('in.txt', 'rb').read().upper())",
        **{**inputs({"in.txt": CONTENT}), **outputs("out.txt"), "scopeIn": "test", "scopeOut": "test"},
    )
    pilot = grid.pilot(*HASTY, "--no-cleanup")
    assert pilot.wait(90) == 0, grid.output()
    assert grid.wait_status(job, "finished", "failed") == "finished", (grid.errors(job), log_of(grid.workdir))
    assert (mount / "site" / "out.txt").read_bytes() == CONTENT.upper()
    assert stored(grid, job)["out.txt"]["endpoint"] == "OWN"
    assert sorted(path.name for path in (mount / "site").iterdir()) == [
        "in.txt",
        f"log.{job}.tgz",
        "out.txt",
    ]


def test_a_program_that_is_not_on_the_node(grid: Grid, tmp_path: Path) -> None:
    """The job fails with the program's path and what to do, and nobody blames the storage."""
    queue(grid, "external:/nowhere/mover", tmp_path)
    job = grid.submit_python("pass", **{**inputs({"in.txt": CONTENT}), "scopeIn": "test"})
    grid.pilot(*HASTY, "--no-cleanup").wait(90)
    assert grid.wait_status(job, "finished", "failed", "holding") == "failed"
    code, says = grid.errors(job)["pilot"]
    assert code == 1342, says
    assert "/nowhere/mover" in says
