"""Curves as SVG made on the server, the table beside them, and how near a job is to its limits."""

import xml.etree.ElementTree as ET

import pytest

from picard_pilot.model.usage import ToldLimit
from picard_pilot.server.pages import curves, plots, render
from picard_pilot.server.pages.facts import JobFacts
from picard_pilot.server.pages.limits import nearness
from picard_pilot.server.pages.plots import Line, Plot, draw, in_units, thinned
from picard_pilot.server.usage import UsagePoint

MB = 1_000_000


def limit(measure: str, value: float, unit: str = "bytes", detail: str = "maxrss 1000 MB x 2") -> ToldLimit:
    """A limit of the queue."""
    return ToldLimit(measure=measure, value=value, unit=unit, origin="queue", detail=detail)


def memory(*values: float, most: float | None = None) -> Plot:
    """A plot of one curve, a point each second."""
    points = tuple((float(at), value) for at, value in enumerate(values))
    line = Line(name="PSS", points=points)
    return Plot(
        title="Memory", says="a <b>", lines=(line,), units=curves.BYTES, limit=most, limit_says="limit L"
    )


def points_of(svg: str) -> list[list[tuple[float, float]]]:
    """The points of each curve."""
    found = ET.fromstring(svg).iter("polyline")
    return [[tuple(map(float, pair.split(","))) for pair in each.get("points", "").split()] for each in found]  # type: ignore[misc]


def test_a_curve_is_drawn_from_the_start_to_the_end_and_says_so() -> None:
    """The box has a thousand units in width and a hundred in height, the ground at its foot; the label is escaped."""
    svg = draw(memory(0.0, 500 * MB, 1000 * MB), 2.0)
    ((first, second, third),) = points_of(svg)
    assert (first, second[0], third[0]) == ((0.0, 100.0), 500.0, 1000.0)
    assert 50 < second[1] < 100 and 0 < third[1] < 50
    assert ET.fromstring(svg).get("aria-label") == "Memory: a <b>"
    assert "style=" not in svg and "<script" not in svg


def test_a_single_point_is_a_dot_and_nothing_is_nothing() -> None:
    """A job that has just begun has a page as well."""
    ((first, second),) = points_of(draw(memory(5.0), 10.0))
    assert first == second
    assert draw(memory(), 10.0) == draw(memory(1.0, 2.0), 0.0) == ""


@pytest.mark.parametrize(("most", "drawn"), [(1500.0 * MB, True), (4000.0 * MB, True), (4001.0 * MB, False)])
def test_a_limit_far_above_the_curve_is_not_drawn(most: float, drawn: bool) -> None:
    """The curve would lie on the ground."""
    plot = memory(10.0 * MB, 1000.0 * MB, most=most)
    assert plot.limit_drawn is drawn
    assert ("limit L" in draw(plot, 1.0)) is drawn


def test_a_broken_limit_lies_below_the_peak() -> None:
    """And both are in sight."""
    svg = draw(memory(10.0 * MB, 1000.0 * MB, most=900.0 * MB), 1.0)
    line = next(each for each in ET.fromstring(svg).iter("line") if each.get("class") == "limit")
    peak = points_of(svg)[0][1][1] / 100 * plots.HEIGHT_PX + plots.TOP_PX
    assert peak < float(line.get("y1", "")) < plots.TOP_PX + plots.HEIGHT_PX


@pytest.mark.parametrize("value", [1e-9, 0.3, 0.95, 1.0, 9.99, 99.9, 1e12, 9.9e17])
def test_every_size_has_a_scale(value: float) -> None:
    """Nothing is cut off at the top."""
    for curve in points_of(draw(memory(value, value), 1.0)):
        assert all(0 <= y < 100 for _, y in curve)


def test_a_long_curve_keeps_its_peaks_and_its_ends() -> None:
    """Of each group of neighbours the largest is drawn."""
    points = [(float(at), 1.0) for at in range(5000)]
    points[1234] = (1234.0, 9.0)
    drawn = thinned(points)
    assert len(drawn) <= plots.MOST_DRAWN
    assert (drawn[0], drawn[-1]) == (points[0], points[-1])
    assert (1234.0, 9.0) in drawn


def test_values_in_units() -> None:
    """Three digits, two decimals at most."""
    said = [in_units(value, curves.BYTES) for value in (0, 999, 1000, 1_234_000, 999_700_000, 5e15)]
    assert said == ["0 B", "999 B", "1 kB", "1.23 MB", "1000 MB", "5000 TB"]
    assert [in_units(value, curves.CORES) for value in (0.1763, 3.999, 127.6)] == ["0.18", "4", "128"]


