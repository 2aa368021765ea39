"""The summary of a payload's use: prmon's names and units in the file, the server's values in the heartbeat."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from watch_kit import bundle_in

from picard_pilot.model.report import UsageSummary
from picard_pilot.model.states import Phase
from picard_pilot.model.usage import IoCounts, PssSample, Sample, TreeSample
from picard_pilot.watch.job_files import MOST_BYTES, SERIES_FILE, SUMMARY_FILE
from picard_pilot.watch.series import COLUMNS, INTERVAL_S, MOST_ROWS, Series
from picard_pilot.watch.summary import Summary

KB = 1024


def sample(
    at: float, rss_kb: int, *, cpu_s: float = 0.0, count: int = 0, pss_kb: int | None = None
) -> Sample:
    """A look at a payload that began at 0."""
    return Sample(
        at=at,
        phase=Phase.RUNNING,
        wall_s=at,
        tree=TreeSample(
            processes=2,
            threads=3,
            cpu_user_s=cpu_s,
            cpu_system_s=cpu_s / 2,
            rss_bytes=rss_kb * KB,
            vmem_bytes=10 * rss_kb * KB,
            io=IoCounts(rchar=count, wchar=2 * count, read_bytes=3 * count, write_bytes=4 * count),
        ),
        pss=None if pss_kb is None else PssSample(at=at, pss_bytes=pss_kb * KB, swap_bytes=KB, processes=2),
        stdout_bytes=int(at),
        stderr_bytes=0,
    )


STORY = (
    sample(0, 100),
    sample(10, 400, cpu_s=8, count=1000, pss_kb=50),
    sample(20, 100, cpu_s=16, count=3000, pss_kb=70),
)


def told(*samples: Sample) -> Summary:
    """A summary that has seen these."""
    summary = Summary()
    for each in samples:
        summary.add(each)
    return summary


def test_the_file_has_the_names_and_units_of_prmon(tmp_path: Path) -> None:
    """kB for memory, bytes for I/O, seconds for times; means over time, of counters the rate."""
    bundle = bundle_in(tmp_path)
    told(*STORY).write(bundle)
    found = json.loads((tmp_path / SUMMARY_FILE).read_bytes())
    assert found["Max"] == {
        "nprocs": 2,
        "nthreads": 3,
        "pss": 70,
        "rchar": 3000,
        "read_bytes": 9000,
        "rss": 400,
        "stime": 8,
        "swap": 1,
        "utime": 16,
        "vmem": 4000,
        "wchar": 6000,
        "write_bytes": 12000,
        "wtime": 20,
    }
    assert found["Avg"] == {
        "nprocs": 2,
        "nthreads": 3,
        "pss": 60,
        "rchar": 150,
        "read_bytes": 450,
        "rss": 250,
        "swap": 1,
        "vmem": 2500,
        "wchar": 300,
        "write_bytes": 600,
    }
    assert [path.name for path in (tmp_path / "picard").iterdir()] == []


def test_the_heartbeat_has_the_same_values() -> None:
    """Under the names of the update."""
    assert told(*STORY).usage() == UsageSummary(
        cpu_time_s=24,
        max_rss_kb=400,
        max_vmem_kb=4000,
        max_swap_kb=1,
        max_pss_kb=70,
        avg_rss_kb=250,
        avg_vmem_kb=2500,
        avg_swap_kb=1,
        avg_pss_kb=60,
        total_rchar=3000,
        total_wchar=6000,
        total_read_bytes=9000,
        total_write_bytes=12000,
        rate_rchar=150,
        rate_wchar=300,
        rate_read_bytes=450,
        rate_write_bytes=600,
        stdout_bytes=20,
        stderr_bytes=0,
    )


def test_what_was_never_known_is_not_told_and_not_zero() -> None:
    """No payload yet; PSS that could not be read; I/O of another user's processes."""
    assert told().usage() == UsageSummary()
    assert told(Sample(at=0, phase=Phase.STAGEIN)).usage() == UsageSummary()
    one = told(sample(0, 100)).usage()
    assert (one.max_pss_kb, one.avg_pss_kb, one.max_swap_kb) == (None, None, None)
    assert (one.max_rss_kb, one.avg_rss_kb) == (100, 100)
    assert (one.total_rchar, one.rate_rchar) == (0, None)


