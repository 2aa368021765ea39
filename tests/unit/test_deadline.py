"""One deadline from all ends, and the time that is kept before it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picard_pilot.lifecycle.deadline import (
    ARCHIVE_RATE_BYTES_S,
    Deadline,
    KnownEnd,
    Load,
    Rate,
    Reserve,
    counts_late,
    deadline,
    gone_first,
    reserve_for,
)
from picard_pilot.model.slot import SlotEnd

RATE = Rate(bytes_s=1e6, per_file_s=5.0, origin="the assumed rate", measured=False)


def end(at: float, *, hard: bool = True, name: str = "x") -> KnownEnd:
    return KnownEnd(at, SlotEnd(at=at, name=name, evidence=name, hard=hard))


NOTHING = Load()


def judged(*ends: KnownEnd, load: Load = NOTHING, margin_s: float = 30.0) -> Deadline | None:
    reserve = reserve_for(load, RATE, stop_s=10.0, report_s=10.0)
    return deadline(ends, reserve, began_at=0.0, margin_s=margin_s, warning_s=600.0, least_job_s=300.0)


def test_nothing_known_is_no_deadline() -> None:
    """Unknown is not zero."""
    assert judged() is None
    assert gone_first([], 30.0) is None


def test_a_reserve_is_the_sum_of_its_parts() -> None:
    """Two outputs of 300 MB at 1 MB/s; a log of 20 MB is compressed and sent."""
    load = Load(files=2, size_bytes=300_000_000, logs=1, log_bytes=ARCHIVE_RATE_BYTES_S)
    reserve = reserve_for(load, RATE, stop_s=10.0, report_s=10.0)
    assert (reserve.outputs_s, reserve.log_s, reserve.total_s) == (310.0, 26.0, 356.0)
    assert "2 outputs of 300.0 MB so far at 1 MB/s, the assumed rate" in reserve.says()


def test_a_log_is_expected_before_there_is_a_job() -> None:
    """The pilot asks for jobs with the time that the least of them needs after its payload."""
    assert reserve_for(Load(), RATE, stop_s=1.0, report_s=1.0).log_s == 5.0


def test_a_hard_end_leaves_time_for_what_must_leave() -> None:
    """Stopped, then outputs, then log, then report, then gone, then the end."""
    found = judged(end(10_000.0), load=Load(files=1, size_bytes=100_000_000, logs=1))
    assert found is not None
    assert found.gone_by == 9970.0
    assert (found.log_until, found.outputs_until) == (9960.0, 9955.0)
    assert found.stops_at == 9970.0 - 130.0
    assert found.warns_at == found.stops_at - 600.0
    assert found.no_job_after == found.stops_at - 300.0


def test_moments_are_those_of_the_slot_wherever_its_clock_stands() -> None:
    """A slot of a thousand seconds is a short one, also if the clock says a million."""
    reserve = reserve_for(Load(files=1, size_bytes=10**9), RATE, stop_s=10.0, report_s=10.0)
    graces = {"margin_s": 30.0, "warning_s": 600.0, "least_job_s": 300.0}
    found = deadline([end(1_001_000.0)], reserve, began_at=1_000_000.0, **graces)
    assert found is not None
    assert found.reserve.outputs_s == 250.0
    assert found.stops_at == 1_001_000.0 - 30.0 - 10.0 - 250.0 - 5.0 - 10.0
    assert (found.stops_at - found.warns_at, found.stops_at - found.no_job_after) == (100.0, 100.0)


def test_a_soft_end_is_when_payloads_are_stopped() -> None:
    """The pilot itself decides when it leaves then: after the graces, or a tenth of its life where it needs that."""
    found = judged(end(1000.0, hard=False), load=Load(files=1, size_bytes=500_000_000))
    assert found is not None
    assert (found.stops_at, found.gone_by, found.no_job_after) == (1000.0, 1100.0, 990.0)
    short = judged(end(3.0, hard=False))
    assert short is not None
    assert (short.stops_at, short.gone_by) == (3.0, 23.0)


def test_outputs_never_take_most_of_a_slot() -> None:
    """A terabyte at the assumed rate would: a quarter of the slot is kept for it, half where the rate was measured."""
    load = Load(files=1, size_bytes=10**12)
    assumed = judged(end(10_000.0), load=load)
    assert assumed is not None
    assert assumed.reserve.outputs_s == 2500.0
    assert "no more than 25% of the slot" in assumed.reserve.says()
    measured = Rate(bytes_s=1e6, per_file_s=5.0, origin="measured", measured=True)
    reserve = reserve_for(load, measured, stop_s=10.0, report_s=10.0)
    assert reserve.within(10_000.0).outputs_s == 5000.0
    assert reserve.within(1e9) == reserve


def test_the_end_that_stops_first_counts() -> None:
    """A soft end may be earlier than a hard one and yet leave more time."""
    found = judged(end(1000.0, hard=False, name="lifetime"), end(1010.0, name="batch"))
    assert found is not None and found.end.name == "batch"
    assert gone_first([end(1000.0, hard=False), end(1010.0), end(1020.0)], 30.0) == 980.0


@given(
    ends=st.lists(st.tuples(st.floats(1, 1e6), st.booleans()), min_size=1, max_size=5),
    size_bytes=st.integers(0, 10**12),
    files=st.integers(0, 1000),
)
def test_the_order_of_moments(ends: list[tuple[float, bool]], size_bytes: int, files: int) -> None:
    """Warned before stopped, stopped before gone, gone before the end where others set it; more to write never means to
    be stopped later."""
    known = [end(at, hard=hard) for at, hard in ends]
    found = judged(*known, load=Load(files=files, size_bytes=size_bytes))
    less = judged(*known, load=Load(files=files // 2, size_bytes=size_bytes // 2))
    assert found is not None and less is not None
    assert found.warns_at <= found.stops_at <= found.gone_by
    assert found.no_job_after <= found.stops_at
    assert found.outputs_until <= found.log_until <= found.gone_by
    assert found.stops_at <= less.stops_at
    if found.end.hard:
        assert found.gone_by <= found.known.at


@pytest.mark.parametrize(
    ("left_s", "validity_s", "counts"),
    [
        (7200.0, 4 * 86400.0, True),
        (11 * 3600.0, 4 * 86400.0, False),
        (150.0, 1200.0, False),
        (110.0, 1200.0, True),
    ],
)
def test_a_credential_in_a_file_counts_when_its_renewal_is_late(
    left_s: float, validity_s: float, counts: bool
) -> None:
    """The last tenth of its time: a token of 20 minutes, renewed every 10, never ends a slot."""
    now = 1e9
    assert counts_late(now=now, laid_down_at=now + left_s - validity_s, ends_at=now + left_s) is counts


def test_a_reserve_says_what_it_is_for() -> None:
    """For the log of the pilot and the fault of a job that was stopped."""
    reserve = Reserve(stop_s=10.0, outputs_s=60.0, log_s=5.0, report_s=10.0, because="why", most_share=0.5)
    assert reserve.says() == "85 s: 10 to stop, 60 for outputs, 5 for the log, 10 for the report (why)"
