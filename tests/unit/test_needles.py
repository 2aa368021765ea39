"""The texts that a log must hold for a pattern to match: never one too many, so that nothing is passed over."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus import cases
from picard_pilot.diagnosis.needles import needles_of
from picard_pilot.diagnosis.rulebook import CORE_RULES
from picard_pilot.model.rule import Rule

PATTERNS = [rule for rule in CORE_RULES if rule.is_pattern]


@pytest.mark.parametrize(
    ("pattern", "needles"),
    [
        ("no space", {"no space"}),
        (r"x\.so\[3011\]", {"x.so[3011]"}),
        ("abc?def", {"def"}),
        ("abc*?def", {"def"}),
        ("ab+cde", {"cde"}),
        ("a{2}bcd", {"bcd"}),
        ("abcd{0,3}xy", {"abc"}),
        ("abc|defg", {"abc", "defg"}),
        ("abc|x", None),
        ("(?:abc|def)gh", {"abc", "def"}),
        ("(?:abc|def)?ghi", {"ghi"}),
        (r"(?P<what>\w+) was lost", {" was lost"}),
        ("a(?:(?:bcd|efgh)x|ijk)", {"bcd", "efgh", "ijk"}),
        ("foo(?!barbar)", {"foo"}),
        ("(?=long text)abc", {"abc"}),
        ("(?>abc|abd)e?", {"abc", "abd"}),
        ("(?i)abc", None),
        (r"\bERR\b[abc]{3,}\d+", {"ERR"}),
        (r"\x41bcd", {"bcd"}),
        ("[(|abc]+def", {"def"}),
        ("ab{cd", None),
        ("", None),
    ],
)
def test_needles_of_a_pattern(pattern: str, needles: set[str] | None) -> None:
    """The longest there are; none of what may be left out."""
    found = needles_of(pattern)
    assert found == needles if needles is None or found is None else set(found) == needles


@pytest.mark.parametrize("rule", PATTERNS, ids=lambda rule: rule.name)
def test_every_pattern_of_the_core_has_some(rule: Rule) -> None:
    """One without would be tried on every line of every failed payload."""
    assert isinstance(rule.when, str)
    assert needles_of(rule.when)


def test_every_line_that_a_rule_hits_holds_a_needle() -> None:
    """On all lines of the corpus, and all samples."""
    lines = [line.text for case in cases() for _, line in case.facts.lines()]
    lines += [line for rule in PATTERNS for line in str(rule.sample).splitlines()]
    for rule in PATTERNS:
        assert isinstance(rule.when, str)
        search, needles = re.compile(rule.when).search, needles_of(rule.when) or ()
        hit = [line for line in lines if search(line)]
        assert hit
        assert [line for line in hit if not any(needle in line for needle in needles)] == []


ATOMS = st.sampled_from(["abc", "de", "f", r"\.", r"\d", "[gh]", ".", "^", r"\b"])
PIECES = st.builds("".join, st.lists(ATOMS, min_size=1, max_size=4))


def _wrapped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    quantity = st.sampled_from(["", "?", "+", "*", "{2}", "{0,2}", "+?"])
    return st.one_of(
        st.builds(lambda a, b: f"{a}|{b}", inner, inner),
        st.builds(lambda a, q: f"(?:{a}){q}", inner, quantity),
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a: f"f{a}", inner),
    )


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.recursive(PIECES, _wrapped, max_leaves=5),
    st.lists(st.sampled_from("abcdefg.1 h"), max_size=30).map("".join),
)
def test_no_pattern_matches_a_line_without_its_needles(pattern: str, line: str) -> None:
    """Whatever the pattern is made of."""
    needles = needles_of(pattern)
    if needles is not None and re.search(pattern, line):
        assert any(needle in line for needle in needles)
