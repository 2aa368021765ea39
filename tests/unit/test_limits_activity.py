"""Signs of life: when a job is quiet, and what counts as life."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watch_story import breaches, directory, first, limit, sample, tree

from picard_pilot.lifecycle.activity import WINDOW_S, Quiet, observe, window_for
from picard_pilot.model.limits import Measure
from picard_pilot.model.states import Phase
from picard_pilot.model.usage import Sample

HOUR = 3600
QUIET = limit(Measure.QUIET_TIME, 2 * HOUR)
SPINNING = limit(Measure.SPINNING_TIME, 12 * HOUR)

Seen = Callable[[float], dict[str, Any]]


def story(hours: float, seen: Seen, *, phase: Phase = Phase.RUNNING, every_s: float = 60.0) -> list[Sample]:
    """Samples of a job; `seen` says what there is at each time."""
    return [sample(n * every_s, phase, **seen(n * every_s)) for n in range(int(hours * HOUR / every_s) + 1)]


def still(at: float, **more: Any) -> dict[str, Any]:
    """A payload of which nothing moves."""
    return {"tree": tree(100.0), "directory": directory(at), **more}


def test_a_job_without_a_sign_of_life_is_looping_after_its_limit() -> None:
    """Not before it, and within a window after it; the evidence says what was seen."""
    found = first(story(3, still), QUIET, SPINNING)
    assert found is not None
    assert found.error == "LOOPINGJOB"
    assert found.limit is QUIET
    assert 2 * HOUR < found.at <= 2 * HOUR + WINDOW_S
    assert found.evidence == ("in the last 300 s: 0.0 s of CPU, 0 kB read and written, no file changed",)


@pytest.mark.parametrize(
    ("what", "seen"),
    [
        ("CPU", lambda at: still(at, tree=tree(at * 0.02))),
        ("I/O", lambda at: still(at, tree=tree(io=int(at * 20_000)))),
        ("a file", lambda at: still(at, directory=directory(at, stamp=int(at)))),
        ("its word", lambda at: still(at, declared=int(at))),
        ("one touch an hour", lambda at: still(at, declared=int(at // HOUR))),
    ],
)
def test_any_sign_of_life_is_enough(what: str, seen: Seen) -> None:
    """CPU time, I/O, a file that changes, or the payload's own word."""
    assert first(story(6, seen), QUIET) is None, what


def test_a_word_given_long_ago_keeps_nobody_alive() -> None:
    """Its file is still there; only a new touch counts. One that is taken away is no word."""
    found = first(story(3, lambda at: still(at, declared=7)), QUIET)
    assert found is not None and 2 * HOUR < found.at <= 2 * HOUR + WINDOW_S
    gone = story(3, lambda at: still(at, declared=7 if at < HOUR else None))
    assert first(gone, QUIET) is not None


@pytest.mark.parametrize("cores", [1, 8, 128])
def test_cpu_is_measured_against_the_job_s_cores(cores: int) -> None:
    """A thread that ticks does not keep a job alive, whatever its size; one full core does, whatever its size."""
    ticking = story(3, lambda at: still(at, tree=tree(at * 0.008 * min(cores, 50))))
    assert first(ticking, QUIET, cores=cores) is not None
    merging = story(3, lambda at: still(at, tree=tree(at)))
    assert first(merging, QUIET, cores=cores) is None


@pytest.mark.parametrize(
    ("cores", "bytes_s", "alive"),
    [(1, 5_000, False), (1, 20_000, True), (8, 50_000, False), (8, 90_000, True), (128, 110_000, True)],
)
def test_io_is_measured_against_the_job_s_cores(cores: int, bytes_s: int, alive: bool) -> None:
    """As CPU time is; the evidence says how much there was."""
    found = first(story(3, lambda at: still(at, tree=tree(io=int(at * bytes_s)))), QUIET, cores=cores)
    assert (found is None) is alive
    if found is not None:
        assert f" {bytes_s * 300 // 1000} kB read and written" in found.evidence[0]


