"""The limits of a job: who sets which, and what becomes of one that nobody sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watch_story import GB, job, limit, queue

from picard_pilot.lifecycle.limits import Defaults, limits_for
from picard_pilot.model.job import Job
from picard_pilot.model.limits import Breach, From, Measure, Unit, amount, limit_on
from picard_pilot.model.site import Queue

MIB = 1 << 20
NOTHING = Defaults(
    free_space_bytes=None,
    output_file_bytes=None,
    output_text_bytes=None,
    quiet_s=None,
    processes_base=None,
)


@pytest.mark.parametrize(
    ("measure", "asked", "offered", "value", "origin", "detail"),
    [
        (Measure.MEMORY, job(), queue(maxrss_mb=4000), 8000 * MIB, From.QUEUE, "maxrss 4000 MB x 2"),
        (
            Measure.MEMORY,
            job(memory_mb=100),
            queue({"pilot_rss_grace": "50"}, maxrss_mb=4000),
            6000 * MIB,
            From.QUEUE,
            "maxrss 4000 MB x 1.5",
        ),
        (
            Measure.MEMORY,
            job(cores=2),
            queue(maxrss_mb=16000, corecount=8),
            8000 * MIB,
            From.QUEUE,
            "maxrss 16000 MB x 2/8 cores x 2",
        ),
        (Measure.MEMORY, job(memory_mb=2000), queue(), 4000 * MIB, From.JOB, "minRamCount 2000 MB x 2"),
        (Measure.DIRECTORY, job(), queue(maxwdir_mb=1000), 1100 * MIB, From.QUEUE, "maxwdir 1000 MB x 1.1"),
        (Measure.WALL_TIME, job(), queue(maxtime_s=3600), 3600, From.QUEUE, "maxtime 3600 s"),
        (
            Measure.WALL_TIME,
            job(walltime_s=1000),
            queue({"pilot_walltime_grace": 20}, maxtime_s=3600),
            1200,
            From.JOB,
            "maxWalltime 1000 s + 20 % (pilot_walltime_grace)",
        ),
        (
            Measure.WALL_TIME,
            job(walltime_s=10_000),
            queue({"pilot_walltime_grace": 20}, maxtime_s=3600),
            3600,
            From.QUEUE,
            "maxtime 3600 s",
        ),
        (
            Measure.DIRECTORY,
            job(disk_mb=70),
            queue({"pilot_maxwdir_grace": "20"}, maxwdir_mb=1000),
            1200 * MIB,
            From.QUEUE,
            "maxwdir 1000 MB x 1.2",
        ),
        (
            Measure.DIRECTORY,
            job(cores=2),
            queue(maxwdir_mb=8000, corecount=8),
            2200 * MIB,
            From.QUEUE,
            "maxwdir 8000 MB x 2/8 cores x 1.1",
        ),
        (Measure.DIRECTORY, job(disk_mb=700), queue(), 1400 * MIB, From.JOB, "maxDiskCount 700 MB x 2"),
        (
            Measure.DIRECTORY,
            job(disk_mb=700),
            queue({"pilot_maxwdir_grace": 50}),
            1050 * MIB,
            From.JOB,
            "maxDiskCount 700 MB x 1.5",
        ),
        (
            Measure.CPU_TIME,
            job(cpu_time_s=1000),
            queue({"pilot_walltime_grace": 50}),
            1500,
            From.JOB,
            "maxCpuCount 1000 s + 50 % (pilot_walltime_grace)",
        ),
        (Measure.QUIET_TIME, job(), queue(), 7200, From.DEFAULT, "looping limit"),
        (Measure.SPINNING_TIME, job(), queue(), 43200, From.DEFAULT, "6 x the looping limit"),
        (Measure.PROCESSES, job(cores=4), queue(), 900, From.DEFAULT, "500 + 100 x 4 cores"),
        (Measure.FREE_SPACE, job(), queue(), GB, From.DEFAULT, "reserve of the node"),
        (Measure.OUTPUT_FILE, job(), queue(), 500 * GB, From.DEFAULT, "largest file that storages take"),
        (Measure.OUTPUT_TEXT, job(), queue(), 2 << 30, From.DEFAULT, "output limit"),
    ],
)
def test_each_limit_names_who_set_it_and_how(
    measure: Measure, asked: Job, offered: Queue, value: float, origin: From, detail: str
) -> None:
    """The queue before the job where both say something, except for wall time, where the shorter one holds."""
    found = limit_on(limits_for(asked, offered), measure)
    assert found is not None
    assert (found.value, found.origin, found.detail) == (pytest.approx(value), origin, detail)


@pytest.mark.parametrize("measure", list(Measure))
def test_what_nobody_sets_is_no_limit(measure: Measure) -> None:
    """Unknown is not zero: a job of a queue that says nothing is not ended for anything."""
    assert limit_on(limits_for(job(), queue(), NOTHING), measure) is None


def test_a_job_s_estimate_of_its_time_ends_it_only_where_the_queue_says_so() -> None:
    """It is made for brokerage; a queue that wants it as a limit gives the grace."""
    asked = job(walltime_s=10, cpu_time_s=10)
    for params in (
        {},
        {"pilot_walltime_grace": 0},
        {"pilot_walltime_grace": "soon"},
        {"pilot_walltime_grace": True},
    ):
        limits = limits_for(asked, queue(params))
        assert limit_on(limits, Measure.WALL_TIME) is limit_on(limits, Measure.CPU_TIME) is None


@pytest.mark.parametrize("word", [b"false", b'"False"', b'"F"', b"0"])
def test_a_job_may_ask_not_to_be_watched_for_loops(word: bytes) -> None:
    """`loopingCheck` of its description."""
    limits = limits_for(job(extra={"loopingCheck": word}), queue())
    assert limit_on(limits, Measure.QUIET_TIME) is None
    assert limit_on(limits, Measure.SPINNING_TIME) is None
    assert limit_on(limits_for(job(extra={"loopingCheck": b"true"}), queue()), Measure.QUIET_TIME)


@given(
    memory=st.none() | st.integers(1, 10**7),
    maxrss=st.none() | st.integers(1, 10**7),
    cores=st.integers(1, 256),
    slot=st.none() | st.integers(0, 256),
    grace=st.none() | st.text(max_size=5) | st.floats() | st.integers() | st.booleans(),
)
def test_a_limit_is_never_zero_and_never_below_what_was_granted(
    memory: int | None, maxrss: int | None, cores: int, slot: int | None, grace: object
) -> None:
    """Whatever a queue's description holds: at least the job's part of maxrss, else what the job asked for."""
    offered = queue({"pilot_rss_grace": grace}, maxrss_mb=maxrss, corecount=slot)
    found = limit_on(limits_for(job(memory_mb=memory, cores=cores), offered), Measure.MEMORY)
    if maxrss is None and memory is None:
        assert found is None
        return
    granted = memory if maxrss is None else maxrss * min(1.0, cores / slot if slot else 1.0)
    assert found is not None and granted is not None
    assert found.value >= granted * MIB * 0.999
    assert found.origin is (From.JOB if maxrss is None else From.QUEUE)


def test_a_breach_says_measure_value_limit_and_origin() -> None:
    """One sentence; free space is the one limit that is broken from above."""
    broken = Breach(
        limit=limit(Measure.MEMORY, 8 * GB), value=9.5 * GB, error="PAYLOADEXCEEDMAXMEM", evidence=(), at=0.0
    )
    assert broken.says() == "memory: 9.5 GB is above the limit of 8.0 GB (queue: set by the test)"
    low = Breach(limit=limit(Measure.FREE_SPACE, GB), value=12, error="NOLOCALSPACE", evidence=(), at=0.0)
    assert low.says() == "free disk space: 12 bytes is below the limit of 1.0 GB (queue: set by the test)"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (999, Unit.BYTES, "999 bytes"),
        (1500, Unit.BYTES, "1.5 kB"),
        (2.5e6, Unit.BYTES, "2.5 MB"),
        (7199, Unit.SECONDS, "7199 s"),
        (43200, Unit.SECONDS, "12.0 h"),
        (600, Unit.COUNT, "600"),
    ],
)
def test_amounts_are_for_people(value: float, unit: Unit, text: str) -> None:
    """In the unit in which the field speaks of them."""
    assert amount(value, unit) == text
