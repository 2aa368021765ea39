"""The fingerprint of an error that no rule explains: the same for all failures that look the same.

The telling lines are chosen (the last traceback, else the last lines that speak of an error, else the last line), what
differs from job to job is taken out of them (`diagnosis.normal`), and the rest is hashed. Reading logs is not here.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from picard_pilot.diagnosis.engine import WARNS
from picard_pilot.diagnosis.normal import LINE_CHARACTERS, normal
from picard_pilot.diagnosis.own_words import own_words
from picard_pilot.model.facts import Facts, Line
from picard_pilot.model.fault import Evidence
from picard_pilot.model.rule import Where

VERSION = "fp1"
"""Of choice and normalisation together: what changes one of them is another version, so that old groups stay."""

DIGITS = 12
"""Hexadecimal digits of a fingerprint: 48 bits, no accidental twins among millions of groups."""

FINGERPRINT = re.compile(r"fp\d{1,3}:[0-9a-f]{12}")

MOST_LINES = 3
"""Lines that speak of an error: the cause and what follows from it; more would differ by luck."""

MOST_LOOKED_AT = 100
"""Of them, so many are normalised at most to find those that do not repeat each other."""

MOST_VALUES = 2000
"""Of a report, so many are looked at."""

MOST_FRAMES = 3
"""Innermost functions of a traceback: where it happened; how the program got there differs with its options."""

_TRACEBACK = "Traceback (most recent call last)"
_FRAME = re.compile(
    r'^\s*(?:\+ )?(?:\| )?File "(?P<file>[^"]{1,500})", line \d+(?:, in (?P<function>\S{1,100}))?'
)
_EXCEPTION = re.compile(
    r"^(?:\w{1,60}\.){0,8}\w{0,80}(?:Error|Exception|Exit|Interrupt|Iteration|Warning|Group|Fail\w{0,10}|Fault|"
    r"Timeout\w{0,10}|NotFound|Denied|Expired|Abort\w{0,6})\w{0,20}(?::|$)"
)
_NAMED = re.compile(r"^(?:\w{1,60}\.){0,8}[A-Za-z_]\w{0,80}: ")
_ERROR_WORD = re.compile(
    r"error|fatal|exception|fail|cannot|can't|could ?n[o']t|unable|abort|killed|denied|not found|no such|refused|"
    r"segmentation|core dumped|invalid|timed out|timeout|time-out|terminate called|what\(\)|assert|panic|critical|"
    r"undefined|unresolved|expired|corrupt|smashing|overflow|unexpected|illegal|bad_|violation|not permitted|"
    r"unknown|missing|no space|\*\*\* break",
    re.IGNORECASE,
)
_NO_ERROR = re.compile(
    r"(?<![\w.])(?:0|no|zero|without(?: any)?) (?:errors|failures|exceptions)\b|\bno error\b|"
    r"\b(?:errors|failures|exceptions)\s{0,3}[:=]\s{0,3}0\b",
    re.IGNORECASE,
)


class Likeness(NamedTuple):
    """A fingerprint, the text that it stands for, and the lines that the text was made of."""

    fingerprint: str
    text: str
    evidence: tuple[Evidence, ...]


def likeness(
    logs: Mapping[str, Sequence[Line]], ended: str, known: Mapping[str, str] | None = None
) -> Likeness:
    """The likeness of a failure. `logs` are lines of each log by its name, the most telling log first; `ended` says how
    the payload ended (`exit code 7`); `known` are names of this node and job with the word that stands for each
    (`{"enterprise": "<host>"}`), since nothing in a text tells that this one is a host.

    How it ended counts only where no line speaks of an error: the same error is the same with another exit code.
    """
    for name, lines in logs.items():
        if (found := traceback_of([line.said for line in lines])) is not None:
            places, shown = found
            return _made(shown, name, [lines[at] for at in places], known)
    for name, lines in logs.items():
        if speaking := _speaking(lines, known):
            return _made([line.said for line in speaking], name, speaking, known)
    for name, lines in logs.items():
        if last := next((line for line in reversed(lines) if line.text.strip()), None):
            return _made([ended, last.said], name, [last], known)
    return _made([ended], "", [], known)


def telling_logs(facts: Facts) -> dict[str, Sequence[Line]]:
    """What a failed payload left, in the order in which it tells: sentences of reports, stderr, stdout, other logs."""
    reports = {Where.REPORT: facts.report, Where.ERROR_REPORT: facts.error_report}
    told: dict[str, Sequence[Line]] = {str(name): _sentences(report) for name, report in reports.items()}
    if (said := own_words(facts)) is not None and not any(told.values()):
        told[str(said.file)] = [Line(None, said.text)]
    first = [name for name in (Where.STDERR, Where.STDOUT) if name in facts.logs]
    for name in (*first, *(name for name in facts.logs if name not in first)):
        told[str(name)] = facts.logs[name].lines
    return told


def _sentences(report: Any) -> list[Line]:
    """The texts of a report that speak of an error, in its order; a payload may write anything there."""
    found: list[Line] = []
    waiting = [report]
    for _ in range(MOST_VALUES):
        if not waiting:
            break
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(list(value.values())[:MOST_VALUES][::-1])
        elif isinstance(value, list):
            waiting.extend(value[:MOST_VALUES][::-1])
        elif isinstance(value, str) and speaks(value):
            found.append(Line(None, " ".join(value[:LINE_CHARACTERS].split())))
    return found


def how_it_ended(facts: Facts) -> str:
    """The end of a payload in words: `exit code 3`, `signal 9`."""
    return f"exit code {facts.exit.exit_code}" if facts.signal is None else f"signal {facts.signal}"


def traceback_of(lines: Sequence[str]) -> tuple[list[int], list[str]] | None:
    """The last traceback of Python in these lines: where its telling lines stand, and the same as `file in function`
    with the exception at the end. None where there is none, or one without its exception."""
    begin = next((at for at in range(len(lines) - 1, -1, -1) if _TRACEBACK in lines[at]), None)
    if begin is None:
        return None
    frames: list[tuple[int, str]] = []
    for at in range(begin + 1, len(lines)):
        if match := _FRAME.match(lines[at]):
            where = f" in {match['function']}" if match["function"] else ""
            place = match["file"].rpartition("/")[2] + where
            if frames and frames[-1][1] == place:  # an endless recursion ends after a number of calls
                frames.pop()
            frames.append((at, place))
    end = _exception(lines, frames[-1][0] if frames else begin)
    if end is None:
        return None
    inner = frames[-MOST_FRAMES:]
    return [*(at for at, _ in inner), end], [*(place for _, place in inner), lines[end]]


def _exception(lines: Sequence[str], after: int) -> int | None:
    """Where the exception stands behind the last frame; the line of code between them may look like anything."""
    behind = range(after + 1, min(after + 8, len(lines)))
    for pattern in (_EXCEPTION, _NAMED):
        for at in behind:
            if pattern.match(lines[at]):
                return at
    return None


def _speaking(lines: Sequence[Line], known: Mapping[str, str] | None) -> list[Line]:
    """The last lines that speak of an error, oldest first; one that only repeats another counts once."""
    found: dict[str, Line] = {}
    for line in islice((line for line in reversed(lines) if speaks(line.said)), MOST_LOOKED_AT):
        found.setdefault(normal(line.said, known), line)
        if len(found) == MOST_LINES:
            break
    return list(found.values())[::-1]


def speaks(line: str) -> bool:
    """Whether a line speaks of an error that ended something; rules pass over warnings too."""
    shown = line[:LINE_CHARACTERS]
    return _ERROR_WORD.search(shown) is not None and not (_NO_ERROR.search(shown) or WARNS.search(shown))


def _made(
    shown: Sequence[str], name: str, lines: Sequence[Line], known: Mapping[str, str] | None
) -> Likeness:
    text = "\n".join(dict.fromkeys(filter(None, (normal(line, known) for line in shown))))
    digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
    evidence = tuple(Evidence(text=line.text.strip(), file=name, offset=line.offset) for line in lines)
    return Likeness(f"{VERSION}:{digest[:DIGITS]}", text, evidence)
