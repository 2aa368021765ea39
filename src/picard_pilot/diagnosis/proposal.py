"""A rule proposed for failures that no rule explains: from what they share, with a sample and a counter-sample.

It finds them and can be pasted beside the others; the error, the sentence and the advice are for whoever knows what
happened. Whether it can be used says the same check as for any rule.
"""

import json
import re
from collections.abc import Iterable
from typing import NamedTuple

from picard_pilot.diagnosis.engine import WARNS
from picard_pilot.diagnosis.rulecheck import flaws
from picard_pilot.model.facts import Line
from picard_pilot.model.rule import STRUCTURED, Rule, Where

MOST_CHARACTERS = 80
"""Of the text that a rule looks for: enough words to be this error's own."""

FEWEST_LETTERS = 8
"""In it: a shorter one would be found in anything."""

_OTHER_WORDS = ("other", "else")

_PLACEHOLDER = re.compile(r"<(?:n|time|uuid|host|user|path|file|size|length)>(?:\.\w+|@<host>)?")
_WORD = re.compile(r"[^\W\d_]{3,}")
_NO_NAME = re.compile(r"[^a-z0-9]+")


class Proposal(NamedTuple):
    """A rule, as a value and as Python, and what its check finds wrong with it."""

    rule: Rule
    source: str
    flaws: tuple[str, ...]


def propose(error: str, text: str, sample: str, file: str, others: Iterable[Rule] = ()) -> Proposal | str:
    """A rule for the failures that share `text` (`diagnosis.fingerprint`), of which one wrote the lines `sample` to
    `file`; `others` are the rules that it would stand beside. Where there can be none, why.
    """
    if file in STRUCTURED:
        return f"it stands in {file}, where only a function can look"
    found = _most_telling(text.splitlines(), sample.splitlines())
    if found is None:
        return "no line of it has enough words of its own"
    literal, line = found
    rule = Rule(
        error=error,
        where=file or Where.LOGS,
        when=literal,
        says=f"the payload said: {literal}",
        advice="Say here what its reader can do.",
        sample=line,
        counter_sample=_without(literal, line),
        name="new." + _NO_NAME.sub("_", literal.lower()).strip("_")[:30].rstrip("_"),
    )
    told = tuple(f"{flaw.demand}: {flaw.says}" for _, flaw in flaws([rule], others))
    return Proposal(rule, source_of(rule), told)


def source_of(rule: Rule) -> str:
    """The rule as Python, as it stands in a file of rules."""
    where = f"Where.{Where(rule.where).name}" if rule.where in set(Where) else _quoted(rule.where)
    values = {"error": _quoted(rule.error), "where": where}
    values |= {
        name: _quoted(str(getattr(rule, name)))
        for name in ("when", "says", "advice", "sample", "counter_sample", "name")
    }
    return "\n".join(("Rule(", *(f"    {name}={value}," for name, value in values.items()), "),"))


def _most_telling(shared: list[str], sample: list[str]) -> tuple[str, str] | None:
    """The text with most letters in words that stands in what all share and in a line of the sample, with that line;
    of equal ones the last: what follows from an error comes before its summary."""
    best: tuple[int, str, str] | None = None
    for part in (part for line in shared for part in _PLACEHOLDER.split(line)):
        literal = _short(part.strip(" \t'\"`([{<:,;=-"))
        lines = (
            line for line in reversed(sample) if literal and literal in _seen(line) and not WARNS.search(line)
        )
        line = next(lines, None)
        letters = sum(map(len, _WORD.findall(literal)))
        if line is not None and letters >= FEWEST_LETTERS and (best is None or letters >= best[0]):
            best = letters, literal, line
    return None if best is None else best[1:]


def _seen(line: str) -> str:
    """The line as rules see it."""
    return Line(None, line).said


def _short(literal: str) -> str:
    if len(literal) <= MOST_CHARACTERS:
        return literal
    return literal[:MOST_CHARACTERS].rpartition(" ")[0] or literal[:MOST_CHARACTERS]


def _without(literal: str, line: str) -> str:
    """The line as it would be with another end of the text: it looks like it, and is not it."""
    front, blank, _ = literal.rpartition(" ")
    others = (f"{front}{blank}{word}" if blank else literal[: -len(word)] + word for word in _OTHER_WORDS)
    made = (line.replace(literal, other) for other in others)
    return next((one for one in made if literal not in one), "all is well")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
