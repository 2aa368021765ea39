"""Error rules: the core's prove themselves by their samples, and bad ones are named before they are used."""

import re

import msgspec
import pytest

from picard_pilot.cli.nouns import NOUNS
from picard_pilot.diagnosis.engine import Diagnosis, diagnose, further_logs
from picard_pilot.diagnosis.rulebook import CORE_RULES
from picard_pilot.diagnosis.rulecheck import flaws, unusable
from picard_pilot.model.facts import LINE_CHARACTERS, Facts, at
from picard_pilot.model.fault import Blame, Evidence
from picard_pilot.model.rule import Hit, Rule, Specificity, Where
from picard_pilot.model.samples import ended, failed
from picard_pilot.plugins.loader import list_plugins, load

RULE = Rule(
    name="test.lost",
    error="PAYLOADEXECUTIONFAILURE",
    where=Where.STDERR,
    when=r"lost (?P<what>\w+) and (?P<other>\w+)",
    is_pattern=True,
    says="the program lost {what}",
    advice="Find {what}, {nothing} and {other}.",
    sample="it lost keys and hat",
    counter_sample="it lost its way",
)
"""A good rule, from which bad ones are made."""


def changed(**fields: object) -> Rule:
    """The good rule with other fields."""
    return msgspec.structs.replace(RULE, **fields)


def one(rules: Rule, facts: Facts) -> Diagnosis:
    """What one rule says."""
    return diagnose((rules,), facts)


def test_every_rule_of_the_core_proves_itself() -> None:
    """Each is the first to find its sample, without a rival; none finds its counter-sample, or stumbles over debris."""
    assert [(rule.id, *flaw) for rule, flaw in flaws(CORE_RULES)] == []


def test_advice_names_only_commands_that_there_are() -> None:
    """Of the core and of every experiment here: who follows it must not be told that there is no such command."""
    own = (rule for each in list_plugins("experiment") for rule in load("experiment", each.name)().rules())
    for rule in (*CORE_RULES, *own):
        for command in re.findall(r"`ppilot (\w+)", f"{rule.says} {rule.advice}"):
            assert command in NOUNS, (rule.id, command)


