"""The catalogue: numbers are unique, names stay, and each row tells what to do."""

from picard_pilot.diagnosis.catalogue.codes import BY_NAME, BY_NUMBER, ROWS
from picard_pilot.diagnosis.faults import fault


def test_no_number_and_no_name_is_used_twice() -> None:
    """A number that once meant something means it for ever."""
    assert len(BY_NAME) == len(BY_NUMBER) == len(ROWS)
    assert [row.number for row in ROWS] == sorted(row.number for row in ROWS)


def test_every_row_tells_what_to_do_next() -> None:
    """A sentence for people in each."""
    for row in ROWS:
        assert row.summary and row.next_step.endswith("."), row


def test_a_fault_says_its_evidence_once() -> None:
    """The line for the server holds sentence and evidence, and does not repeat itself."""
    found = fault("STAGEINFAILED", "input a.root cannot be had", rule="t", evidence=("3 attempts",))
    assert found.diag == "input a.root cannot be had: 3 attempts"
    assert fault("STAGEINFAILED", "no 3 attempts", rule="t", evidence=("3 attempts",)).diag == "no 3 attempts"
    ended = fault("PAYLOADEXECUTIONFAILURE", "ended by KeyError", rule="t", evidence=("KeyError: 5",))
    assert ended.diag == "ended by KeyError: 5"
    of_a_word = fault("PAYLOADEXECUTIONFAILURE", "it ended by a", rule="t", evidence=("abort",))
    assert of_a_word.diag == "it ended by a: abort"
