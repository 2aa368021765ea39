"""The example package outside the tree: installed by pip, found by its entry point, and its hooks do their work."""

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from grid import SITE

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "examples" / "picard-example-experiment"


def _build_options() -> list[str]:
    """Without the network where the installed setuptools will do; else pip fetches the one that is asked for."""
    try:
        recent = int(version("setuptools").partition(".")[0]) >= 77
    except PackageNotFoundError:
        recent = False
    return ["--no-build-isolation"] if recent else []


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the package is installed beside Picard, in a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "package"
    # A copy, since building leaves files beside the source.
    subprocess.run(["cp", "-r", str(PACKAGE), str(source)], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*pip, *_build_options(), "--target", str(folder), str(source)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return {**os.environ, "PYTHONPATH": str(folder), "HOME": str(folder)}


def _ppilot(environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "picard_pilot.cli.main", *words]
    return subprocess.run(program, env=environ, capture_output=True, text=True, timeout=120)


def test_it_is_listed_with_its_package(installed: dict[str, str]) -> None:
    """Beside Picard's own experiments."""
    done = _ppilot(installed, "plugin", "list", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)["data"]}
    assert rows["example"]["package"] == "picard-example-experiment"
    assert rows["generic"]["package"] == "picard-pilot"


def test_two_hooks_are_its_own(installed: dict[str, str]) -> None:
    """And the others come from the interface."""
    done = _ppilot(installed, "plugin", "show", "example", "--json")
    hooks = json.loads(done.stdout)["data"]["hooks"]
    assert [hook["name"] for hook in hooks if hook["overridden"]] == ["command", "outcome"]


def test_it_passes_the_conformance_suite(installed: dict[str, str]) -> None:
    """As its author would check."""
    done = _ppilot(installed, "plugin", "check", "example", "--json")
    assert done.returncode == 0, done.stdout
    assert all(row["holds"] for row in json.loads(done.stdout)["data"])


def test_without_the_package_the_name_is_unknown() -> None:
    """Nothing in Picard names it."""
    done = _ppilot(dict(os.environ), "plugin", "show", "example")
    assert done.returncode == 3
    assert "There is no experiment named 'example'" in done.stderr


def test_its_hooks_give_the_command_and_read_the_summary(installed: dict[str, str], tmp_path: Path) -> None:
    """Through the loader, in a process that has the package."""
    (tmp_path / "summary.json").write_text('{"events": 10, "problem": "no beam"}')
    script = """
import sys
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.job import Job
from picard_pilot.plugins.loader import load
from picard_pilot.testing.experiment_suite import EXITS, SITE
experiment = load("experiment", "example")()
folder = sys.argv[1]
bundle = Bundle(directory=folder, private=folder, stdout="o", stderr="e", job_report="r")
job = Job(job_id=1, attempt_nr=1, transformation="analysis.py", parameters="--cut '5 GeV'")
print(experiment.command(job, SITE, bundle).argv)
outcome = experiment.outcome(job, bundle, EXITS["exit 0"])
print(outcome.n_events, outcome.exe_error_diag)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env=installed,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == ["('python3', '-u', 'analysis.py', '--cut', '5 GeV')", "10 no beam"], (
        done.stderr
    )


_SCRIPT = """
import json, os, sys
json.dump({"events": int(sys.argv[1]), "problem": None}, open("summary.json", "w"))
open("result.txt", "w").write(os.environ["PANDAID"])
"""


def test_it_runs_a_job(installed: dict[str, str], tmp_path: Path) -> None:
    """A real server, a real pilot, the package's own command and outcome; the output lies in the storage."""
    storage, work = tmp_path / "storage", tmp_path / "work"
    storage.mkdir()
    work.mkdir()
    (storage / "analysis.py").write_text(_SCRIPT)
    (tmp_path / "site.toml").write_text(SITE.format(prefix=json.dumps(storage.as_uri())))
    environ = {**installed, "XDG_STATE_HOME": str(tmp_path / "state"), "PICARD_QUEUE": "Q"}
    started = json.loads(_ppilot(environ, "server", "start", "--port", "0", "--no-ui", "--json").stdout)[
        "data"
    ]
    try:
        script = f"analysis.py={storage / 'analysis.py'}@DISK"
        given = _ppilot(
            environ,
            "submit",
            "--input",
            script,
            "--output",
            "result.txt",
            "--quiet",
            "--",
            "analysis.py",
            "17",
        )
        token = _ppilot(environ, "server", "token", "pilot", "--path").stdout.strip()
        where = ["--server", started["url"], "--ca", started["ca_file"], "--token-file", token]
        place = ["--site-file", str(tmp_path / "site.toml"), "--workdir", str(work)]
        pilot = _ppilot(environ, "run", "--plugin", "example", "--jobs", "1", *where, *place)
        assert pilot.returncode == 0, pilot.stdout + pilot.stderr
        job = json.loads(_ppilot(environ, "job", "describe", "latest", "--json").stdout)["data"]
    finally:
        _ppilot(environ, "server", "stop")
    assert (job["row"]["status"], job["usage"]["n_events"]) == ("finished", 17)
    assert (storage / "result.txt").read_text() == given.stdout.strip()
