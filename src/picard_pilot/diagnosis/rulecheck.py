"""Whether an error rule can be used, and whether its samples prove it. Applying rules is `diagnosis.engine`."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from picard_pilot.diagnosis.catalogue.codes import BY_NAME
from picard_pilot.diagnosis.engine import apply, diagnose
from picard_pilot.model.facts import Facts
from picard_pilot.model.rule import STRUCTURED, Rule, Where
from picard_pilot.model.samples import failed

MOST_WILDCARDS = 4
"""Unbounded repeats that one match can pass: each multiplies the time on a hostile line by that line's length."""


class Flaw(NamedTuple):
    """Which demand a rule does not meet, and what was found."""

    demand: str
    says: str


def unusable(rule: Rule) -> str | None:
    """Why a rule cannot be used at all; None if it can. Cheap: asked before an experiment's rules are tried."""
    if rule.error not in BY_NAME:
        return f"it names the error {rule.error!r}, which is not in the catalogue"
    texts = (rule.says, rule.advice, rule.where, rule.name)
    if not all(isinstance(text, str) for text in texts) or not rule.says or not rule.advice:
        return f"its rule {rule.id!r} lacks a sentence or an advice"
    if any("\ud800" <= char <= "\udfff" for text in texts for char in text):
        return f"its rule {rule.id!r} has half of a character in its words"
    if not isinstance(rule.when, str):
        return None if callable(rule.when) else f"its rule {rule.name!r} has neither text nor function"
    if rule.where in STRUCTURED:
        return f"its rule {rule.id!r} looks for a text in {rule.where!r}, where only a function can look"
    return _bad_pattern(rule.when) if rule.is_pattern else None if rule.when else "its rule looks for nothing"


def flaws(rules: Sequence[Rule], others: Iterable[Rule] = ()) -> Iterator[tuple[Rule, Flaw]]:
    """What is wrong with these rules. `others` are the core's: a sample must be explained by its own rule first.

    Nothing that a rule's function does raises here.
    """
    together = (*rules, *others)
    for rule in rules:
        why = unusable(rule)
        if why is not None:
            yield rule, Flaw("a rule can be used", why)
            continue
        for demand, says in _of_samples(rule, together):
            yield rule, Flaw(demand, says)


def _of_samples(rule: Rule, together: Sequence[Rule]) -> Iterator[tuple[str, str]]:
    usable = [one for one in together if unusable(one) is None]
    told = diagnose(usable, sample_facts(rule, rule.sample))
    if told.broken:
        yield "a rule's function does not raise", "; ".join(told.broken)
    if rule not in [one.rule for one in told.found]:
        yield "a rule finds its sample", f"it does not: {rule.sample!r}"
    elif told.found[0].rule != rule:
        first = told.found[0].rule
        yield "a rule is the first to find its sample", f"{first.id} ({first.specificity}) is before it"
    if rivals := told.tied():
        yield "no other rule is as sure of something else", ", ".join(one.rule.id for one in rivals)
    counter = sample_facts(rule, rule.counter_sample)
    for what, facts in {"its counter-sample": counter, **_DEBRIS}.items():
        try:
            if _hits(rule, facts) and facts is counter:
                yield "a rule does not find its counter-sample", f"it does: {rule.counter_sample!r}"
        except Exception as error:  # noqa: BLE001 - the plug-in border: a rule's function is anybody's
            yield "a rule's function survives what payloads leave", f"{what}: {type(error).__name__}: {error}"


def _hits(rule: Rule, facts: Facts) -> bool:
    if rule.exits and facts.exit.exit_code not in rule.exits:
        return False
    return apply(rule, facts) is not None


def sample_facts(rule: Rule, sample: str | Facts) -> Facts:
    """A sample as facts: lines of text stand in the log at which the rule looks."""
    if isinstance(sample, Facts):
        return sample
    exit_code = rule.exits[0] if rule.exits else 1
    if rule.where in (Where.OUTPUT, Where.LOGS, Where.STDERR, *STRUCTURED):
        return failed(exit_code, stderr=sample)
    return failed(exit_code, logs={rule.where.replace("*", "x").replace("?", "x"): sample})


_ODD_REPORTS: dict[str, object] = {
    "no report": None,
    "a report that is a list": [[[]]],
    "a report that is a number": 7,
    "a report of odd types": {
        key: [{key: 5}, None] for key in ("executor", "exitMsg", "exitCode", "error_code", "error_diag")
    },
}
_DEBRIS: dict[str, Facts] = {
    **{
        name: failed(1, stderr="x", report=report, error_report=report)
        for name, report in _ODD_REPORTS.items()
    },
    "no log": failed(signal=9),
    "a log of escapes and blanks": failed(255, stderr="\\x00\\xff \t \n" * 5, stdout="= " * 2000),
}


def _bad_pattern(pattern: str) -> str | None:
    """What is wrong with a regular expression: none at all, or one that a hostile line could keep busy for ever."""
    try:
        re.compile(pattern)
    except re.error as error:
        return f"its rule {pattern!r} is no regular expression: {error}"
    wildcards, nested = _repeats(pattern)
    if nested:
        return f"its rule {pattern!r} repeats a group without bound that holds a repeat or a choice itself"
    if wildcards > MOST_WILDCARDS:
        return f"its rule {pattern!r} has {wildcards} unbounded repeats, and {MOST_WILDCARDS} are allowed"
    return None


_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?(?:P<\w+>|[:=!>]|<[=!])|\{\d*,\d*\}|.", re.DOTALL)
_UNBOUNDED = re.compile(r"[*+]|\{\d*,\}")


def _repeats(pattern: str) -> tuple[int, bool]:
    """How many unbounded repeats a match can pass, and whether one repeats a group with a repeat or a choice in it."""
    nested = False
    groups = [_Group()]
    closed: _Group | None = None
    for token in _TOKEN.findall(pattern):
        inner, closed, group = closed, None, groups[-1]
        if _UNBOUNDED.fullmatch(token):
            nested = nested or (inner is not None and inner.varies)
            group.count += 1
        elif token.startswith("("):
            groups.append(_Group())
        elif token == "|":
            group.others, group.count, group.has_choice = group.most, 0, True
        elif token == ")":
            closed = groups.pop()
            groups[-1].count += closed.most
            groups[-1].has_choice = groups[-1].has_choice or closed.has_choice
    return groups[0].most, nested


class _Group:
    """What was seen of a group of a pattern: repeats in this alternative, the most in others, and any choice."""

    def __init__(self) -> None:
        self.count, self.others, self.has_choice = 0, 0, False

    @property
    def most(self) -> int:
        return max(self.count, self.others)

    @property
    def varies(self) -> bool:
        return self.most > 0 or self.has_choice