def test_bursts_of_polling_are_no_work() -> None:
    """A stuck program that wakes each minute for 0.2 s: the window is longer than its pause."""
    assert first(story(3, lambda at: still(at, tree=tree((at // 60) * 0.2)), every_s=5.0), QUIET) is not None


def test_cpu_alone_is_life_for_twelve_hours() -> None:
    """An endless loop; one file an hour makes it work again."""
    endless = story(14, lambda at: still(at, tree=tree(at)))
    found = first(endless, QUIET, SPINNING)
    assert found is not None
    assert found.limit is SPINNING
    assert 12 * HOUR < found.at <= 12 * HOUR + WINDOW_S
    working = story(14, lambda at: still(at, tree=tree(at), directory=directory(at, stamp=int(at // HOUR))))
    assert first(working, QUIET, SPINNING) is None


def test_too_little_known_is_no_quiet() -> None:
    """CPU time alone is not enough, nor files alone; with one unreadable process, I/O is not known."""
    for seen in (
        {"tree": tree(1.0, io_unread=1)},
        {"directory": directory(0)},
        {"tree": tree(1.0, io_unread=1), "directory": directory(0, whole=False)},
    ):
        assert first(story(20, lambda at, seen=seen: seen), QUIET, SPINNING) is None  # type: ignore[misc]
    files_known = story(3, lambda at: still(at, tree=tree(1.0, io_unread=1)))
    assert first(files_known, QUIET) is not None


def test_the_same_reading_of_the_directory_says_nothing_about_files() -> None:
    """A directory that is too dear to be read often does not count as unchanged meanwhile."""
    blind = {"tree": tree(1.0, io_unread=1), "directory": directory(0)}
    assert first(story(20, lambda at: blind), QUIET) is None


def test_a_suspended_slot_is_not_blamed_on_the_job() -> None:
    """Nobody looked for ten hours: that counts as two windows at most."""
    before = story(1.0, still)
    after = [sample(each.at + 11 * HOUR, **still(each.at + 11 * HOUR)) for each in story(0.5, still)]
    assert first([*before, *after], QUIET) is None


def test_each_phase_begins_anew() -> None:
    """An hour and a half of nothing in stage-in and again in the payload are not three hours."""
    inward = story(1.5, lambda at: {"moved_bytes": 5}, phase=Phase.STAGEIN)
    run = [
        sample(each.at + 1.5 * HOUR + 60, **still(each.at + 1.5 * HOUR + 60)) for each in story(1.5, still)
    ]
    assert first([*inward, *run], QUIET) is None


@pytest.mark.parametrize(
    ("phase", "error"), [(Phase.STAGEIN, "STAGEINTIMEOUT"), (Phase.STAGEOUT, "STAGEOUTTIMEOUT")]
)
def test_a_stage_that_moves_nothing_is_stuck(phase: Phase, error: str) -> None:
    """Its bytes are its life; what it is called says which stage."""
    found = first(story(3, lambda at: {"moved_bytes": 1000}, phase=phase), QUIET)
    assert found is not None
    assert found.error == error
    assert found.evidence == ("in the last 300 s: 0 kB moved",)
    slow = story(6, lambda at: {"moved_bytes": int(at // HOUR)}, phase=phase)
    assert first(slow, QUIET) is None


def test_a_stage_whose_bytes_nobody_counts_is_not_judged() -> None:
    """Setup, diagnosis: their own time limits end them."""
    assert first(story(20, lambda at: {"directory": directory(at)}, phase=Phase.SETUP), QUIET) is None


def test_a_short_limit_has_short_windows() -> None:
    """Where a site sets a minute, a window of five would say nothing."""
    assert window_for(None) == window_for(7200) == WINDOW_S
    assert window_for(60) == 15
    found = first(story(0.1, still, every_s=1.0), limit(Measure.QUIET_TIME, 60))
    assert found is not None
    assert 60 < found.at <= 76


@settings(max_examples=50)
@given(
    steps=st.lists(
        st.tuples(st.floats(0.5, 2000), st.floats(0, 5), st.integers(0, 10**6), st.booleans(), st.booleans()),
        max_size=60,
    ),
    cores=st.integers(1, 64),
)
def test_quiet_time_never_exceeds_the_time_that_was_watched(
    steps: list[tuple[float, float, int, bool, bool]], cores: int
) -> None:
    """And the time without any sign is never more than the time with CPU at most."""
    quiet, at, cpu, io = Quiet(), 0.0, 0.0, 0
    for pause, more_cpu, more_io, changed, known in steps:
        at, cpu, io = at + pause, cpu + more_cpu, io + more_io
        seen = (
            {"tree": tree(cpu, io=io), "directory": directory(at, stamp=int(at) * changed)} if known else {}
        )
        quiet = observe(quiet, sample(at, **seen), cores=cores)
        assert 0 <= quiet.quiet_s <= quiet.spinning_s <= at


def test_one_window_reports_a_breach_again_as_long_as_it_lasts() -> None:
    """Whoever asks decides whether once is enough; a sign of life takes it back."""
    alive_at = 2.5 * HOUR
    late = story(3, lambda at: still(at, directory=directory(at, stamp=int(at >= alive_at))))
    times = [found.at for found in breaches(late, QUIET)]
    assert times
    assert min(times) > 2 * HOUR
    assert max(times) < alive_at + WINDOW_S
