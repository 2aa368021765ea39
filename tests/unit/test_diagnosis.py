"""The catalogue and the rules: numbers are unique, names stay, and the last telling line wins."""

from picard_pilot.diagnosis.catalogue.codes import BY_NAME, BY_NUMBER, ROWS
from picard_pilot.diagnosis.faults import fault
from picard_pilot.diagnosis.match import first_match
from picard_pilot.model.rule import Rule, Where

RULE = Rule(
    error="PAYLOADOUTOFMEMORY",
    where=Where.STDERR,
    when=r"bad_alloc|Cannot allocate memory",
    says="the program ran out of memory",
    advice="Ask for more memory.",
    sample="terminate called after throwing an instance of 'std::bad_alloc'",
    counter_sample="memory is fine",
    is_pattern=True,
)


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


def test_a_rule_is_found_in_its_own_file_only_and_shows_the_last_line() -> None:
    """The evidence is the line nearest to the end; the advice is the rule's own."""
    lines = {
        Where.STDOUT: [RULE.sample],
        Where.STDERR: ["std::bad_alloc first", "fine", "std::bad_alloc last", "bye"],
    }
    found = first_match((RULE,), lines, phase="running")
    assert found is not None
    assert (found.code, found.evidence[0].text, found.next_step) == (
        1212,
        "std::bad_alloc last",
        "Ask for more memory.",
    )
    assert first_match((RULE,), {Where.STDOUT: [RULE.sample]}, phase="running") is None
    assert first_match((RULE,), {Where.STDERR: [RULE.counter_sample]}, phase="running") is None
