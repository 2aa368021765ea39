"""The facts of a failed payload on which error rules decide: its end, its reports, the kernel, its logs.

Reading them is `system` and `pilot`; what a rule looks like is `model.rule`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from picard_pilot.model.bundle import Outcome
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.fault import Evidence, Fault

LINE_CHARACTERS = 1000
"""A longer line is cut before any rule sees it: messages stand at the beginning, and no pattern gets a megabyte."""

_STAMP = (
    r"^(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?|\[?\d\d:\d\d:\d\d(?:[.,]\d+)?\]?|"
    r"\[\d+,\d+\]<std(?:err|out)>)(?: ?[|:])? ?"
)
"""No more than one blank after it: what stands there may be the line's own indentation. A text, since most pilots
never need it as a pattern."""
_STAMPS_BEGIN = frozenset("[0123456789")


class Line(NamedTuple):
    """One line of a log: the offset of its first byte in the file (None for a text that is in no log), and its text
    without secrets, cut to a bound."""

    offset: int | None
    text: str

    @property
    def said(self) -> str:
        """The text as rules see it: without the time of day or the rank that some launcher put before each line."""
        text = self.text[:LINE_CHARACTERS]
        return re.sub(_STAMP, "", text, count=1) if text[:1] in _STAMPS_BEGIN else text

    def evidence(self, log: str) -> Evidence:
        """This line of that log as evidence."""
        return Evidence(text=self.text.strip(), file=log, offset=self.offset)


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """What was read of one log: all lines of a small one, of a large one its beginning and its end, in this order."""

    name: str
    """The file's name relative to the job's directory."""
    size_bytes: int
    lines: tuple[Line, ...]
    gap_at: int | None = None
    """Which of the lines is the first behind what was not read; None where all was read."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a payload's end. What is not known, or is not there, is None or empty.

    The payload wrote its reports and logs: nothing in them has the type or the size that one expects.
    """

    exit: PayloadExit
    """The payload's own record: exit code, signal, who stopped it."""
    died_of: int | None = None
    """The signal that its exit code stands for, where a shell, a container or another launcher shows it so (139)."""
    report: Any = None
    """`jobReport.json`, decoded. Use `at` to look into it."""
    error_report: Any = None
    """`payload_error_report.json`, decoded."""
    outcome: Outcome = Outcome()
    """What the experiment reads in these reports: the payload's own words about its failure."""
    kernel: tuple[str, ...] = ()
    """The kernel's out-of-memory kills of its processes: a sentence, then the evidence; empty where none was seen."""
    disk_full: str | None = None
    """The directory on the node that had no room left when the payload ended."""
    watched: tuple[Fault, ...] = ()
    """What the watchers found while it ran: broken limits of memory, disk, activity."""
    logs: Mapping[str, Log] = {}
    """By name: `payload.stdout`, `payload.stderr`, and those further logs that a rule's `where` names."""

    @property
    def signal(self) -> int | None:
        """The signal that ended the payload, seen or inferred."""
        return self.exit.signal if self.exit.signal is not None else self.died_of

    def lines(self, *names: str) -> Iterator[tuple[str, Line]]:
        """The lines of these logs, by default of all, each with its log's name."""
        for name in names or self.logs:
            log = self.logs.get(name)
            for line in () if log is None else log.lines:
                yield name, line


def at(data: Any, *path: str | int) -> Any:
    """What stands at `path` in decoded JSON, by keys and positions; None where there is nothing of that kind."""
    for step in path:
        if isinstance(step, str) and isinstance(data, dict):
            data = data.get(step)
        elif isinstance(step, int) and isinstance(data, list) and -len(data) <= step < len(data):
            data = data[step]
        else:
            return None
    return data
