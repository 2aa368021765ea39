"""What the pilot as a whole does next: ask, wait, or leave, and never leave a job behind."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from picard_pilot.lifecycle.pilot import Ask, Leave, Leaving, Situation, WaitUntil, decide

QUIET = Situation(
    now=100.0,
    no_job_after=990.0,
    jobs_taken=0,
    jobs_limit=0,
    jobs_active=0,
    jobs_at_once=1,
    draining=None,
    dry_for_s=None,
    trouble_for_s=None,
    next_ask=0.0,
    queue_patience_s=60.0,
    server_patience_s=3600.0,
)


def test_a_free_pilot_asks_and_a_busy_one_waits() -> None:
    """One job at a time, and not before the pause is over."""
    assert decide(QUIET) == Ask()
    assert decide(msgspec.structs.replace(QUIET, next_ask=120.0)) == WaitUntil(120.0)
    assert decide(msgspec.structs.replace(QUIET, jobs_active=1)) == WaitUntil(None)
    assert decide(msgspec.structs.replace(QUIET, jobs_active=1, jobs_at_once=2)) == Ask()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"jobs_limit": 3, "jobs_taken": 3}, Leaving.JOB_LIMIT),
        ({"now": 991.0}, Leaving.LIFETIME),
        ({"dry_for_s": 60.0}, Leaving.NO_JOBS),
        ({"trouble_for_s": 3600.0}, Leaving.SERVER_GONE),
        ({"draining": Leaving.DRAINING}, Leaving.DRAINING),
    ],
)
def test_each_reason_to_leave_waits_for_the_jobs_that_run(change: dict[str, object], why: Leaving) -> None:
    """No further job is taken; the present one is never left."""
    situation = msgspec.structs.replace(QUIET, **change)
    assert decide(situation) == Leave(why)
    assert decide(msgspec.structs.replace(situation, jobs_active=1)) == WaitUntil(None)


@given(
    now=st.floats(0, 2000),
    taken=st.integers(0, 5),
    limit=st.integers(0, 5),
    active=st.integers(0, 3),
    dry=st.none() | st.floats(0, 100),
    trouble=st.none() | st.floats(0, 5000),
    next_ask=st.floats(0, 2000),
)
def test_whatever_the_situation_no_active_job_is_left_and_no_limit_is_passed(
    now: float, taken: int, limit: int, active: int, dry: float | None, trouble: float | None, next_ask: float
) -> None:
    """Leave only without active jobs; ask only within every limit; wait only for something to come."""
    situation = msgspec.structs.replace(
        QUIET,
        now=now,
        jobs_taken=taken,
        jobs_limit=limit,
        jobs_active=active,
        dry_for_s=dry,
        trouble_for_s=trouble,
        next_ask=next_ask,
    )
    match decide(situation):
        case Leave():
            assert active == 0
        case Ask():
            assert active < situation.jobs_at_once and now >= next_ask
            assert not limit or taken < limit
        case WaitUntil(when):
            assert active > 0 or (when is not None and when > now)
