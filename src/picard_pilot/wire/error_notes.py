"""The error that decided, as pairs of `job_metrics`, and what its fingerprint stands for, as lines of `pilot_log`.

A real server keeps both as they are, and shows them to people; none of the keys is one that it reads.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote

from picard_pilot.model.fault import Evidence
from picard_pilot.model.told_error import NEXT, ToldError

BLAME, FINER, ENDPOINT, FINGERPRINT = "errorBlame", "errorFiner", "errorEndpoint", "errorFingerprint"

VALUE_CHARACTERS = 100
"""Of one value in its coded form: names of endpoints have some thirty."""

HEAD = "error group "
"""With which the note of a fingerprint begins; the lines that are equal in all jobs, then those of this one."""

EQUAL, SAID = "= ", "> "

NOTE_CHARACTERS = 1500
"""Of the 4,000 that the server keeps of a log's end: four lines of 160 as they are equal, and the same of the job."""

LINE_CHARACTERS = 200
"""Of one of the job's own lines."""

_PLAIN = "/:;,.()[]'\"!?=+*@#$&-_~"
_FINGERPRINT = re.compile(r"fp\d{1,3}:[0-9a-f]{12}")


class GroupNote(NamedTuple):
    """What a fingerprint stands for: the text that all its jobs share, and one job's own lines with their file."""

    fingerprint: str
    text: str
    sample: str
    file: str


def pairs_of(error: ToldError) -> dict[str, str]:
    """`errorBlame=experiment_software errorFiner=stagein/contact errorEndpoint=DISK errorFingerprint=fp1:...`."""
    told = (
        (FINGERPRINT, error.fingerprint),
        (BLAME, None if error.blame is None else error.blame.replace(" ", "_")),
        (FINER, error.finer),
        (ENDPOINT, error.endpoint),
    )
    return {key: _coded(value) for key, value in told if value}


def error_in(pairs: Mapping[str, str]) -> ToldError:
    """The error that the pairs tell; what they do not tell, or what makes no sense, is None."""
    fingerprint = pairs.get(FINGERPRINT, "")
    blame = _plain(pairs.get(BLAME))
    return ToldError(
        blame=None if blame is None else blame.replace("_", " "),
        finer=_plain(pairs.get(FINER)),
        endpoint=_plain(pairs.get(ENDPOINT)),
        fingerprint=fingerprint if is_fingerprint(fingerprint) else None,
    )


def is_fingerprint(text: str) -> bool:
    """Whether it looks like one, of whatever version."""
    return _FINGERPRINT.fullmatch(text) is not None


def without_error(metrics: str) -> str:
    """The `job_metrics` text without these pairs."""
    keys = (BLAME, FINER, ENDPOINT, FINGERPRINT)
    return " ".join(word for word in metrics.split() if word.partition("=")[0] not in keys)


def compose(fingerprint: str, text: str, evidence: Sequence[Evidence]) -> str:
    """The note: head with the file's name, the equal lines, the job's own lines."""
    file = next((each.file for each in evidence if each.file), "")
    lines = [f"{HEAD}{fingerprint} {file}".rstrip()]
    lines += [EQUAL + line for line in text.splitlines()]
    lines += [SAID + " ".join(each.text.split())[:LINE_CHARACTERS] for each in evidence]
    return "\n".join(lines)[:NOTE_CHARACTERS]


def group_in(text: str) -> GroupNote | None:
    """The last such note in a `pilot_log`, also with other lines around it; None where there is none."""
    lines = text.splitlines()
    begin = next((at for at in range(len(lines) - 1, -1, -1) if lines[at].startswith(HEAD)), None)
    if begin is None:
        return None
    fingerprint, _, file = lines[begin].removeprefix(HEAD).partition(" ")
    if not is_fingerprint(fingerprint):
        return None
    equal = _marked(lines[begin + 1 :], EQUAL)
    said = _marked(lines[begin + 1 + len(equal) :], SAID)
    return GroupNote(fingerprint, "\n".join(equal), "\n".join(said), file)


def next_step_in(text: str, code: int) -> str | None:
    """What an extract of logs says to do about the first error of this number: as its rule has it, which is more exact
    than what the catalogue says of the number. None where it says nothing."""
    lines = iter(text.split("\n"))
    if not any(line.startswith(f"{code} ") for line in lines):
        return None
    found = None
    for line in lines:
        if not line.startswith("  "):
            break
        if line.startswith(NEXT):  # the last: evidence stands before it, and may say anything
            found = line.removeprefix(NEXT)
    return found or None


def _marked(lines: Sequence[str], mark: str) -> list[str]:
    """The lines with this mark at the beginning, without it."""
    found = []
    for line in lines:
        if not line.startswith(mark):
            break
        found.append(line.removeprefix(mark))
    return found


def _coded(value: str) -> str:
    return quote(value, safe=_PLAIN)[:VALUE_CHARACTERS]


def _plain(value: str | None) -> str | None:
    """What was cut in the middle of a code loses its end."""
    if not value:
        return None
    return unquote(re.sub(r"%[0-9A-F]?$", "", value[:VALUE_CHARACTERS]), errors="ignore") or None
