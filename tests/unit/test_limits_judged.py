"""Judging samples against limits: when each limit is broken, and that what is not known breaks none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watch_story import GB, breaches, directory, first, job, limit, pss, queue, sample, tree

from picard_pilot.diagnosis.catalogue.codes import BY_NAME
from picard_pilot.lifecycle.judging import (
    KEPT_S,
    ONLY_RUNNING,
    PHASES,
    History,
    judge,
    kernel_evidence,
    kernel_kills,
    remember,
)
from picard_pilot.lifecycle.limits import limits_for
from picard_pilot.model.limits import Measure
from picard_pilot.model.states import Phase
from picard_pilot.model.usage import CgroupSample, Sample

MEMORY = limit(Measure.MEMORY, 4 * GB)


def _shared(at: float, pss_bytes: float) -> Sample:
    """Eight workers of a parent with much in common: their RSS adds up to 16 GB."""
    return sample(at, tree=tree(rss_bytes=16 * GB, processes=8), pss=pss(at, pss_bytes, rss_bytes=16 * GB))


def test_memory_is_judged_by_pss_and_not_by_a_sum_of_rss() -> None:
    """16 GB of RSS with 3.7 GB of PSS are 3.7 GB."""
    assert first([_shared(5.0 * n, 3.7 * GB) for n in range(50)], MEMORY) is None


def test_memory_is_not_judged_where_pss_is_not_known() -> None:
    """RSS alone ends no job, however large."""
    blind = [sample(5.0 * n, tree=tree(rss_bytes=10**15)) for n in range(50)]
    assert first(blind, MEMORY) is None


def test_too_much_memory_must_be_read_twice() -> None:
    """A tree is not read at one moment; the same reading shown by several samples is one reading."""
    once = [_shared(0, 3 * GB), _shared(60, 5 * GB)]
    again = [sample(65, tree=tree(), pss=pss(60, 5 * GB)), sample(70, tree=tree(), pss=pss(60, 5 * GB))]
    assert first([*once, *again, _shared(75, 3 * GB), _shared(80, 5 * GB)], MEMORY) is None
    found = first([*once, *again, _shared(75, 4.5 * GB)], MEMORY)
    assert found is not None
    assert (found.error, found.value, found.at) == ("PAYLOADEXCEEDMAXMEM", 4.5 * GB, 75)
    assert "PSS 4.5 GB of 8 processes" in found.evidence[0]
    assert "16.0 GB" in found.evidence[0]


def test_one_reading_is_none_and_old_ones_are_no_present() -> None:
    """The first reading of a payload, however high; and two of a payload whose place another one has taken."""
    assert first([_shared(0, 5 * GB)], MEMORY) is None
    story = [_shared(0, 5 * GB), _shared(60, 5 * GB), sample(65, tree=tree())]
    assert [found.at for found in breaches(story, MEMORY)] == [60]


def test_swapped_memory_counts() -> None:
    """Otherwise a node that swaps would hide what a payload takes."""
    samples = [sample(at, pss=pss(at, 3 * GB, swap_bytes=2 * GB)) for at in (0, 60)]
    assert first(samples, MEMORY) is not None


def test_the_control_group_speaks_where_pss_cannot_be_read() -> None:
    """Processes of another user: the group's account of what cannot be taken back, twice."""
    group = CgroupSample(memory_bytes=5 * GB)
    unread = [sample(at, tree=tree(), cgroup=group) for at in (0, 5)]
    assert first(unread[:1], MEMORY) is None
    found = first(unread, MEMORY)
    assert found is not None
    assert "control group" in found.evidence[0]
    peak = [sample(0, tree=tree(), cgroup=CgroupSample(memory_bytes=1 * GB)), *unread[1:]]
    assert first(peak, MEMORY) is None
    readable = [sample(at, tree=tree(), cgroup=group, pss=pss(at, 1 * GB)) for at in (0, 5)]
    assert first(readable, MEMORY) is None
    partly = [sample(at, tree=tree(), cgroup=group, pss=pss(at, 1 * GB, unread=1)) for at in (0, 5)]
    assert first(partly, MEMORY) is not None


def test_memory_of_a_payload_that_is_over_is_judged_no_more() -> None:
    """The next phase has no reading."""
    story = [_shared(0, 3 * GB), _shared(60, 5 * GB), _shared(120, 5 * GB), sample(125, Phase.STAGEOUT)]
    assert [found.at for found in breaches(story, MEMORY)] == [120]


@pytest.mark.parametrize(
    ("measure", "error", "fine", "broken", "evidence"),
    [
        (
            Measure.DIRECTORY,
            "USERDIRTOOLARGE",
            {"directory": directory(0, 100)},
            {"directory": directory(0, 101)},
            "1 files",
        ),
        (
            Measure.OUTPUT_FILE,
            "OUTPUTFILETOOLARGE",
            {"outputs": {"a": 100, "b": 1}},
            {"outputs": {"a": 1, "b": 101}},
            "output b",
        ),
        (
            Measure.OUTPUT_TEXT,
            "STDOUTTOOBIG",
            {"stdout_bytes": 100, "stderr_bytes": 100},
            {"stdout_bytes": 1, "stderr_bytes": 101},
            "payload.stderr",
        ),
        (Measure.WALL_TIME, "REACHEDMAXTIME", {"wall_s": 100.0}, {"wall_s": 100.5}, "has run for 100 s"),
        (
            Measure.CPU_TIME,
            "REACHEDMAXTIME",
            {"tree": tree(90.0, cpu_system_s=10.0)},
            {"tree": tree(90.0, cpu_system_s=11.0), "wall_s": 60.0},
            "90 s as user, 11 s as system in 60 s",
        ),
        (
            Measure.PROCESSES,
            "PAYLOADEXECUTIONFAILURE",
            {"tree": tree(processes=100)},
            {"tree": tree(processes=101)},
            "101, 101",
        ),
    ],
)
def test_more_than_the_limit_is_too_much(
    measure: Measure, error: str, fine: dict[str, Any], broken: dict[str, Any], evidence: str
) -> None:
    """As much as the limit is fine, unknown is fine."""
    bound = limit(measure, 100)
    for seen in (fine, {}):
        assert first([sample(at, **seen) for at in (0, 5, 10)], bound) is None
    found = first([sample(at, **broken) for at in (0, 5, 10)], bound)
    assert found is not None
    assert (found.error, found.limit) == (error, bound)
    assert found.value > 100
    assert evidence in found.evidence[0]


