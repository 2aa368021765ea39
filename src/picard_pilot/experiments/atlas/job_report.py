"""Reading the job report of a transform: the step that failed, its first telling line, the events that were processed.

Nothing in it is trusted: the payload wrote it. What the lines mean is told by the rules of this folder.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from picard_pilot.experiments.report_files import Report, error_code, is_count
from picard_pilot.model.facts import LINE_CHARACTERS, at
from picard_pilot.model.fault import Evidence
from picard_pilot.system.typed import ready

WORST_FIRST = ("CATASTROPHE", "CRITICAL", "FATAL", "ERROR")
"""The levels of messages that a transform counts as errors."""

STEPS = 50
MESSAGES = 50
"""More steps, and more messages of one level, are not looked at; transforms have a few, and keep ten."""


class TransformReport(Report):
    """What transforms write beside what every job report has."""

    executor: Any = None
    """One entry for each step: name, return code, its log and what was found in it."""
    resource: Any = None


ready(TransformReport)


class Message(NamedTuple):
    """A message of a step's log as the transform has counted it."""

    step: str
    level: str
    text: str
    """Its first line."""
    log: str | None
    line: int | None
    """Where it came first in the log."""

    def says(self) -> str:
        """For people: which step, which log and line, and the message."""
        place = self.log or self.step
        return f"{place}{f' line {self.line}' if self.line else ''}: {self.text}"

    def evidence(self) -> Evidence:
        """The message with its place in the log."""
        return Evidence(
            text=self.text, file=self.log or "jobReport.json", line=self.line if self.log else None
        )


def as_data(report: TransformReport) -> dict[str, Any]:
    """The report as decoded JSON, in which `facts.at` looks."""
    return msgspec.structs.asdict(report)


def failing_step(report: Any) -> dict[str, Any] | None:
    """The first step that did not end well; None where the report has none."""
    for step in _steps(report):
        if error_code(step.get("rc")) or step.get("statusOK") is False or step.get("validation") is False:
            return step
    return None


def telling(report: Any) -> Message | None:
    """The first of the worst messages of the step that failed, which is where its trouble began."""
    step = failing_step(report)
    return None if step is None else next(_messages(step), None)


def messages(report: Any) -> Iterator[Message]:
    """All that steps have told as errors: first those of the step that failed, the worst and earliest first."""
    failed = failing_step(report)
    for step in (*((failed,) if failed else ()), *(one for one in _steps(report) if one is not failed)):
        yield from _messages(step)


def events_processed(report: Any) -> int | None:
    """The events of the step that has processed most; each step of a chain counts the same ones again."""
    steps = at(report, "resource", "executor")
    counts = [at(step, "nevents") for step in steps.values()] if isinstance(steps, dict) else []
    return max((count for count in counts if is_count(count)), default=None)


def step_name(step: dict[str, Any]) -> str:
    """A step's name, such as EVNTtoHITS."""
    name = step.get("name")
    return name[:80] if isinstance(name, str) and name else "step"


def _steps(report: Any) -> list[dict[str, Any]]:
    steps = at(report, "executor")
    return [step for step in steps[:STEPS] if isinstance(step, dict)] if isinstance(steps, list) else []


def _messages(step: dict[str, Any]) -> Iterator[Message]:
    name, details = step_name(step), at(step, "logfileReport", "details")
    log = at(step, "logfileReport", "logfile") or at(step, "exeConfig", "logfile")
    log = log if isinstance(log, str) else f"log.{name}" if name != "step" else None
    for level in WORST_FIRST:
        listed = at(details, level)
        entries = listed[:MESSAGES] if isinstance(listed, list) else [listed]
        found = [
            Message(name, level, text, log, at(entry, "firstLine"))
            for entry in entries
            if (text := _text(entry))
        ]
        yield from sorted(map(_checked, found), key=lambda message: message.line or 0)


def _checked(message: Message) -> Message:
    return message if is_count(message.line) else message._replace(line=None)


def _text(entry: Any) -> str:
    text = at(entry, "message")
    first = text.strip().partition("\n")[0] if isinstance(text, str) else ""
    return first.replace("\0", "")[:LINE_CHARACTERS].rstrip()
