"""Experiments from outside through real pilots: the example package does a job, and bad plug-ins harm one job only."""

import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from grid import ROOT, Grid

HERE = Path(__file__).parent
SCRIPT = """
import json, sys
events = int(sys.argv[1])
with open("numbers.txt") as numbers, open(sys.argv[2], "w") as out:
    out.write(str(sum(int(line) for line in numbers)))
json.dump({"events": events, "problem": None if events else "no events"}, open("summary.json", "w"))
sys.exit(0 if events else 4)
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, installed by pip into a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "package"
    # A copy, since building leaves files beside the source.
    shutil.copytree(ROOT / "examples" / "picard-example-experiment", source)
    try:
        # Without the network where the installed setuptools will do.
        built_here = int(version("setuptools").partition(".")[0]) >= 77
    except PackageNotFoundError:
        built_here = False
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    options = ["--no-build-isolation"] if built_here else []
    done = subprocess.run(
        [*pip, *options, "--target", str(folder), str(source)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return folder


def submit_sum(grid: Grid, events: int) -> int:
    """A job of the example experiment: the script is one of its inputs."""
    sums = [grid.put("sum.py", SCRIPT.encode()), grid.put("numbers.txt", b"1\n2\n39\n")]
    return grid.submit(
        "sum.py", f"{events} out.$PANDAID.txt",
        inFiles="sum.py,numbers.txt", fsize=f"{len(SCRIPT)},7", checksum=",".join(sums), scopeIn="t,t", GUID="A,B",
        ddmEndPointIn="DISK,DISK", outFiles="out.$PANDAID.txt", scopeOut="t",
    )  # fmt: skip


def test_the_example_package_runs_a_job(grid: Grid, package: Path) -> None:
    """Its `command` starts the script, its `outcome` reads what the script sums up."""
    job_id = submit_sum(grid, 10)
    pilot = grid.pilot("--jobs", "1", "--plugin", "example", PYTHONPATH=str(package))
    assert pilot.wait(60) == 0, grid.output()[-3000:]
    assert grid.wait_status(job_id, "finished", "failed") == "finished", grid.errors(job_id)
    assert (grid.store / f"out.{job_id}.txt").read_text() == "42"
    assert grid.job(job_id)["usage"]["n_events"] == 10
    assert "experiment example" in grid.output()


def test_its_own_words_explain_a_failure(grid: Grid, package: Path) -> None:
    """What the script says about its problem reaches the server."""
    job_id = submit_sum(grid, 0)
    pilot = grid.pilot("--jobs", "1", "--plugin", "example", PYTHONPATH=str(package))
    assert pilot.wait(60) == 0, grid.output()[-3000:]
    assert grid.wait_status(job_id, "finished", "failed") == "failed"
    assert grid.errors(job_id)["exe"] == (1, "no events")
    assert "exit code 4" in grid.errors(job_id)["pilot"][1]


def test_without_the_package_the_pilot_says_what_it_knows(grid: Grid) -> None:
    """65, and not one job is taken."""
    job_id = grid.submit("/bin/true")
    assert grid.pilot("--plugin", "example").wait(60) == 65
    assert "There is no experiment named 'example'" in grid.output()
    assert grid.status(job_id) == "activated"


BEFORE = (
    *(
        "check",
        "container",
        "prepare",
        "input_policy",
        "local_files",
        "environment",
        "credentials",
        "command",
    ),
)
"""Hooks that are called before the payload starts, for a job with an input."""
AFTER = ("outcome", "output_policy", "rules")
"""Hooks that are called when it has ended badly."""


def naughty(grid: Grid, hook: str, way: str, *flags: str) -> tuple[int, int]:
    """Run a pilot with a naughty plug-in for two jobs, of which the second must not be taken; its exit code too."""
    checksum = grid.put("in.txt", b"hello")
    first = grid.submit(
        "/bin/false", inFiles="in.txt", fsize="5", checksum=checksum, scopeIn="t", ddmEndPointIn="DISK", GUID="G"
    )  # fmt: skip
    second = grid.submit("/bin/true")
    pilot = grid.pilot(
        *("--plugin", "naughty_experiment:Naughty", *flags),
        PYTHONPATH=str(HERE),
        NAUGHTY_HOOK=hook,
        NAUGHTY_WAY=way,
    )
    code = pilot.wait(60)
    assert grid.status(second) == "activated"
    assert '  File "' not in grid.output(), grid.output()[-3000:]
    return code, first


@pytest.mark.parametrize("hook", (*BEFORE, *AFTER))
def test_a_hook_that_raises_is_named_and_ends_the_pilot(grid: Grid, hook: str) -> None:
    """1110 with plug-in, hook and its words; exit code 65; the second job stays for another pilot."""
    code, job_id = naughty(grid, hook, "raise")
    assert code == 65, grid.output()[-3000:]
    assert grid.wait_status(job_id, "failed", "finished") == "failed"
    number, diag = grid.errors(job_id)["pilot"]
    assert number == 1110, diag
    assert f"the hook {hook} of the experiment naughty" in diag
    assert "no release 21.0.15" in diag
    assert (grid.store / f"log.{job_id}.tgz").exists()
    assert not grid.job_dir(job_id).exists()
    if hook in AFTER:
        # What the payload did is a record of its own, whatever the plug-in thinks of it.
        assert grid.errors(job_id)["payload"][0] == 1


@pytest.mark.parametrize(
    ("hook", "way", "words"),
    [
        ("check", "hang", "not done after 0.5 s"),
        ("command", "hang", "not done after 0.5 s"),
        ("outcome", "hang", "not done after 0.5 s"),
        ("check", "leave", "SystemExit"),
        ("prepare", "rubbish", "returned dict"),
        ("environment", "rubbish", "returned dict"),
        ("command", "rubbish", "returned dict"),
        ("outcome", "rubbish", "returned dict"),
        ("command", "wrong inside", "returned Command"),
    ],
)
def test_a_hook_that_hangs_or_talks_rubbish_too(grid: Grid, hook: str, way: str, words: str) -> None:
    """The same, with what it did."""
    code, job_id = naughty(grid, hook, way, "--hook-limit", "0.5")
    assert code == 65, grid.output()[-3000:]
    assert grid.wait_status(job_id, "failed", "finished") == "failed"
    number, diag = grid.errors(job_id)["pilot"]
    assert number == 1110, diag
    assert f"the hook {hook} of the experiment naughty" in diag
    assert words in diag


def test_metrics_that_fail_cost_the_metrics_only(grid: Grid) -> None:
    """The job keeps its own end; the pilot takes no further one all the same."""
    code, job_id = naughty(grid, "metrics", "raise")
    assert code == 65
    assert grid.wait_status(job_id, "failed", "finished") == "failed"
    assert grid.errors(job_id)["pilot"][0] == 1305
