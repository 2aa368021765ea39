"""The demonstration's physics: run as a payload on recorded collisions, it finds the Z boson."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("uproot", reason="the demo extra (uproot, matplotlib, test data) is not installed")

import skhep_testdata
import uproot

from picard_pilot.tools.scenarios.dimuon import analysis

SCRIPT = Path(analysis.__file__)
COLLISIONS = Path(skhep_testdata.__file__).parent / "data" / "uproot-Zmumu.root"


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The script as a payload sees itself run: by path, in a directory of its own, without a home."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_collisions_are_carried_by_the_package() -> None:
    """The input comes with the installed package; nothing is fetched at run time."""
    assert COLLISIONS.stat().st_size > 100_000
    assert COLLISIONS.read_bytes()[:4] == b"root"


def test_peak_is_at_the_mass_of_the_z(tmp_path: Path) -> None:
    """The histogram read back from the ROOT file has its peak within 2 GeV of the Z mass."""
    done = run(tmp_path, str(COLLISIONS))
    assert done.returncode == 0, done.stderr
    with uproot.open(tmp_path / "dimuon.root") as file:
        counts, edges = file["dimuon_mass"].to_numpy()
    fullest = int(np.argmax(counts))
    centre = (edges[fullest] + edges[fullest + 1]) / 2
    assert abs(centre - analysis.Z_MASS_GEV) < 2
    near = counts[(edges[:-1] >= 81) & (edges[1:] <= 101)].sum()
    assert 0.8 < near / counts.sum() < 1
    assert counts.sum() == 500


def test_picture_and_report_are_written(tmp_path: Path) -> None:
    """The PNG is a picture, and the job report has the events that the input really holds."""
    done = run(tmp_path, str(COLLISIONS), "--histogram", "h.root", "--figure", "p.png", "--report", "r.json")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "p.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["exitCode"] == 0
    assert report["resource"]["transform"]["processedEvents"] == 500
    assert [entry["subFiles"][0]["name"] for entry in report["files"]["output"]] == ["h.root", "p.png"]
    assert "peak is at 90." in done.stdout


def test_a_missing_branch_is_named(tmp_path: Path) -> None:
    """A file without the needed branches gives a status of its own and says which ones are missing."""
    with uproot.recreate(tmp_path / "other.root") as file:
        file["events"] = {"Run": np.array([1]), "Event": np.array([2])}
    done = run(tmp_path, "other.root")
    assert done.returncode == analysis.EXIT_BAD_INPUT
    assert "has no branch Type, E1" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / "jobReport.json").read_text())["exitCode"] == analysis.EXIT_BAD_INPUT
    assert not (tmp_path / "dimuon.root").exists()


@pytest.mark.parametrize("content", [b"", b"not a ROOT file at all", b"root" + b"\0" * 200])
def test_a_file_that_is_not_root_is_refused(tmp_path: Path, content: bytes) -> None:
    """Rubbish in place of the input is a bad input, not a crash."""
    (tmp_path / "rubbish.root").write_bytes(content)
    done = run(tmp_path, "rubbish.root")
    assert done.returncode == analysis.EXIT_BAD_INPUT, done.stderr
    assert "cannot analyse the input" in done.stderr


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    """An input that lost its second half in a transfer is a bad input."""
    whole = COLLISIONS.read_bytes()
    (tmp_path / "cut.root").write_bytes(whole[: len(whole) // 2])
    done = run(tmp_path, "cut.root")
    assert done.returncode == analysis.EXIT_BAD_INPUT, done.stderr
    assert "Traceback" not in done.stderr


def test_one_pair_of_opposite_charge_per_event() -> None:
    """Same-sign pairs are dropped, and of several pairs of an event the best reconstructed is kept."""
    ones, zeros = np.ones(4), np.zeros(4)
    columns = {
        "Type": np.array(["TT", "GG", "GG", "GG"]),
        "Run": np.array([1, 1, 1, 1]),
        "Event": np.array([7, 7, 8, 9]),
        "E1": np.array([10.0, 45.0, 46.0, 47.0]),
        "E2": np.array([10.0, 45.0, 46.0, 47.0]),
        "Q1": np.array([1, 1, 1, -1]),
        "Q2": np.array([-1, -1, 1, 1]),
        **dict.fromkeys(("px1", "py1", "pz1", "px2", "py2", "pz2"), zeros),
        **{"pt1": ones, "pt2": ones},
    }
    found = analysis.analyse(columns)
    assert sorted(found.masses_gev) == [90.0, 94.0]
    assert found.events == 3
