"""What a payload says of its failure in a report, with the report's name. How reports are read is the experiments'."""

from picard_pilot.model.facts import Facts, at
from picard_pilot.model.fault import Evidence
from picard_pilot.model.rule import Where


def own_words(facts: Facts) -> Evidence | None:
    """The sentence, as evidence; None where no report has one. `payload_error_report.json` comes first if it has a
    code, as it does for the outcome."""
    outcome = facts.outcome
    if not outcome.exe_error_diag:
        return None
    code = at(facts.error_report, "error_code")
    place = Where.ERROR_REPORT if code and code == outcome.exe_error_code else Where.REPORT
    return Evidence(text=outcome.exe_error_diag, file=place)
