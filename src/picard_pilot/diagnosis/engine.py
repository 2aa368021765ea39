"""Applying error rules to the facts of a failed payload: all that hit, the most specific first.

Gathering the facts is the caller's; what a rule looks like is `model.rule`, the core's own are `diagnosis.rules`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import msgspec

from picard_pilot.diagnosis.faults import fault
from picard_pilot.diagnosis.needles import needles_of
from picard_pilot.diagnosis.own_words import own_words
from picard_pilot.model.facts import LINE_CHARACTERS, Facts, Line, Log
from picard_pilot.model.fault import Evidence, Fault
from picard_pilot.model.rule import Hit, Rule, Specificity, Where

CHAIN = 4
"""How many findings become faults: the verdict and what else was wrong; more is noise."""
ASK_LINES = 64
"""How many lines are looked at before it is asked whether it is enough: a hostile one can take milliseconds."""
WORD_CHARACTERS = 120
"""Of a word that a rule puts into its sentence; the server keeps 500 characters of the whole."""

_STREAMS = (Where.STDERR.value, Where.STDOUT.value)


WARNS = re.compile(
    r"\bWARN(?:ING)?\b|^[Ww]arning\b|\b[Rr]etrying\b|\bwill (?:be )?retr|\b[Tt]rying (?:again|next|another)"
)
"""A program that says so goes on: what ended it comes later."""


class Found(NamedTuple):
    """A rule that hit, and what it found."""

    rule: Rule
    hit: Hit

    @property
    def verdict(self) -> tuple[str, str]:
        """What people are told: the error, and who has to act."""
        made = self.fault(None)
        return made.name, made.blame.value

    def fault(self, phase: str | None) -> Fault:
        """The fault that it means. Raises KeyError for a rule whose error is not in the catalogue."""
        rule, words = self.rule, _Words(self.hit.words)
        made = fault(rule.error, words.into(rule.says), rule=rule.id, evidence=self.hit.evidence, phase=phase)
        return msgspec.structs.replace(
            made,
            next_step=words.into(rule.advice),
            blame=rule.blame or made.blame,
            retry=rule.retry or made.retry,
        )


class Diagnosis(NamedTuple):
    """What the rules say: all that hit in order, those that failed themselves, and whether time ran out."""

    found: tuple[Found, ...]
    broken: tuple[str, ...] = ()
    cut_short: bool = False

    def faults(self, phase: str | None = None) -> tuple[Fault, ...]:
        """The verdict first, then what else was found; one fault for each error and blame. Empty: unexplained."""
        told: dict[tuple[str, str], Fault] = {}
        for one in self.found:
            made = one.fault(phase)
            told.setdefault((made.name, made.blame), made)
        chain = tuple(told.values())[:CHAIN]
        return tuple(_above(one, chain[at + 1 :]) for at, one in enumerate(chain))

    def tied(self) -> tuple[Found, ...]:
        """Findings with the verdict's number that say something else: rules that must be put in order."""
        if not self.found:
            return ()
        first = self.found[0]
        rivals = (one for one in self.found if one.rule.specificity == first.rule.specificity)
        return tuple(one for one in rivals if one.verdict != first.verdict)


def _never() -> bool:
    return False


def diagnose(rules: Iterable[Rule], facts: Facts, enough: Callable[[], bool] = _never) -> Diagnosis:
    """Try all rules, the most specific first; of equal ones the order given counts.

    `enough` is asked before each rule, and now and then in a log: once it is true, no further rule is tried. A function
    that raises is named in `broken` and decides nothing. The beginning of a log of which the middle was not read is
    looked at only where nothing else explains the failure: so much was written after it.
    """
    rules = sorted(rules, key=lambda rule: -rule.specificity)
    facts = _with_own_words(facts)
    ends = _without_beginnings(facts)
    told = _tried(rules, ends, enough)
    return told if told.found or ends is facts else _tried(rules, facts, enough)


def _with_own_words(facts: Facts) -> Facts:
    """The same facts, in which what the payload's report says of its failure can be read as a log of one line."""
    said = own_words(facts)
    if said is None:
        return facts
    own = Log(name=str(said.file), size_bytes=len(said.text), lines=(Line(None, said.text),))
    return msgspec.structs.replace(facts, logs={**facts.logs, own.name: own})


def _without_beginnings(facts: Facts) -> Facts:
    """The same facts without what stands before the gap in a log; the very same where all was read."""
    if all(log.gap_at is None for log in facts.logs.values()):
        return facts
    logs = {
        name: msgspec.structs.replace(log, lines=log.lines[log.gap_at or 0 :])
        for name, log in facts.logs.items()
    }
    return msgspec.structs.replace(facts, logs=logs)


