"""The Z boson in muon pairs: reads recorded collisions, writes a mass histogram, a picture, a job report.

It is a payload like any other, run by path in the job's directory: it imports nothing of the pilot.
The mass is computed here from the four-momenta; the mass column that the file also carries is not used.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uproot  # type: ignore[import-untyped]
from numpy.typing import NDArray

TREE = "events"
BRANCHES = (
    *("Type", "Run", "Event"),
    *("E1", "px1", "py1", "pz1", "pt1", "Q1"),
    *("E2", "px2", "py2", "pz2", "pt2", "Q2"),
)

#: Mass of the Z boson in GeV (Particle Data Group, 2024: 91.1880 +- 0.0020).
Z_MASS_GEV = 91.188

#: The histogram: its name in the ROOT file, range in GeV, and width of a bin: as fine as 500 events allow.
HISTOGRAM = "dimuon_mass"
MASS_LOW_GEV, MASS_HIGH_GEV, BIN_WIDTH_GEV = 60.0, 120.0, 1.0

#: An event lists one pair of muons once for each way of reconstructing them. The best measured one is kept:
#: both muons seen by tracker and muon chambers together (GG), one of them (GT), none (TT).
QUALITY = {"GG": 0, "GT": 1, "TT": 2}

#: Exit status for an input that cannot be analysed (EX_DATAERR of sysexits.h).
EXIT_BAD_INPUT = 65

Columns = Mapping[str, NDArray[Any]]
Numbers = NDArray[np.float64]


class BadInputError(Exception):
    """The input file is not what this analysis reads; the text says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the analysis found: masses in GeV, one per selected event, and how it came to them."""

    masses_gev: Numbers
    rows: int
    events: int
    run_numbers: tuple[int, ...]

    @property
    def peak_gev(self) -> float | None:
        """Median mass within 10 GeV of the Z, a peak position that a tail does not move; None if empty."""
        near = self.masses_gev[np.abs(self.masses_gev - Z_MASS_GEV) < 10.0]
        return float(np.median(near)) if len(near) else None


def read_columns(path: Path) -> Columns:
    """The branches this analysis needs, as arrays. Raises BadInputError, naming what is missing."""
    if not path.is_file():
        raise BadInputError(f"there is no file {path}")
    try:
        with uproot.open(path) as file:
            if TREE not in file:
                found = ", ".join(file.keys()) or "nothing"
                raise BadInputError(f"{path.name} has no tree {TREE!r}; it holds {found}")
            tree = file[TREE]
            missing = [name for name in BRANCHES if name not in tree]
            if missing:
                raise BadInputError(f"tree {TREE!r} of {path.name} has no branch {', '.join(missing)}")
            return tree.arrays(BRANCHES, library="np")  # type: ignore[no-any-return]
    except (ValueError, OSError, uproot.deserialization.DeserializationError) as error:
        raise BadInputError(f"{path.name} cannot be read as a ROOT file: {error}") from error


def invariant_mass(columns: Columns) -> Numbers:
    """Mass in GeV of the two muons of each row: the length of the sum of their four-momenta."""
    energy, px, py, pz = (columns[f"{name}1"] + columns[f"{name}2"] for name in ("E", "px", "py", "pz"))
    # Rounding can push the square of a tiny mass just below zero.
    mass: Numbers = np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0.0))
    return mass


def analyse(columns: Columns) -> Result:
    """One pair of opposite charge per event: the best reconstructed, then the one of largest momenta."""
    run, event = columns["Run"], columns["Event"]
    quality = np.array([QUALITY.get(str(kind), len(QUALITY)) for kind in columns["Type"]])
    momentum = columns["pt1"] + columns["pt2"]
    best_first = np.lexsort((-momentum, quality, event, run))
    opposite = best_first[(columns["Q1"] * columns["Q2"] < 0)[best_first]]
    identity = np.stack([run[opposite], event[opposite]], axis=1)
    _, first = np.unique(identity, axis=0, return_index=True)
    return Result(
        masses_gev=invariant_mass(columns)[opposite[first]],
        rows=len(run),
        events=len(set(zip(run.tolist(), event.tolist(), strict=True))),
        run_numbers=tuple(sorted(set(run.tolist()))),
    )


def histogram(masses_gev: Numbers) -> tuple[NDArray[np.int64], Numbers]:
    """Pairs per bin and the edges of the bins in GeV."""
    bins = round((MASS_HIGH_GEV - MASS_LOW_GEV) / BIN_WIDTH_GEV)
    return np.histogram(masses_gev, bins=bins, range=(MASS_LOW_GEV, MASS_HIGH_GEV))


def write_histogram(path: Path, result: Result) -> None:
    """The histogram as a TH1 that ROOT and uproot read."""
    with uproot.recreate(path) as file:
        file[HISTOGRAM] = histogram(result.masses_gev)


def write_figure(path: Path, result: Result, *, sample: str) -> None:
    """The picture of the peak, drawn without a display; `sample` says whose collisions these are."""
    # matplotlib looks for a writable home when it is imported; a worker node may have none.
    os.environ.setdefault("MPLCONFIGDIR", str(Path.cwd()))
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    counts, edges = histogram(result.masses_gev)
    centres = (edges[:-1] + edges[1:]) / 2
    blue, orange, ink, quiet = "#0072B2", "#D55E00", "#1b1f24", "#5b6570"
    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 11, "axes.edgecolor": quiet})
    figure, axes = plt.subplots(figsize=(8, 5), dpi=150, layout="constrained")
    axes.stairs(counts, edges, fill=True, color=blue, alpha=0.18)
    axes.stairs(counts, edges, color=blue, linewidth=1.6)
    filled = counts > 0
    axes.errorbar(
        centres[filled], counts[filled], yerr=np.sqrt(counts[filled]),
        fmt="o", color=ink, markersize=3.5, elinewidth=0.9, label="Data, statistical errors",
    )  # fmt: skip
    top = float(counts.max(initial=1)) * 1.25
    axes.axvline(Z_MASS_GEV, color=orange, linestyle=(0, (5, 3)), linewidth=1.4, zorder=1)
    axes.annotate(
        f"Z boson, {Z_MASS_GEV:.2f} GeV", (Z_MASS_GEV, top * 0.94),
        xytext=(8, 0), textcoords="offset points", color=orange, fontweight="bold",
    )  # fmt: skip
    axes.set(xlim=(MASS_LOW_GEV, MASS_HIGH_GEV), ylim=(0, top))
    axes.set_xlabel("Invariant mass of the muon pair  [GeV]", loc="right", color=ink)
    axes.set_ylabel(f"Events / {BIN_WIDTH_GEV:g} GeV", loc="top", color=ink)
    axes.set_title("Z → μ⁺μ⁻", loc="left", fontsize=17, fontweight="bold", color=ink, pad=12)
    runs = f"{result.run_numbers[0]}–{result.run_numbers[-1]}" if result.run_numbers else "none"
    axes.set_title(f"{sample}, runs {runs}", loc="right", fontsize=11, color=quiet, pad=12)
    shown = int(counts.sum())
    lines = [
        f"{shown} of {len(result.masses_gev)} opposite-sign pairs shown",
        f"one per event, {result.events} events",
    ]
    if result.peak_gev is not None:
        lines.append(f"peak at {result.peak_gev:.2f} GeV")
    axes.text(0.035, 0.95, "\n".join(lines), transform=axes.transAxes, va="top", linespacing=1.5, color=ink)
    axes.legend(loc="upper left", bbox_to_anchor=(0.02, 0.77), frameon=False, labelcolor=ink)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=quiet, alpha=0.15)
    axes.tick_params(color=quiet, labelcolor=ink)
    figure.savefig(path)
    plt.close(figure)


def job_report(
    source: Path, outputs: Mapping[str, int], *, events: int, code: int, message: str
) -> dict[str, Any]:
    """The report that the pilot reads: exit, entries of each file, events processed."""

    def file(name: str, entries: int) -> dict[str, Any]:
        return {"subFiles": [{"name": name, "nentries": entries}]}

    return {
        "reportVersion": "1.0.0",
        "exitCode": code,
        "exitAcronym": "OK" if code == 0 else "BADINPUT",
        "exitMsg": message,
        "nEvents": events,
        "files": {
            "input": [file(source.name, events)],
            "output": [file(name, entries) for name, entries in outputs.items()],
        },
        "resource": {"transform": {"processedEvents": events}},
    }


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """The report on disk, readable by people too."""
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """What this payload was asked to read and write."""
    parser = argparse.ArgumentParser(description="Mass spectrum of opposite-sign muon pairs.")
    parser.add_argument("input", type=Path, help="ROOT file with the tree of muon pairs")
    parser.add_argument("--histogram", type=Path, default=Path("dimuon.root"), help="ROOT file to write")
    parser.add_argument("--figure", type=Path, default=Path("dimuon.png"), help="picture to write")
    parser.add_argument("--sample", default="recorded data", help="whose collisions, for the picture")
    parser.add_argument("--report", type=Path, default=Path("jobReport.json"), help="job report to write")
    return parser.parse_args(argv)


def narrator() -> logging.Logger:
    """Where the steps are told: standard output, and only ours, not those of the libraries."""
    logger = logging.getLogger("dimuon")
    logger.setLevel(logging.INFO)
    logger.handlers = [logging.StreamHandler(sys.stdout)]
    logger.propagate = False
    return logger


def main(argv: Sequence[str] | None = None) -> int:
    """Run the analysis; 0, or EXIT_BAD_INPUT with one sentence on stderr and in the job report."""
    options = arguments(argv)
    say = narrator()
    try:
        columns = read_columns(options.input)
        say.info("read %d muon pairs from %s", len(columns["Run"]), options.input.name)
        result = analyse(columns)
    except BadInputError as error:
        message = f"cannot analyse the input: {error}"
        sys.stderr.write(message + "\n")
        write_report(
            options.report, job_report(options.input, {}, events=0, code=EXIT_BAD_INPUT, message=message)
        )
        return EXIT_BAD_INPUT
    pairs = len(result.masses_gev)
    say.info("kept %d pairs of opposite charge, one per event, out of %d events", pairs, result.events)
    if result.peak_gev is not None:
        say.info("the peak is at %.2f GeV; the Z boson weighs %.2f GeV", result.peak_gev, Z_MASS_GEV)
    write_histogram(options.histogram, result)
    write_figure(options.figure, result, sample=options.sample)
    say.info("wrote %s and %s", options.histogram, options.figure)
    outputs = {options.histogram.name: pairs, options.figure.name: pairs}
    write_report(
        options.report, job_report(options.input, outputs, events=result.events, code=0, message="OK")
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
