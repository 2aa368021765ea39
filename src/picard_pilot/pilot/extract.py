"""The extract of the logs that a failed job's report carries to the server, for people who look at the monitor.

The telling lines stand in the faults as evidence, with file and offset; the end of each file follows.
"""

from picard_pilot.lifecycle.case import Case
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.fault import Fault
from picard_pilot.model.told_error import NEXT
from picard_pilot.system.logs import last_lines
from picard_pilot.system.redact import Redactor

LINES = (10, 5, 2)
"""Of each of the payload's streams: so many, or fewer where the whole would be longer than what the server keeps."""

LIMIT_CHARACTERS = 2400
"""Of the 4,000 that the server keeps, whose end it keeps: how the payload ended stands before it, and behind it what an
unknown error shares with others like it, which takes up to 1,500."""

EVIDENCE = 4
EVIDENCE_CHARACTERS = 200
"""So much of each fault's evidence: the whole of it is in the journal."""
LINE_CHARACTERS = 200
"""Of each of the last lines."""


def log_extract(case: Case, bundle: Bundle, redactor: Redactor) -> str | None:
    """The faults, then the last lines of the payload's stderr and stdout; None for a job without fault."""
    if not case.faults:
        return None
    told = "\n".join(map(_shown, case.faults))[:LIMIT_CHARACTERS]
    for most in LINES:
        text = "\n".join(filter(None, (told, _last_lines(bundle, redactor, most))))
        if len(text) <= LIMIT_CHARACTERS:
            return text
    return told


def _last_lines(bundle: Bundle, redactor: Redactor, most: int) -> str:
    parts = []
    for path, name in ((bundle.stderr, "payload.stderr"), (bundle.stdout, "payload.stdout")):
        if lines := last_lines(path, most, redactor):
            shown = "\n".join(line[:LINE_CHARACTERS] for line in lines)
            parts.append(f"- last lines of {name} -\n{shown}")
    return "\n".join(parts)


def _shown(fault: Fault) -> str:
    """A fault with its evidence: whose it is, what happened, where it was read, what to do next."""
    at = f" at {fault.endpoint}" if fault.endpoint else ""
    which = f"; {fault.finer}{at}" if fault.finer else ""
    lines = [f"{fault.code} {fault.name} ({fault.blame}{which}): {fault.says}"]
    for found in fault.evidence[:EVIDENCE]:
        where = f" line {found.line}" if found.line else "" if found.offset is None else f"+{found.offset}"
        place = "" if found.file is None else f"{found.file}{where}: "
        lines.append(f"  {place}{found.text[:EVIDENCE_CHARACTERS]}")
    return "\n".join((*lines, f"{NEXT}{fault.next_step}"))