def test_rates_are_measured_over_a_window_that_smooths_old_counts() -> None:
    """From the payload's start, at which counts are nothing; a count that goes back is no negative rate."""
    curve = [
        UsagePoint(wall_s=at, rchar=count) for at, count in ((10, 100), (20, 100), (40, 1300), (50, 1300))
    ]
    assert curves.rates(curve, "rchar", 30.0) == [(10, 10.0), (20, 5.0), (40, 40.0), (50, 40.0)]
    back = [UsagePoint(wall_s=at, cpu_s=cpu) for at, cpu in ((10.0, 20.0), (20.0, 15.0))]
    assert curves.rates(back, "cpu_s", 0.0) == [(10.0, 2.0), (20.0, 0.0)]
    assert curves.rates([UsagePoint(wall_s=0.0, cpu_s=1.0)], "cpu_s", 0.0) == []


CURVE = (
    UsagePoint(
        wall_s=5.0, cpu_s=5.0, rss_kb=2000, pss_kb=1000, swap_kb=24, processes=3, free_bytes=5 * 10**9
    ),
    UsagePoint(wall_s=15.0, cpu_s=35.0, rss_kb=1000, processes=9, free_bytes=2 * 10**9, quiet_s=60.0),
)


def test_how_near_a_job_is_to_its_limits() -> None:
    """What is read rarely counts until it is read again; of free space the least is the nearest."""
    told = (
        limit("memory", 2_097_152.0),
        limit("processes", 10.0, "processes"),
        limit("free disk space", 1e9),
    )
    memory_near, processes, space = nearness(told, CURVE, peak_pss_kb=1536)
    assert memory_near.says() == (
        "memory: 1.0 MB now, 1.6 MB at most, limit 2.1 MB (queue: maxrss 1000 MB x 2)"
    )
    assert (memory_near.share, memory_near.most_share) == (0.5, 0.75)
    assert (processes.now, processes.share) == (9, 0.9)
    assert (space.most, space.share) == (2e9, 0.5)
    assert "2.0 GB at least" in space.says()


def test_a_payload_that_is_over_has_no_present() -> None:
    """Nor has what nobody measured; the limit is told all the same."""
    told = (limit("wall time", 60.0, "s"), limit("one output file", 1e9), limit("brightness", 3.0, "lux"))
    wall, output, strange = nearness(told, CURVE, goes_on=False)
    assert wall.says() == "wall time: 15 s at most, limit 60 s (queue: maxrss 1000 MB x 2)"
    assert output.says() == "one output file: limit 1.0 GB (queue: maxrss 1000 MB x 2)"
    assert (strange.now, strange.text(strange.limit)) == (None, "3 lux")
    (text,) = nearness([limit("stdout or stderr", 100.0)], CURVE, output_text_bytes=50)
    assert text.share == 0.5


def test_the_table_has_the_last_point_and_a_bound() -> None:
    """With what the curves show."""
    assert curves.table(CURVE) == [
        ("0:00:05", "1.02 MB", "2.05 MB", "1.00", "3", "–", "–", "–"),
        ("0:00:15", "–", "1.02 MB", "3.00", "9", "–", "–", "–"),
    ]
    long = [UsagePoint(wall_s=float(at)) for at in range(601)]
    rows = curves.table(long)
    assert len(rows) <= curves.MOST_ROWS
    assert rows[-1][0] == "0:10:00"
    assert curves.table(()) == []


@pytest.mark.parametrize(
    "curve", [(), (UsagePoint(wall_s=0.0),), (UsagePoint(wall_s=0.1, processes=1),), CURVE]
)
def test_every_curve_has_a_page(curve: tuple[UsagePoint, ...]) -> None:
    """From the first moment on; with limits and without."""
    for told in ((), (limit("memory", 1e9), limit("one output file", 1e9))):
        job = JobFacts(
            job_id=1,
            attempt_nr=1,
            status="running",
            submitted_s=0.0,
            cores=1,
            curve=curve,
            near=tuple(nearness(told, curve)),
        )
        html = render.job(job, render.Page(now_s=10.0), whole=False)
        assert ("How near job 1 is to its limits" in html) is bool(told)
        assert ('class="plot"' in html) is bool(curve and curve[-1].processes)
        assert ("What the payload uses" in html) is bool(told or curve)
