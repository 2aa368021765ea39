"""The catalogue's rows as plain data, the same for scripts at a terminal and on the monitor.

The texts for people are `tools.explain` and the monitor's page.
"""

from typing import Any

from picard_pilot.diagnosis.catalogue.codes import BY_NAME, ROWS
from picard_pilot.diagnosis.catalogue.lookup import SIGNAL_BASE, ExitCode, Signal, Subject
from picard_pilot.diagnosis.catalogue.row import Code, Reader
from picard_pilot.diagnosis.catalogue.transfers import BY_KEY, Finer

SCHEMA = "ppilot.explain/1"

OF_A_PILOT: dict[int, str] = {
    0: "all is well: the pilot did its part, whatever became of its jobs",
    1: "no pilot's: Harvester takes it for a fault of the wrapper",
    2: "no pilot's: Harvester takes it for a stuck pilot that its wrapper killed",
}
"""Exit codes that stand for no error."""

OF_A_PAYLOAD: dict[int, str] = {
    0: "all is well",
    126: "the shell found a command that it could not execute: its mode, or its interpreter",
    127: "the shell did not find a command: its name, the PATH, or the setup before it",
}
"""Exit codes that shells give a meaning to."""

OWN_NUMBER = "the program's own number: its output, or its documentation, says what it means"


def data(subject: Subject, reader: Reader | None = None) -> dict[str, Any]:
    """The same for scripts; `kind` is error, transfer, exit or signal."""
    match subject:
        case Code():
            return {"kind": "error", **_code_data(subject, reader)}
        case Finer():
            return {
                "kind": "transfer",
                "name": subject.key,
                "told_as": subject.told_as,
                "summary": subject.summary,
                "causes": subject.causes,
                "advice": _advice(subject, reader),
                "reserved": subject.reserved,
            }
        case ExitCode():
            return {
                "kind": "exit",
                "number": subject.number,
                "signal": subject.signal,
                "of_a_pilot": of_a_pilot(subject),
                "of_a_payload": of_a_payload(subject),
                "errors": [_code_data(row, reader) for row in subject.rows],
            }
        case Signal():
            return {
                "kind": "signal",
                "number": subject.number,
                "name": subject.name,
                "exit": SIGNAL_BASE + subject.number,
                "error": _code_data(subject.row, reader),
            }


def codes_and_names() -> dict[str, tuple[str, str]]:
    """`{code: [name, message]}`, as tools beside Harvester read it."""
    return {str(row.number): (row.name, row.summary) for row in ROWS}


def brief(row: Code | Finer) -> dict[str, Any]:
    """A row as a line of a list."""
    if isinstance(row, Code):
        return {
            "number": row.number,
            "name": row.name,
            "component": row.component.value,
            "category": row.category.label,
            "blame": row.blame.value,
            "retry": row.retry.value,
            "summary": row.summary,
        }
    usual = BY_NAME[row.told_as[0]]
    return {**brief(usual), "name": row.key, "summary": row.summary}


def _code_data(row: Code, reader: Reader | None) -> dict[str, Any]:
    return {
        **brief(row),
        "recoverable": row.recoverable,
        "shell_exit": row.shell_exit,
        "symptom_of": row.symptom_of,
        "causes": row.causes,
        "advice": _advice(row, reader),
        "since": row.since,
        "reserved": row.reserved,
        "classes": [one.key for one in BY_KEY.values() if row.name in one.told_as],
    }


def _advice(row: Code | Finer, reader: Reader | None) -> dict[str, str]:
    readers = [*Reader] if reader is None else [reader]
    return {one.value: row.advice(one) for one in readers if row.advice(one) or reader is not None}


def of_a_pilot(code: ExitCode) -> str:
    """What it means as the exit code of a pilot."""
    if code.rows:
        return "; or ".join(f"{row.number} {row.name}, {_in_a_sentence(row.summary)}" for row in code.rows)
    if code.number in OF_A_PILOT:
        return OF_A_PILOT[code.number]
    if code.signal is not None:
        return f"it was ended by {code.signal}"
    return "it has no meaning"


def of_a_payload(code: ExitCode) -> str:
    """What it means as the exit code of a payload."""
    if code.signal is not None:
        return f"it was ended by {code.signal}, or a child of its shell was; or it is {OWN_NUMBER}"
    return OF_A_PAYLOAD.get(code.number, OWN_NUMBER)


def _in_a_sentence(summary: str) -> str:
    return summary if summary[:2].isupper() else summary[0].lower() + summary[1:]
