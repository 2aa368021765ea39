"""Pauses between attempts grow, never beyond their limit, and differ from pilot to pilot."""

from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picard_pilot.system.backoff import Backoff


@given(
    seed=st.integers(),
    first_s=st.floats(0.01, 10),
    times=st.floats(1, 1000),
    factor=st.floats(1, 4),
    jitter=st.floats(0, 0.9),
)
def test_every_pause_keeps_to_its_limits(
    seed: int, first_s: float, times: float, factor: float, jitter: float
) -> None:
    """At least the first pause less its jitter, at most the longest, after any number of failures."""
    backoff = Backoff(first_s=first_s, longest_s=first_s * times, factor=factor, jitter=jitter)
    dice = Random(seed)
    for failures in (1, 2, 3, 10, 100, 101, 10**6):
        pause_s = backoff.pause_s(failures, dice)
        assert first_s * (1 - jitter) <= pause_s * 1.0001
        assert pause_s <= backoff.longest_s


def test_pauses_double_until_the_longest() -> None:
    """Without jitter the series is plain to see."""
    backoff = Backoff(first_s=1, longest_s=10, jitter=0)
    assert list(islice(backoff.pauses(Random(1)), 6)) == [1, 2, 4, 8, 10, 10]


def test_two_pilots_do_not_come_back_together() -> None:
    """The same seed gives the same pauses, another one others."""
    backoff = Backoff(first_s=1, longest_s=60)
    first, again, other = (list(islice(backoff.pauses(Random(seed)), 8)) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("wrong", [{"first_s": 0}, {"longest_s": 0.5}, {"factor": 0.9}, {"jitter": 1}])
def test_pauses_that_cannot_grow_are_refused(wrong: dict[str, float]) -> None:
    """A mistake in a setting shows at once, not at three in the morning."""
    with pytest.raises(ValueError, match="cannot grow"):
        Backoff(**{"first_s": 1.0, "longest_s": 10.0, **wrong})
