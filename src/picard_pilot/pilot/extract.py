"""The extract of the logs that a failed job's report carries to the server, for people who look at the monitor.

Choosing the telling lines is `diagnosis`'s business one day; today it is the end of each file.
"""

from picard_pilot.lifecycle.case import Case
from picard_pilot.model.bundle import Bundle
from picard_pilot.pilot.lines import last_lines
from picard_pilot.system.redact import Redactor

LINES = 10
"""Of each of the payload's streams; with lines of 100 characters this fits the 4,000 that the server keeps."""


def log_extract(case: Case, bundle: Bundle, redactor: Redactor) -> str | None:
    """The faults, then the last lines of the payload's stderr and stdout; None for a job without fault."""
    if not case.faults:
        return None
    parts = [
        f"{one.code} {one.name} ({one.blame}): {one.says}\n  next: {one.next_step}" for one in case.faults
    ]
    for path, name in ((bundle.stderr, "payload.stderr"), (bundle.stdout, "payload.stdout")):
        if lines := last_lines(path, LINES, redactor):
            parts.append(f"- last lines of {name} -\n" + "\n".join(lines))
    return "\n".join(parts)
