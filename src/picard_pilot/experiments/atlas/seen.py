"""Making rules for messages that stand in a transform's logs and, with their place, in its job report.

Which messages mean what is in the files beside this one.
"""

import re
from collections.abc import Iterable
from typing import Any

from picard_pilot.experiments.atlas.job_report import messages
from picard_pilot.model.facts import LINE_CHARACTERS, Facts, Line
from picard_pilot.model.fault import Blame, Evidence, Retry
from picard_pilot.model.rule import Hit, Rule, Where
from picard_pilot.model.samples import failed

WRAPPER_WORDS = ("execute script: Running", "=== execute ===", "--- start ---", "=== start ===")
"""What the scripts print in which pathena and prun wrap a user's code."""


class Reported:
    """The function of a rule that looks for a pattern in the messages of a job report."""

    def __init__(self, pattern: str, name: str) -> None:
        self._search = re.compile(pattern).search
        self.__name__ = name

    def __call__(self, facts: Facts) -> Hit | None:
        for message in messages(facts.report):
            if found := self._search(message.text):
                return hit(message.evidence(), **_words(found))
        return None


def told(
    *,
    name: str,
    error: str,
    pattern: str,
    specificity: int,
    says: str,
    advice: str,
    sample: str,
    counter_sample: str,
    blame: Blame | None = None,
    retry: Retry | None = None,
) -> tuple[Rule, Rule]:
    """Two rules: for the message in the job report, which knows step and line, and for the line in a log."""
    in_report = Rule(
        name=f"{name}_reported",
        error=error,
        where=Where.REPORT,
        when=Reported(pattern, name),
        specificity=specificity + 1,
        says=says,
        advice=advice,
        sample=failed(65, report=report_with(sample)),
        counter_sample=failed(65, report=report_with(counter_sample)),
        blame=blame,
        retry=retry,
    )
    in_log = Rule(
        name=name,
        error=error,
        where=Where.LOGS,
        when=pattern,
        is_pattern=True,
        specificity=specificity,
        says=says,
        advice=advice,
        sample=sample,
        counter_sample=counter_sample,
        blame=blame,
        retry=retry,
    )
    return in_report, in_log


def report_with(message: str, level: str = "FATAL", **more: Any) -> dict[str, Any]:
    """A transform's job report of a step that failed with one message, for samples."""
    step = {
        "name": "EVNTtoHITS",
        "rc": 65,
        "statusOK": False,
        "logfileReport": {
            "countSummary": {level: 1},
            "details": {level: [{"count": 1, "firstLine": 7, "message": message}]},
        },
    }
    return {"exitCode": 1, "executor": [step], **more}


def is_wrapped(facts: Facts) -> bool:
    """Whether a user's code ran in one of the scripts of pathena or prun."""
    return any(word in line.text for _, line in facts.lines(Where.STDOUT) for word in WRAPPER_WORDS)


def find(facts: Facts, names: Iterable[str], pattern: str) -> tuple[Evidence, re.Match[str]] | None:
    """The last line of these logs that the pattern fits, as evidence."""
    search = re.compile(pattern).search
    for name in names:
        log = facts.logs.get(name)
        for line in reversed(() if log is None else log.lines):
            if found := search(line.text[:LINE_CHARACTERS]):
                return evidence_of(name, line), found
    return None


def evidence_of(name: str, line: Line) -> Evidence:
    """A line of a log as evidence."""
    return Evidence(text=line.text.strip(), file=name, offset=line.offset)


def hit(*evidence: Evidence, **words: str) -> Hit:
    """What a rule found."""
    return Hit(evidence=evidence, words=words)


def _words(found: re.Match[str]) -> dict[str, str]:
    return {word: value for word, value in found.groupdict().items() if value is not None}
