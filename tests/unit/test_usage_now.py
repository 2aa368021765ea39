"""What a payload uses now, and its limits: told as text and read back; a stranger's text breaks nothing."""

import pytest

from picard_pilot.model.usage import ToldLimit, UsageNow
from picard_pilot.wire import limit_notes
from picard_pilot.wire.progress import pairs_in
from picard_pilot.wire.usage_now import now_in, pairs_of, without_now

NOW = UsageNow(
    wall_s=61.2,
    cpu_s=118.4,
    rss_kb=1_400_000,
    pss_kb=0,
    processes=9,
    directory_bytes=1_200_000_000,
    quiet_s=0.0,
    spinning_s=300.0,
)


def test_what_is_told_is_read_back() -> None:
    """Zero is told, unknown is not, and no sign of a quiet time is a quiet time of zero."""
    pairs = pairs_of(NOW)
    text = " ".join(f"{key}={value}" for key, value in pairs.items())
    assert text == (
        "nowWall=61.2 nowCpu=118.4 nowRss=1400000 nowPss=0 nowProcs=9 nowDir=1200000000 nowSpinning=300"
    )
    assert now_in(pairs_in(text)) == NOW
    assert without_now(f"nEvents=7 {text} leak=1") == "nEvents=7 leak=1"


@pytest.mark.parametrize(
    "metrics",
    ["", "nEvents=7", "nowRss=5", "nowWall=", "nowWall=-1", "nowWall=1e300", "nowWall=nan", "nowWall=\u0661"],
)
def test_without_a_time_there_is_no_point(metrics: str) -> None:
    """Nor with one that is no number of a job."""
    assert now_in(pairs_in(metrics)) is None


def test_a_bad_value_is_unknown_and_the_others_stay() -> None:
    """Too long, too large, or no number."""
    told = f"nowWall=5 nowRss={'9' * 40} nowPss=x nowCpu=1.2.3 nowProcs=4 nowFree=-2"
    assert now_in(pairs_in(told)) == UsageNow(wall_s=5.0, processes=4, quiet_s=0.0, spinning_s=0.0)


def test_limits_are_read_back_and_bad_lines_passed_over() -> None:
    """Whatever stands in a detail."""
    limits = (
        ToldLimit(measure="memory", value=2e9, unit="bytes", origin="queue", detail="maxrss 1000 MB x 2"),
        ToldLimit(measure="wall time", value=60.0, unit="s", origin="job", detail="a | b\nc"),
    )
    text = limit_notes.compose(limits)
    first, second = limit_notes.limits_in(text)
    assert first == limits[0]
    assert second.detail == "a / b c"
    bad = "memory | nan | bytes | queue | x\nmemory | -1 | bytes | queue | x\nmemory\nmemory | x | b | q | d"
    assert limit_notes.limits_in(f"{text}\n{bad}") == (first, second)
    assert limit_notes.limits_in("an extract of the log\nlimits of the jobs") == ()


def test_the_text_of_limits_has_a_bound() -> None:
    """What is too long is left out, not cut in its middle."""
    long = ToldLimit(measure="memory", value=1.0, unit="bytes", origin="queue", detail="x" * 400)
    text = limit_notes.compose([long] * 9)
    assert len(text) <= limit_notes.LIMIT_CHARACTERS
    assert len(limit_notes.limits_in(text)) == 3