def test_a_directory_of_which_a_part_is_enough_is_too_large() -> None:
    """A lower bound above the limit is above the limit, and says that it is one."""
    found = first([sample(0, directory=directory(0, 101, whole=False))], limit(Measure.DIRECTORY, 100))
    assert found is not None
    assert "at least" in found.evidence[0]


def test_a_short_crowd_of_processes_is_none() -> None:
    """Twice in a row."""
    counts = [600, 3, 600, 3, 600]
    story = [sample(5 * n, tree=tree(processes=count)) for n, count in enumerate(counts)]
    assert first(story, limit(Measure.PROCESSES, 500)) is None


def test_free_space_must_stay_low_for_a_while() -> None:
    """Others write on the same disk; unknown for a moment changes nothing."""
    bound = limit(Measure.FREE_SPACE, GB)

    def story(*free: float | None) -> list[Sample]:
        return [
            sample(5.0 * n, free_bytes=None if each is None else int(each)) for n, each in enumerate(free)
        ]

    assert first(story(*[GB] * 9), bound) is None
    assert first(story(1, 1, 1, 1, 2 * GB, 1, 1, 1, 1), bound) is None
    found = first(story(2 * GB, 1, None, 1, 1, 1), bound)
    assert found is not None
    assert (found.error, found.at, found.value) == ("NOLOCALSPACE", 25, 1)
    assert found.evidence[0] == "for 20 s"


def test_the_first_of_several_broken_limits_is_told() -> None:
    """In the order in which they stand."""
    both = (limit(Measure.WALL_TIME, 1), limit(Measure.OUTPUT_TEXT, 1))
    story = [sample(0, wall_s=2, stdout_bytes=2)]
    for limits in (both, both[::-1]):
        found = first(story, *limits)
        assert found is not None
        assert found.limit is limits[0]


@given(st.lists(st.floats(0.1, 400), max_size=60), st.sampled_from(Phase))
def test_samples_in_which_nothing_is_known_break_no_limit(pauses: list[float], phase: Phase) -> None:
    """Every limit there is, with a value of zero: what was not seen is not above it, nor below."""
    limits = [limit(measure, 0) for measure in Measure if measure is not Measure.FREE_SPACE]
    limits.append(limit(Measure.FREE_SPACE, 10**18))
    history, at = History(), 0.0
    for pause in pauses:
        at += pause
        history = remember(history, sample(at, phase), limits, cores=1)
        assert judge(history, limits) is None


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=200))
def test_a_history_stays_small(pauses: list[float]) -> None:
    """A job may run for a week: what is kept is what was seen in the last minute, and always the last two samples."""
    history, at = History(), 0.0
    for pause in pauses:
        at += pause
        history = remember(history, sample(at), (), cores=1)
    assert history.last is not None and history.last.at == at
    assert all(each.at >= at - KEPT_S for each in history.samples[:-2])
    assert len(history.samples) >= min(2, len(pauses))


def test_every_error_stands_in_the_catalogue() -> None:
    """Each limit of a usual job, broken in each phase in which it holds, and in no other."""
    full = {
        "wall_s": 1e9,
        "stdout_bytes": 10**15,
        "outputs": {"o": 10**15},
        "free_bytes": 0,
        "tree": tree(1e9, processes=10**6),
    }
    offered = queue({"pilot_walltime_grace": 1}, maxtime_s=1, maxwdir_mb=1)
    limits = limits_for(job(memory_mb=1, cpu_time_s=1), offered)
    assert {bound.measure for bound in limits} == set(Measure)
    for phase in (Phase.STAGEIN, Phase.RUNNING, Phase.STAGEOUT):
        for bound in limits:
            story = [
                sample(at, phase, directory=directory(at, 10**15), pss=pss(at, 10**15), **full, moved_bytes=0)
                for at in range(0, 50_000, 250)
            ]
            found = first(story, bound)
            if phase not in PHASES.get(bound.measure, ONLY_RUNNING):
                assert found is None
                continue
            assert found is not None, bound.measure
            assert found.error in BY_NAME
            assert found.evidence


def test_the_kernel_s_kills_are_a_difference_of_two_readings() -> None:
    """The slot's group may have seen some before the job; unknown on either side is unknown."""
    before, now = CgroupSample(oom_kills=2), CgroupSample(oom_kills=3)
    assert kernel_kills(before, now) == 1
    assert kernel_kills(before, before) == 0
    for pair in ((None, now), (before, None), (CgroupSample(), now), (before, CgroupSample())):
        assert kernel_kills(*pair) is None
        assert kernel_evidence(*pair) == ()
    assert kernel_evidence(before, before) == ()
    assert kernel_evidence(before, now) == ("the control group's oom_kill rose from 2 to 3",)
    told = CgroupSample(oom_kills=3, limit_bytes=2 * GB, peak_bytes=1_900_000_000)
    assert kernel_evidence(before, told)[1:] == ("its limit is 2.0 GB", "its peak was 1.9 GB")
