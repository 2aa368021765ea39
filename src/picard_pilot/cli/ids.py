"""The jobs that a command is about, as people name them: 7, 10-14, 3,5, @file, - for stdin, latest.

What is done with the jobs is up to each command.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from picard_pilot.cli.exits import UsageTrouble

MAX_IDS = 5000
"""What one call to the server takes; more are a mistake in a range."""

LATEST = "latest"
HELP = "job ids: a number, a range 10-14, a comma list, @FILE, - for stdin, or latest"


def job_ids(words: list[str], latest: Callable[[], int]) -> list[int]:
    """The ids that `words` name, in order, each once. `latest` is asked only if it is named.

    Raises UsageTrouble for what is no id, for none at all and for too many.
    """
    found: dict[int, None] = {}
    for text in _texts(words):
        for number in [latest()] if text == LATEST else _range(text):
            found[number] = None
            if len(found) > MAX_IDS:
                raise UsageTrouble(
                    f"More than {MAX_IDS} jobs are named",
                    f"the last was {text!r}",
                    "Name them in several commands",
                )
    if not found:
        raise UsageTrouble("No job is named", "an empty list of ids", HELP.capitalize())
    return list(found)


def _texts(words: list[str]) -> Iterator[str]:
    """The single ids and ranges in `words`, files and stdin read."""
    for word in words:
        if word == "-":
            yield from sys.stdin.read().replace(",", " ").split()
        elif word.startswith("@"):
            yield from _read(word[1:]).replace(",", " ").split()
        else:
            yield from (part for part in word.split(",") if part)


def _read(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageTrouble(
            f"The file with job ids cannot be read: {name}", str(error), HELP.capitalize()
        ) from None


def _range(text: str) -> range:
    first, dash, last = text.partition("-")
    if not (first.isascii() and first.isdigit() and (not dash or (last.isascii() and last.isdigit()))):
        raise UsageTrouble(f"{text!r} is no job id", "ids are whole numbers", HELP.capitalize())
    start, end = int(first), int(last or first)
    if end < start or end >= 2**63:
        raise UsageTrouble(
            f"{text!r} names no jobs", "its end is before its begin, or too large", HELP.capitalize()
        )
    return range(start, end + 1)
