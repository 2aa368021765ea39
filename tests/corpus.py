"""The corpus of failed payloads in tests/samples/logs: reading a case as facts. The README there tells the format."""

import json
import re
from pathlib import Path
from typing import NamedTuple

from msgspec import convert

from picard_pilot.experiments.report_files import Read, Report, outcome_of
from picard_pilot.model.bundle import Outcome
from picard_pilot.model.facts import Facts
from picard_pilot.model.samples import ended, log_of

FOLDER = Path(__file__).parent / "samples" / "logs"

KEYS = {
    "about",
    "error",
    "blame",
    "rule",
    "exit",
    "signal",
    "stopped_by",
    "died_of",
    "kernel",
    "disk_full",
} | {
    "experiment",
    "escapes",
}
_FILE = re.compile(r"^=== (\S+)$")
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


class Case(NamedTuple):
    """One failed payload: what is expected, and what is known of it."""

    name: str
    about: str
    error: str
    blame: str
    rule: str | None
    experiment: str | None
    facts: Facts
    files: dict[str, bytes]


class BadCase(ValueError):
    """A file of the corpus that breaks its format."""


def cases() -> list[Case]:
    """All cases, by name. Raises BadCase."""
    return [read(path) for path in sorted(FOLDER.glob("*/*.txt"))]


def read(path: Path) -> Case:
    """One case. Raises BadCase with the file's name."""
    name = f"{path.parent.name}/{path.stem}"
    try:
        return _case(name, path.read_text("utf-8"))
    except (ValueError, KeyError) as error:
        raise BadCase(f"{name}: {error}") from error


def _case(name: str, text: str) -> Case:
    head, files = _parts(text)
    kernel = tuple(value for key, value in head if key == "kernel")
    keys = dict(head)
    if unknown := keys.keys() - KEYS:
        raise ValueError(f"unknown keys {', '.join(sorted(unknown))}")
    if ("exit" in keys) == ("signal" in keys):
        raise ValueError("one of exit and signal must be given")
    if keys.get("escapes") == "yes":
        files = {
            file: _ESCAPE.sub(lambda code: bytes([int(code[1], 16)]), data) for file, data in files.items()
        }
    facts = Facts(
        exit=ended(_number(keys.get("exit")), _number(keys.get("signal")), keys.get("stopped_by")),
        died_of=_number(keys.get("died_of")),
        report=_decoded(files.get("jobReport.json")),
        error_report=_decoded(files.get("payload_error_report.json")),
        outcome=_outcome(files),
        kernel=kernel,
        disk_full=keys.get("disk_full"),
        logs={file: log_of(file, data) for file, data in files.items() if not file.endswith(".json")},
    )
    return Case(
        name=name,
        about=keys["about"],
        error=keys["error"],
        blame=keys["blame"],
        rule=keys.get("rule"),
        experiment=keys.get("experiment"),
        facts=facts,
        files=files,
    )


def _parts(text: str) -> tuple[list[tuple[str, str]], dict[str, bytes]]:
    """The head's keys with values, and the files' bytes."""
    head: list[tuple[str, str]] = []
    files: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in text.splitlines(keepends=True):
        if begins := _FILE.match(line):
            current = files.setdefault(begins[1], [])
        elif current is not None:
            current.append(line)
        elif line.strip():
            key, colon, value = line.partition(":")
            if not colon:
                raise ValueError(f"no key in {line!r}")
            head.append((key.strip(), value.strip()))
    return head, {name: "".join(lines).encode() for name, lines in files.items()}


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _outcome(files: dict[str, bytes]) -> Outcome:
    """What an experiment that changes nothing reads in the reports."""
    report, said = _decoded(files.get("jobReport.json")), _decoded(files.get("payload_error_report.json"))
    known = report if isinstance(report, dict) else {}
    return outcome_of(Read(convert(known, Report), None, said if isinstance(said, dict) else {}))


def _decoded(data: bytes | None) -> object:
    return None if data is None else json.loads(data)
