"""Applying error rules to lines of a payload's output: the first rule that finds its text gives the fault.

Reading the lines is the caller's; what a rule looks like is `model.rule`.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from picard_pilot.diagnosis.faults import fault
from picard_pilot.model.fault import Evidence, Fault
from picard_pilot.model.rule import Rule


def first_match(rules: Iterable[Rule], lines: Mapping[str, Sequence[str]], *, phase: str) -> Fault | None:
    """The fault of the first rule, in the order given, that is found in its file's lines; the last such line counts.

    Raises KeyError for a rule whose error is not in the catalogue; the conformance suite finds these.
    """
    for rule in rules:
        line = next((line for line in reversed(lines.get(rule.where, ())) if rule.found_in(line)), None)
        if line is None:
            continue
        found = fault(
            rule.error,
            rule.says,
            rule=rule.id,
            evidence=(Evidence(text=line, file=rule.where),),
            phase=phase,
        )
        return msgspec.structs.replace(found, next_step=rule.advice)
    return None
