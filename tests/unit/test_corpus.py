"""The corpus of failed payloads: each gets the expected verdict, by the expected rule, and no two rules tie."""

from collections import Counter
from functools import cache

import pytest
from msgspec.structs import replace

from corpus import FOLDER, Case, cases
from picard_pilot.diagnosis.engine import Diagnosis, diagnose
from picard_pilot.diagnosis.rulebook import CORE_RULES
from picard_pilot.experiments.base import Experiment
from picard_pilot.lifecycle.causes import causes_first
from picard_pilot.model.facts import Line
from picard_pilot.model.rule import Rule
from picard_pilot.pilot.faults import end_fault
from picard_pilot.plugins.loader import load

UNEXPLAINED = ("PAYLOADEXECUTIONFAILURE", "payload")
"""What a failure is called that no rule explains."""

HARMLESS = """\
INFO reading 1000 events, 0 errors
DEBUG timeout is 300 s, 3 retries, abort on failure
Warning in <TClass::Init>: no dictionary for class Track is available
WARNING server squid1.example.org did not answer in time, trying next
[1.2GB/1.2GB][100%][==================================================][30MB/s]
memory 1812 MB of 4000 MB, disk 2 GB of 20 GB, 12 open files
proxy valid for 71:12:03, token valid for 3600 s
INFO:    Cleaning up image...
I segment images, throw dice and permit myself no errors
Traceback is switched off
""".splitlines()

CASES = cases()


@cache
def rules_for(experiment: str | None) -> tuple[Rule, ...]:
    """The rules that are asked about a payload of this experiment, by default of none."""
    own: Experiment | None = None if experiment is None else load("experiment", experiment)()
    return (*(own.rules() if own else ()), *CORE_RULES)


@cache
def diagnosed(name: str) -> Diagnosis:
    """What all rules say about a case."""
    case = next(case for case in CASES if case.name == name)
    return diagnose(rules_for(case.experiment), case.facts)


def verdict(case: Case) -> tuple[str, str]:
    """The error and the blame that a case gets."""
    found = diagnosed(case.name).found
    return found[0].verdict if found else UNEXPLAINED


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_gets_its_verdict(case: Case) -> None:
    """By the rule that is named, without a rival that is as sure of something else, and with evidence."""
    diagnosis = diagnosed(case.name)
    told = [f"{one.rule.specificity} {one.rule.id}: {one.verdict}" for one in diagnosis.found]
    assert verdict(case) == (case.error, case.blame), told
    assert (diagnosis.found[0].rule.id if diagnosis.found else None) == case.rule, told
    assert not diagnosis.tied(), told
    assert not diagnosis.broken
    assert all(one.hit.evidence and one.hit.evidence[0].text for one in diagnosis.found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_verdict_is_what_the_server_is_told(case: Case) -> None:
    """The first of all faults once causes stand before symptoms; the payload's own end is always the last."""
    found = diagnosed(case.name).faults("running")
    ended = end_fault(case.facts, None if found else {})
    ordered = causes_first((*found, ended))
    assert (ordered[0].name, ordered[0].blame) == (case.error, case.blame)
    assert ordered[-1] == ended
    assert (ended.fingerprint is None) == bool(found)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_harmless_lines_change_no_verdict(before: bool) -> None:
    """What programs write all day, before the failure or after it, in each log."""
    changed = []
    for case in CASES:
        noise = tuple(Line(None, text) for text in HARMLESS)
        logs = {
            name: replace(log, lines=(*noise, *log.lines) if before else (*log.lines, *noise))
            for name, log in case.facts.logs.items()
        }
        told = diagnose(rules_for(case.experiment), replace(case.facts, logs=logs))
        if (told.found[0].verdict if told.found else UNEXPLAINED) != (case.error, case.blame):
            changed.append((case.name, [f"{one.rule.specificity} {one.rule.id}" for one in told.found]))
    assert changed == []


def test_the_confusion_matrix_is_a_diagonal(capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, so that whoever adds a rule sees what it does to all others."""
    told = Counter(((case.error, case.blame), verdict(case)) for case in CASES)
    names = sorted({one for pair in told for one in pair})
    with capsys.disabled():
        print(f"\n{len(CASES)} failed payloads; down: what they are, across: what they are called")
        print(" " * 50 + "".join(f"{number:>3}" for number in range(1, len(names) + 1)))
        for number, expected in enumerate(names, 1):
            counts = "".join(f"{told[expected, name] or '.':>3}" for name in names)
            print(f"{number:>3} {' / '.join(expected):<46}{counts}")
    assert [(expected, got) for expected, got in told if expected != got] == []


def test_every_file_of_the_corpus_is_a_case() -> None:
    """A misplaced one would never be looked at."""
    files = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()}
    assert files - {f"{case.name}.txt" for case in CASES} == {"README.md"}