def _tried(rules: Sequence[Rule], facts: Facts, enough: Callable[[], bool]) -> Diagnosis:
    found: list[Found] = []
    broken: list[str] = []
    whole = {name: _whole(log) for name, log in facts.logs.items()}
    for rule in rules:
        if enough():
            return Diagnosis(tuple(found), tuple(broken), cut_short=True)
        if not _applies(rule, facts):
            continue
        try:
            hit = apply(rule, facts, whole, enough)
        except Exception as error:  # noqa: BLE001 - the plug-in border: a rule's function is anybody's
            broken.append(f"{rule.id}: {type(error).__name__}: {error}")
            continue
        if hit is not None:
            found.append(Found(rule, hit))
    return Diagnosis(tuple(found), tuple(broken), cut_short=enough())


def _applies(rule: Rule, facts: Facts) -> bool:
    """Whether the rule counts at this end at all: how a payload ended that somebody stopped is not its own doing."""
    if facts.exit.stopped_by is not None and Specificity.HINT < rule.specificity < Specificity.FAILURE:
        return False
    return not rule.exits or facts.exit.exit_code in rule.exits


def apply(
    rule: Rule, facts: Facts, whole: Mapping[str, str] | None = None, enough: Callable[[], bool] = _never
) -> Hit | None:
    """What one rule finds, its exit codes apart. Of several lines the last counts. Raises what its function raises.

    With `whole`, all that rules can see of each log, logs that cannot hold what the rule looks for are passed over.
    Once it is `enough`, no further line is looked at.
    """
    if not isinstance(rule.when, str):
        return _checked(rule.when(facts), rule.where)
    text = rule.when
    needles = needles_of(text) if rule.is_pattern else (text,)
    search: Callable[[str], re.Match[str] | None] | None = None
    for name in logs_of(rule.where, tuple(facts.logs)):
        if needles is not None and whole is not None and not any(needle in whole[name] for needle in needles):
            continue
        search = search or re.compile(text if rule.is_pattern else re.escape(text)).search
        for number, line in enumerate(reversed(facts.logs[name].lines), 1):
            if number % ASK_LINES == 0 and enough():
                return None
            seen = line.said
            if (match := search(seen)) and (rule.in_warnings or not WARNS.search(seen)):
                words = {word: value for word, value in match.groupdict().items() if value is not None}
                return Hit(evidence=(line.evidence(name),), words=words)
    return None


def _checked(answer: object, where: str) -> Hit | None:
    """What a function answered, as what it should have: the journal and the server take no other. Raises ValueError,
    TypeError, msgspec.ValidationError."""
    if answer is None:
        return None
    if isinstance(answer, str):
        answer = Hit(evidence=(Evidence(text=answer, file=where if where in _NAMED_FILES else None),))
    hit = msgspec.json.decode(msgspec.json.encode(answer), type=Hit)
    cut = (msgspec.structs.replace(one, text=one.text[:LINE_CHARACTERS]) for one in hit.evidence)
    return msgspec.structs.replace(hit, evidence=tuple(cut))


def _whole(log: Log) -> str:
    """What rules can see of a log in one piece, in which a text is found quickly, or not found at all."""
    return "\n".join(line.said for line in log.lines)


def logs_of(where: str, names: Sequence[str]) -> tuple[str, ...]:
    """Which of these logs a rule's `where` means, in the order in which they are to be looked at."""
    if where in (Where.OUTPUT, Where.LOGS):
        streams = tuple(name for name in _STREAMS if name in names)
        return streams if where == Where.OUTPUT else (*streams, *(n for n in names if n not in _STREAMS))
    return tuple(name for name in names if fnmatchcase(name, where))


def further_logs(rules: Iterable[Rule]) -> tuple[str, ...]:
    """The names and patterns of those logs beside both streams that these rules want to see."""
    known = {*map(str, Where)}
    return tuple(dict.fromkeys(rule.where for rule in rules if rule.where not in known))


_NAMED_FILES = (Where.REPORT, Where.ERROR_REPORT, Where.STDOUT, Where.STDERR)


def _above(fault: Fault, lower: tuple[Fault, ...]) -> Fault:
    """The fault as no symptom of what less specific rules found: of this payload the rules know more than the
    catalogue, which says what errors are in general."""
    names = {one.name for one in lower}
    causes = tuple(name for name in fault.symptom_of if name not in names)
    return msgspec.structs.replace(fault, symptom_of=causes)


class _Words:
    """Puts words into a sentence's braces; a sentence without braces may hold anything."""

    def __init__(self, words: dict[str, str]) -> None:
        self._words = words

    def into(self, sentence: str) -> str:
        for word, value in self._words.items():
            short = value.strip()
            if len(short) > WORD_CHARACTERS:
                short = short[: WORD_CHARACTERS - 1] + "…"
            sentence = sentence.replace("{" + word + "}", short)
        return sentence