def test_a_later_pilot_goes_on_with_the_means_and_the_peaks(tmp_path: Path) -> None:
    """As if one had watched all the time."""
    bundle = bundle_in(tmp_path)
    told(*STORY[:2]).write(bundle)
    resumed = Summary.resume(bundle)
    resumed.add(STORY[1])
    resumed.add(STORY[2])
    assert resumed.usage() == told(*STORY).usage()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[" * 100_000,
        '{"Max": {"rss": "much"}}',
        '{"Max": {"rss": -1}}',
        '{"Max": {"rss": 1e300}}',
        '{"Avg": {"rss": 5}, "picard": {"rss": 5}}',
    ],
)
def test_a_file_that_a_payload_has_written_leads_to_nothing(tmp_path: Path, text: str) -> None:
    """It lies in the payload's own directory; what makes no sense is as good as no file."""
    bundle = bundle_in(tmp_path)
    (tmp_path / SUMMARY_FILE).write_text(text)
    resumed = Summary.resume(bundle)
    assert resumed.usage() == UsageSummary()
    resumed.add(STORY[0])
    assert resumed.usage().max_rss_kb == 100


def test_a_link_in_the_file_s_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """Nor read."""
    outside = tmp_path / "outside"
    outside.write_bytes(told(*STORY).encode())
    bundle = bundle_in(tmp_path / "job")
    (tmp_path / "job" / SUMMARY_FILE).symlink_to(outside)
    assert Summary.resume(bundle).usage() == UsageSummary()
    told(STORY[0]).write(bundle)
    assert not (tmp_path / "job" / SUMMARY_FILE).is_symlink()
    assert outside.read_bytes() == told(*STORY).encode()


def test_a_file_that_is_far_too_large_is_not_even_read(tmp_path: Path) -> None:
    """A payload may have filled it."""
    bundle = bundle_in(tmp_path)
    with (tmp_path / SUMMARY_FILE).open("wb") as file:
        file.write(told(*STORY).encode())
        file.truncate(MOST_BYTES + 1)
    assert Summary.resume(bundle).usage() == UsageSummary()


def test_the_table_has_prmon_s_columns_and_empty_places_for_what_is_not_known(tmp_path: Path) -> None:
    """One row each half minute, of samples with a payload."""
    bundle, series = bundle_in(tmp_path), Series()
    series.add(Sample(at=0.0, phase=Phase.STAGEIN), 999.0)
    for at in (0, 10, 29, 30):
        series.add(sample(at, 100 + at, cpu_s=2.0, count=7, pss_kb=50 if at else None), 1000.4 + at)
    series.write(bundle)
    lines = (tmp_path / SERIES_FILE).read_text().splitlines()
    assert lines[0].split("\t") == list(COLUMNS)
    found = [dict(zip(COLUMNS, line.split("\t"), strict=True)) for line in lines[1:]]
    assert [row["Time"] for row in found] == ["1000", "1030"]
    assert (found[0]["pss"], found[0]["swap"], found[0]["rss"]) == ("", "", "100")
    assert found[1] == {
        "Time": "1030",
        "wtime": "30",
        "utime": "2",
        "stime": "1",
        "nprocs": "2",
        "nthreads": "3",
        "vmem": "1300",
        "pss": "50",
        "rss": "130",
        "swap": "1",
        "rchar": "7",
        "wchar": "14",
        "read_bytes": "21",
        "write_bytes": "28",
    }


def test_a_long_job_has_fewer_rows_and_not_more(tmp_path: Path) -> None:
    """They span the whole of it, evenly, and a later pilot goes on with them."""
    bundle, series = bundle_in(tmp_path), Series()
    hours = 48
    for at in range(0, hours * 3600, 30):
        series.add(sample(at, 1), float(at))
    assert MOST_ROWS / 2 <= len(series.rows) <= MOST_ROWS
    times = [row[0] or 0 for row in series.rows]
    assert times[0] == 0
    assert times[-1] >= hours * 3600 - series.interval_s
    assert {after - before for before, after in pairwise(times)} == {series.interval_s}
    series.write(bundle)
    again = Series.resume(bundle)
    assert again.rows == series.rows
    assert again.interval_s == INTERVAL_S  # a later pilot's rows lie closer until the table is full again
    again.add(sample(10**6, 1), 1e6)
    assert len(again.rows) == len(series.rows) + 1


def test_a_table_that_a_payload_has_written_is_read_as_far_as_it_makes_sense(tmp_path: Path) -> None:
    """Lines of other lengths, words that are no numbers, numbers beyond all measure, more than there may be."""
    bundle = bundle_in(tmp_path)
    good = "\t".join("1" for _ in COLUMNS)
    lines = ["head", "x", good + "\t1", good.replace("1", "y", 1), good.replace("1", "9" * 99, 1), "\udcff"]
    (tmp_path / SERIES_FILE).write_text("\n".join([*lines, good]), errors="surrogateescape")
    assert Series.resume(bundle).rows == [(1,) * len(COLUMNS)]
    (tmp_path / SERIES_FILE).write_text("\n".join(["head", *[good] * (MOST_ROWS * 3)]))
    assert len(Series.resume(bundle).rows) == MOST_ROWS * 3 / 4
    assert Series.resume(bundle_in(tmp_path / "other")).rows == []
