"""The Z peak in one line of text, read back from the stored histogram. The drawing is the payload's own."""

from __future__ import annotations

from pathlib import Path

from picard_pilot.tools.demo_judge import Verdict

_BLOCKS = " ▁▂▃▄▅▆▇█"

#: The part of the spectrum that fits a line: from, to, in GeV.
LOW_GEV, HIGH_GEV = 70.0, 110.0


def peak_line(verdict: Verdict) -> str | None:
    """The spectrum as a line of blocks, and a line that names its fullest bin; None where no histogram was stored."""
    path = next(
        (file.path for file in verdict.files if file.path is not None and file.path.suffix == ".root"), None
    )
    if path is None or verdict.wrong:
        return None
    return _line(path)


def _line(path: Path) -> str:
    # Only here, at the end: it takes a second to load.
    import uproot  # type: ignore[import-untyped]

    with uproot.open(path) as file:
        counts, edges = file["dimuon_mass"].to_numpy()
    bins = [
        (float(low), int(count))
        for low, count in zip(edges, counts, strict=False)
        if LOW_GEV <= low < HIGH_GEV
    ]
    top = max(count for _, count in bins) or 1
    # Rounded up, so that a bin with a single event is seen.
    blocks = "".join(_BLOCKS[-(-count * (len(_BLOCKS) - 1) // top)] for _, count in bins)
    fullest = max(bins, key=lambda pair: pair[1])[0]
    spectrum = f"{LOW_GEV:.0f} GeV {blocks} {HIGH_GEV:.0f} GeV"
    return f"    {spectrum}\n    fullest bin at {fullest:.0f} to {fullest + 1:.0f} GeV"