def test_every_rule_of_the_core_has_a_name_of_its_own() -> None:
    """`theme.what`: a fault says by it what found it, and the corpus names it."""
    names = [rule.name for rule in CORE_RULES]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z0-9]+\.[a-z0-9_]+", name) for name in names)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (changed(error="NOSUCHERROR"), "not in the catalogue"),
        (changed(when="lost ("), "no regular expression"),
        (changed(when=r"(?:\w+ ?)+$"), "repeats a group"),
        (changed(when=r"(a|aa)+$"), "repeats a group"),
        (changed(when=r"(?:x[^)]*){2,}"), "repeats a group"),
        (changed(when=r".*a.*b.*c.*d.*e"), "5 unbounded repeats"),
        (changed(when="", is_pattern=False), "looks for nothing"),
        (changed(when=7), "neither text nor function"),
        (changed(where=Where.KERNEL), "only a function"),
        (changed(says=""), "lacks a sentence"),
        (changed(advice="half \ud800"), "half of a character"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused(rule: Rule, why: str) -> None:
    """Before it is tried on a log."""
    assert why in (unusable(rule) or "")
    ((_, flaw),) = flaws((rule,))
    assert why in flaw.says


@pytest.mark.parametrize(
    "pattern", [r"a+b*c", r"(?:ab|cd)ef\d+", r"[+*|(]+ \(x\)\* (?P<a>\w+)", r"x(?:a+|b+|c+|d+|e+)"]
)
def test_a_harmless_pattern_is_not_refused(pattern: str) -> None:
    """Brackets and stars in classes and behind backslashes are no repeats; of a choice only one way is gone."""
    assert unusable(changed(when=pattern)) is None


@pytest.mark.parametrize(
    ("rule", "demand"),
    [
        (changed(sample="nothing"), "finds its sample"),
        (changed(counter_sample="lost a and b"), "does not find its counter-sample"),
        (
            changed(specificity=Specificity.HINT, sample="lost a and b\nstd::bad_alloc"),
            "first to find its sample",
        ),
        (
            changed(specificity=Specificity.CAUSE, sample="lost a and b\nstd::bad_alloc"),
            "no other rule is as sure",
        ),
        (changed(when=lambda facts: facts.report["x"], is_pattern=False, sample=failed(1)), "does not raise"),
        (
            changed(
                when=lambda facts: facts.report and facts.report[0][5],
                is_pattern=False,
                sample=failed(1, report=[[0, 0, 0, 0, 0, "x"]]),
                counter_sample=failed(1),
            ),
            "survives what payloads leave",
        ),
    ],
)
def test_a_rule_that_its_samples_do_not_prove_is_refused(rule: Rule, demand: str) -> None:
    """Among the core's rules, as it will be used."""
    assert demand in " / ".join(flaw.demand for _, flaw in flaws((rule,), CORE_RULES))


def test_a_rule_says_what_it_found_and_where() -> None:
    """The last line counts, with file and offset; words that the pattern names stand in the sentence and the advice."""
    facts = failed(1, stderr="lost keys and hat\n\x1b so what\nlost coat and bag\nbye", stdout="lost a and b")
    (made,) = one(RULE, facts).faults("running")
    assert (made.code, made.says, made.rule, made.phase) == (
        1305,
        "the program lost coat",
        "test.lost",
        "running",
    )
    assert made.next_step == "Find coat, {nothing} and bag."
    assert made.evidence == (Evidence(text="lost coat and bag", file="payload.stderr", offset=28),)
    assert one(changed(where=Where.STDOUT), facts).faults()[0].says == "the program lost a"
    assert one(changed(where=Where.OUTPUT), facts).faults()[0].says == "the program lost coat"


def test_a_rule_may_look_at_further_logs_by_name() -> None:
    """By a pattern as of the shell; the pilot asks the rules which ones it has to read."""
    facts = failed(1, logs={"log.sim": "lost x and y", "notes": "lost q and q"})
    rule = changed(where="log.*")
    assert one(rule, facts).found[0].hit.evidence[0].file == "log.sim"
    assert further_logs((RULE, rule, *CORE_RULES)) == ("log.*",)


def test_a_rule_counts_at_its_exit_codes_only() -> None:
    """Where a text tells something only together with how the program ended."""
    rule = changed(exits=(3, 4))
    assert one(rule, failed(4, stderr=str(RULE.sample))).found
    assert not one(rule, failed(5, stderr=str(RULE.sample))).found
    assert not one(rule, failed(signal=4, stderr=str(RULE.sample))).found


def test_the_more_specific_rule_is_the_verdict_and_the_others_stay() -> None:
    """Whatever the order in which they are given; one fault for each error and blame."""
    low = changed(name="low", specificity=5, error="NOLOCALSPACE")
    same = changed(name="same", specificity=7)
    other = changed(name="other", specificity=7, blame=Blame.NODE)
    facts = failed(1, stderr=str(RULE.sample))
    for rules in ((low, same, RULE), (RULE, same, low)):
        told = diagnose(rules, facts)
        assert [fault.rule for fault in told.faults()] == ["test.lost", "low"]
        assert not told.tied()
    assert [rival.rule.name for rival in diagnose((same, other, low), facts).tied()] == ["other"]


def test_a_function_that_raises_decides_nothing_and_is_named() -> None:
    """It may be anybody's."""
    rule = changed(name="test.raises", when=lambda facts: 1 // 0, is_pattern=False)
    told = diagnose((rule, RULE), failed(1, stderr=str(RULE.sample)))
    assert [found.rule for found in told.found] == [RULE]
    assert told.broken == ("test.raises: ZeroDivisionError: integer division or modulo by zero",)


@pytest.mark.parametrize(
    "answer",
    [7, True, ("x",), {"evidence": 5}, Hit(evidence=("x",)), Hit(evidence=(Evidence(text="\ud800"),))],  # type: ignore[arg-type]
)
def test_a_function_that_answers_nonsense_decides_nothing(answer: object) -> None:
    """Neither journal nor server could take it."""
    told = one(changed(name="test.odd", when=lambda facts: answer, is_pattern=False), failed(1))
    assert not told.found
    assert told.broken[0].startswith("test.odd: ")


def test_what_a_function_quotes_is_cut() -> None:
    """A report may be one text of megabytes."""
    told = one(changed(when=lambda facts: "x" * 5_000_000, is_pattern=False), failed(1))
    assert len(told.found[0].hit.evidence[0].text) == LINE_CHARACTERS


def test_a_function_sees_all_facts() -> None:
    """Its evidence may be a text alone, or lines with words for the sentence."""

    def code_40(facts: Facts) -> Hit | None:
        said = at(facts.report, "executor", 0, "errMsg")
        if facts.exit.exit_code != 40 or not isinstance(said, str):
            return None
        return Hit(evidence=(Evidence(text=said, file="jobReport.json"),), words={"what": "40"})

    rule = changed(where=Where.REPORT, when=code_40, is_pattern=False)
    (made,) = one(rule, failed(40, report={"executor": [{"errMsg": "no events"}]})).faults()
    assert (made.says, made.evidence[0].text) == ("the program lost 40", "no events")
    plain = changed(where=Where.REPORT, when=lambda facts: "text", is_pattern=False)
    assert one(plain, failed(1)).found[0].hit.evidence == (Evidence(text="text", file="jobReport.json"),)
    assert at({"a": [1]}, "a", 3) is at([], "a") is at(None, 0) is None


def test_no_further_rule_is_tried_once_it_is_enough() -> None:
    """Time is the caller's; what was found until then counts."""
    asked: list[None] = []
    told = diagnose(
        (RULE, RULE), failed(1, stderr=str(RULE.sample)), lambda: bool(asked) or asked.append(None) or False
    )
    assert (len(told.found), told.cut_short) == (1, True)


def test_in_a_long_log_it_is_asked_too() -> None:
    """Lines made for it can keep a pattern busy."""
    asked: list[None] = []
    facts = failed(1, stderr="lost\n" * 1000 + "lost keys and hat\n" + "lost\n" * 1000)
    told = diagnose((RULE,), facts, lambda: len(asked) > 3 or asked.append(None) or False)
    assert (told.found, told.cut_short) == ((), True)
    assert len(asked) == 4
    assert diagnose((RULE,), facts).found


def test_how_a_payload_ended_that_was_stopped_is_not_its_own_doing() -> None:
    """A program that is signalled may print a stack trace; what it could not do before stays."""
    text = "Segmentation fault\ncurl: (6) Could not resolve host: x\n"
    assert [one.error for one in _rules(failed(139, stderr=text))] == ["UNREACHABLENETWORK", "PAYLOADSIGSEGV"]
    assert [one.error for one in _rules(failed(139, stderr=text, stopped_by="limit"))] == [
        "UNREACHABLENETWORK"
    ]


def _rules(facts: Facts) -> list[Rule]:
    return [found.rule for found in diagnose(CORE_RULES, facts).found]


def test_a_rule_sees_the_beginning_of_a_long_line_only() -> None:
    """So that no pattern is busy for long."""
    long = "x" * LINE_CHARACTERS + str(RULE.sample)
    facts = failed(1, stderr="short")
    log = msgspec.structs.replace(
        facts.logs["payload.stderr"], lines=(facts.logs["payload.stderr"].lines[0]._replace(text=long),)
    )
    assert not one(RULE, msgspec.structs.replace(facts, logs={"payload.stderr": log})).found


@pytest.mark.parametrize(
    "line",
    [
        "WARNING lost keys and hat",
        "lost keys and hat, retrying",
        "lost keys and hat, trying next",
        "Warning: lost a and b",
    ],
)
def test_a_line_that_warns_is_no_reason(line: str) -> None:
    """The program went on: unless the rule wants such lines, what ended it came later, or nothing explains it."""
    assert not one(RULE, failed(1, stderr=f"{line}\n")).found
    assert one(RULE, failed(1, stderr=f"lost a and b\n{line}\n")).found
    assert one(changed(in_warnings=True), failed(1, stderr=f"{line}\n")).found


def test_the_beginning_of_a_large_log_counts_only_if_its_end_explains_nothing() -> None:
    """So much was written after it."""
    other = changed(name="other", when="bye", is_pattern=False, specificity=Specificity.HINT)
    log = failed(1, stderr="lost keys and hat\n(gap)\nbye").logs["payload.stderr"]
    large = Facts(exit=ended(1), logs={"payload.stderr": msgspec.structs.replace(log, gap_at=1)})
    assert [found.rule for found in diagnose((RULE, other), large).found] == [other]
    assert [found.rule for found in diagnose((RULE,), large).found] == [RULE]


@pytest.mark.parametrize(("exit_code", "never"), [(2, "LSETUPTIMEDOUT"), (3, "REMOTEFILEOPENTIMEDOUT")])
def test_exit_codes_2_and_3_alone_are_the_payloads_own(exit_code: int, never: str) -> None:
    """Today's pilot calls them time-outs of its own, whatever the payload was."""
    assert diagnose(CORE_RULES, failed(exit_code)).found == ()
    assert never not in {rule.error for rule in CORE_RULES}


@pytest.mark.parametrize("exit_code", range(1, 256))
def test_no_exit_code_alone_is_explained(exit_code: int) -> None:
    """Programs give them as they like: only words, signals and witnesses decide."""
    assert diagnose(CORE_RULES, failed(exit_code, stderr="done", stdout="100 events")).found == ()
