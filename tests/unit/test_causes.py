"""The order of faults: the cause wins over what follows from it, whichever was found first, and nothing is dropped."""

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from picard_pilot.lifecycle.causes import causes_first
from picard_pilot.model.fault import Blame, Fault, Retry


def made(name: str, *symptom_of: str) -> Fault:
    """A fault of that name."""
    return Fault(
        code=1,
        name=name,
        says=name.lower(),
        rule="test",
        blame=Blame.NODE,
        retry=Retry.NEVER,
        next_step="-",
        symptom_of=symptom_of,
    )


def test_the_cause_stands_before_its_symptoms_in_whatever_order_they_were_found() -> None:
    """A full disk ends the payload, and then the output is missing: the disk is what people must hear of."""
    disk = made("NOLOCALSPACE")
    payload = made("PAYLOADEXECUTIONFAILURE", "NOLOCALSPACE")
    missing = made("MISSINGOUTPUTFILE", "PAYLOADEXECUTIONFAILURE")
    for found in permutations((disk, payload, missing)):
        assert causes_first(found) == (disk, payload, missing)


def test_a_symptom_without_its_cause_is_the_verdict() -> None:
    """And errors that have nothing to do with each other stay as they were found."""
    symptom, other = made("A", "B"), made("C")
    assert causes_first((symptom, other)) == (symptom, other)
    assert causes_first((other, symptom)) == (other, symptom)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ABCDE"), st.sets(st.sampled_from("ABCDE"))), max_size=8))
def test_nothing_is_dropped_even_where_errors_call_each_other_symptoms(
    found: list[tuple[str, set[str]]],
) -> None:
    """Rings are the catalogue's mistake, and no reason to lose a fault or to hang."""
    faults = [made(name, *sorted(of)) for name, of in found]
    ordered = causes_first(faults)
    assert sorted(map(id, ordered)) == sorted(map(id, faults))
