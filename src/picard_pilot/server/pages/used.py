"""The part of a job's page about what its payload uses: drawings, limits and the table, as a template wants them."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from picard_pilot.server.pages import curves, plots
from picard_pilot.server.pages.facts import JobFacts
from picard_pilot.server.pages.limits import NEAR_SHARE, Near
from picard_pilot.server.pages.words import duration


def values(job: JobFacts) -> dict[str, Any] | None:
    """None where neither a limit nor a measured value is known, nor how much time there is."""
    if not job.curve and not job.near and job.slot_left_s is None:
        return None
    end_s = job.curve[-1].wall_s if job.curve else 0.0
    return {
        "slot_left": None if job.slot_left_s is None else duration(job.slot_left_s),
        "figures": [
            figure
            for plot in curves.plots(job.curve, job.near, job.cores)
            if (figure := _figure(plot, end_s))
        ],
        "near": round(100 * NEAR_SHARE),
        "limits": [_limit(near) for near in job.near],
        "rows": curves.table(job.curve),
        "cut": len(job.curve) > curves.MOST_ROWS,
    }


def _figure(plot: plots.Plot, end_s: float) -> dict[str, Any] | None:
    drawing = plots.draw(plot, end_s)
    if not drawing:
        return None
    beyond = bool(plot.limit_says) and not plot.limit_drawn
    return {
        "title": plot.title,
        "drawing": Markup(drawing),
        "lines": [
            {"number": number, "says": line.says(plot.units, end_s)}
            for number, line in enumerate(plot.lines)
            if line.points
        ],
        "beyond": f"{plot.limit_says}, above the drawing" if beyond else None,
    }


def _limit(near: Near) -> dict[str, Any]:
    """One row of the table; the bar shows the present, or how far it came."""
    share = near.share if near.share is not None else near.most_share
    return {
        "measure": near.measure,
        "now": None if near.now is None else near.text(near.now),
        "most": None if near.most is None else near.text(near.most),
        "at_least": near.at_least,
        "limit": near.text(near.limit),
        "origin": near.origin,
        "percent": None if share is None else round(100 * share),
    }
