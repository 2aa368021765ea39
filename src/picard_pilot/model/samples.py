"""Facts of failed payloads made by hand: samples of error rules, and cases of tests.

Facts of real payloads are gathered by `pilot`.
"""

import re
from typing import Any

from picard_pilot.model.command import PayloadExit
from picard_pilot.model.facts import LINE_CHARACTERS, Facts, Line, Log

_LINE = re.compile(rb"[^\r\n\0]+")


def ended(
    exit_code: int | None = None, signal: int | None = None, stopped_by: str | None = None
) -> PayloadExit:
    """A payload's end after a second."""
    return PayloadExit(
        started_at=1.0, ended_at=2.0, wall_s=1.0, exit_code=exit_code, signal=signal, stopped_by=stopped_by
    )


def failed(
    exit_code: int | None = None,
    signal: int | None = None,
    stopped_by: str | None = None,
    *,
    stderr: str = "",
    stdout: str = "",
    logs: dict[str, str] | None = None,
    **facts: Any,
) -> Facts:
    """Facts of a payload that failed, by default with exit code 1; `logs` holds further ones, `facts` all else."""
    if exit_code is None and signal is None:
        exit_code = 1
    texts = {"payload.stderr": stderr, "payload.stdout": stdout, **(logs or {})}
    return Facts(
        exit=ended(exit_code, signal, stopped_by),
        logs={name: log_of(name, text.encode()) for name, text in texts.items() if text},
        **facts,
    )


def log_of(name: str, data: bytes) -> Log:
    """A small log, all of it."""
    lines = []
    for match in _LINE.finditer(data):
        text = match.group().decode("utf-8", "backslashreplace").rstrip()[:LINE_CHARACTERS]
        if text:
            lines.append(Line(match.start(), text))
    return Log(name=name, size_bytes=len(data), lines=tuple(lines))
