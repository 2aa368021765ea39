"""Rules proposed for unknown errors: they find what they were made of, by the same check as any rule."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import Case, cases
from picard_pilot.diagnosis.engine import apply
from picard_pilot.diagnosis.fingerprint import how_it_ended, likeness, telling_logs
from picard_pilot.diagnosis.proposal import Proposal, propose, source_of
from picard_pilot.diagnosis.rulebook import CORE_RULES
from picard_pilot.model.rule import Rule, Where
from picard_pilot.model.samples import failed

CASES = cases()
ERROR = "PAYLOADEXECUTIONFAILURE"


def of_case(case: Case, others: tuple[Rule, ...] = ()) -> Proposal | str:
    """What is proposed for a case of the corpus, were it unknown."""
    alike = likeness(telling_logs(case.facts), how_it_ended(case.facts))
    sample = "\n".join(line.text for line in alike.evidence)
    file = next((line.file for line in alike.evidence if line.file), "")
    return propose(ERROR, alike.text, sample, file, others)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_proposed_rule_is_a_rule_that_finds_its_failure(case: Case) -> None:
    """Nothing is wrong with it, and it hits the log that it was made of."""
    made = of_case(case)
    if isinstance(made, str):
        return
    assert made.flaws == ()
    assert apply(made.rule, case.facts) is not None


def test_most_failures_get_a_rule() -> None:
    """Those that left words of their own; whoever left none is told why."""
    made = [of_case(case) for case in CASES]
    assert sum(isinstance(one, Proposal) for one in made) > 0.7 * len(made)
    assert {one for one in made if isinstance(one, str)}


def test_a_rule_for_what_the_core_does_not_know_has_no_rival() -> None:
    """Checked among the core's own; for what these know already it says so."""
    unknown = [case for case in CASES if case.rule is None and case.experiment is None]
    made = [one for one in (of_case(case, CORE_RULES) for case in unknown) if isinstance(one, Proposal)]
    assert made and all(one.flaws == () for one in made), [one.flaws for one in made]
    known = propose(
        ERROR, "std::bad_alloc of the magnets", "std::bad_alloc of the magnets", "payload.stderr", CORE_RULES
    )
    assert isinstance(known, Proposal) and any("first to find" in flaw for flaw in known.flaws)


def test_the_text_is_what_all_failures_share_and_stands_in_the_sample() -> None:
    """The line with most words; numbers and paths are no part of it."""
    shared = "event <n>\n[ERROR] cannot invert the matrix of track <n> in <path>\nexit"
    sample = "event 7\n[ERROR] cannot invert the matrix of track 12 in /a/b\nexit"
    made = propose(ERROR, shared, sample, "payload.stdout")
    assert isinstance(made, Proposal)
    assert (made.rule.when, made.rule.where) == ("ERROR] cannot invert the matrix of track", Where.STDOUT)
    assert made.rule.sample == "[ERROR] cannot invert the matrix of track 12 in /a/b"
    assert made.rule.counter_sample == "[ERROR] cannot invert the matrix of other 12 in /a/b"


def test_the_source_is_the_rule() -> None:
    """As Python, with quotes, backslashes and other alphabets; a log of its own by its name."""
    odd = 'cannot "open" the \\ magnet of Jürgen\'s'
    for file, where in (("payload.stderr", Where.STDERR), ("log.sim", "log.sim"), ("", Where.LOGS)):
        made = propose(ERROR, odd, odd, file)
        assert isinstance(made, Proposal) and made.rule.where == where
        (again,) = eval(f"[{source_of(made.rule)}]", {"Rule": Rule, "Where": Where})
        assert again == made.rule


@pytest.mark.parametrize(
    ("text", "file", "why"),
    [
        ("exit code 3", "", "no line"),
        ("<n> <path>: <n>", "payload.stderr", "no line"),
        ("the tool cannot find its key", "jobReport.json", "only a function"),
    ],
)
def test_where_there_can_be_no_rule_it_says_why(text: str, file: str, why: str) -> None:
    """Too few words, or a report."""
    made = propose(ERROR, text, text if file else "", file)
    assert isinstance(made, str) and why in made


@given(st.lists(st.text(max_size=120), max_size=6))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_whatever_was_written_a_proposal_has_no_flaw(lines: list[str]) -> None:
    """Or there is none."""
    facts = failed(1, stderr="\n".join(lines))
    alike = likeness(telling_logs(facts), how_it_ended(facts))
    made = propose(ERROR, alike.text, "\n".join(line.text for line in alike.evidence), "payload.stderr")
    assert isinstance(made, str) or made.flaws == ()
