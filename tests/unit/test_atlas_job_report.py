"""Transforms' job reports of any shape: nothing in them makes the reader or a rule fail."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from picard_pilot.diagnosis.engine import apply
from picard_pilot.experiments.atlas.experiment import Atlas
from picard_pilot.experiments.atlas.job_report import (
    Message,
    events_processed,
    failing_step,
    messages,
    telling,
)
from picard_pilot.experiments.atlas.seen import report_with
from picard_pilot.model.facts import LINE_CHARACTERS
from picard_pilot.model.rule import STRUCTURED
from picard_pilot.model.samples import failed

KEYS = st.sampled_from(
    [
        *("exitCode", "exitAcronym", "exitMsg", "executor", "resource", "name", "rc", "statusOK", "validation"),
        *("logfileReport", "details", "FATAL", "ERROR", "message", "firstLine", "nevents", "error_code", "error_diag"),
    ]
)  # fmt: skip
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.sampled_from(["TRF_SETUP", "a FATAL std::bad_alloc", 65, 5317, "\0"]),
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=30,
)

RULES = [rule for rule in Atlas().rules() if rule.where in STRUCTURED]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(JSON)
def test_any_report_can_be_looked_at(report: Any) -> None:
    """Lines are bounded texts with a place; steps and events are what their names say, or nothing."""
    step, line, events = failing_step(report), telling(report), events_processed(report)
    assert step is None or isinstance(step, dict)
    assert events is None or events >= 0
    for message in (*messages(report), *((line,) if line else ())):
        assert isinstance(message, Message)
        assert 0 < len(message.text) <= LINE_CHARACTERS and "\n" not in message.text
        assert message.line is None or message.line >= 0
        assert message.says()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(JSON, JSON)
def test_no_rule_fails_on_a_report(report: Any, error_report: Any) -> None:
    """Whatever the payload wrote: a rule hits with evidence that is a text, or does not."""
    facts = failed(65, report=report, error_report=error_report, stdout="=== start ===")
    for rule in RULES:
        hit = apply(rule, facts)
        assert hit is None or all(piece.text for piece in hit.evidence), rule.id


def test_a_long_message_is_cut_to_its_first_line() -> None:
    """Some quote a whole traceback."""
    line = telling(report_with("x" * 5000 + "\nTraceback"))
    assert line is not None and line.text == "x" * LINE_CHARACTERS
