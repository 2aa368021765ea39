"""What somebody means who asks about an error: a number, a name, an exit code, a signal, a class of transfers.

What is said of it is `tools.explain` and the monitor's page.
"""

import re
import signal
from collections.abc import Callable
from typing import NamedTuple

from picard_pilot.diagnosis.catalogue.codes import BY_NAME, BY_NUMBER, ROWS
from picard_pilot.diagnosis.catalogue.dispatcher import BY_DISPATCHER, DISPATCHER, DISPATCHER_ROWS
from picard_pilot.diagnosis.catalogue.row import Code
from picard_pilot.diagnosis.catalogue.transfers import BY_KEY, Finer
from picard_pilot.model.trouble import Trouble, nearest

PILOT = "pilot"
"""The component of PanDA whose numbers the catalogue holds; monitors write it before the number."""

FIRST, LAST = 1000, 1399
"""The numbers that pilots use; the server's own components have others."""

MOST_DIGITS = 5
"""No component of PanDA has a number with more."""

SIGNAL_BASE = 128
"""A shell tells a death by signal n as exit code 128 + n."""

MOST_EXIT = 255

NO_SIGNAL = "KILLSIGNAL"
"""The error of signals without a number of their own."""

COMPONENTS = (
    "brokerage",
    "ddm",
    "dispatcher",
    "exe",
    "jobdispatcher",
    "payload",
    "sup",
    "supervisor",
    "taskbuffer",
    "trans",
)  # fmt: skip
"""The other components for which monitors show numbers."""


class ExitCode(NamedTuple):
    """An exit code in both of its meanings: of a pilot, by its errors, and of a payload."""

    number: int
    rows: tuple[Code, ...]

    @property
    def signal(self) -> str | None:
        """The signal that it stands for."""
        return signal_name(self.number - SIGNAL_BASE)


class Signal(NamedTuple):
    """A signal, and the error of a pilot that receives it."""

    number: int
    name: str
    row: Code


Subject = Code | Finer | ExitCode | Signal


class Unknown(Trouble):
    """There is nothing of that name or number."""


class Undocumented(Trouble):
    """There is such a thing, but the catalogue has no text for it."""


def look_up(words: str) -> Subject:
    """What `words` name: `1099`, `pilot:1099`, `stageinfailed`, `exit 64`, `SIGXCPU`, `stagein/contact`.

    Raises Unknown with the nearest names, or Undocumented.
    """
    text = " ".join(words.split())
    for read in READINGS:
        if (found := read(text)) is not None:
            return found
    raise unknown(text)


def _of_component(text: str) -> Subject | None:
    match = re.fullmatch(r"([A-Za-z_]+)\s*[: ]\s*(\d+)", text)
    if match is None or match[1].lower() in ("exit", "signal"):
        return None
    component, number = match[1].lower(), match[2]
    if component == PILOT:
        return look_up(number)
    if (
        component in (DISPATCHER, "jobdispatcher")
        and len(number) <= MOST_DIGITS
        and int(number) in BY_DISPATCHER
    ):
        return BY_DISPATCHER[int(number)]
    if component not in COMPONENTS:
        return None
    if component in ("payload", "trans"):
        return _of_exit(f"exit {number}")
    raise Undocumented(
        f"{text}: it is an error, but this catalogue has no text for it",
        f"{component} is a part of the server or the job's program; the catalogue describes the pilot's errors",
        "Look for it in the monitor of that server, or in its documentation",
    )


def _of_number(text: str) -> Subject | None:
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        return None
    number = int(text)
    if number in BY_NUMBER:
        return BY_NUMBER[number]
    if number <= MOST_EXIT:
        return _exit(number)
    if FIRST <= number <= LAST:
        raise Undocumented(
            f"{number} is one of the numbers of pilots, but this catalogue has no text for it",
            f"nearest: {_beside(number)}",
            "It may be an old pilot's, or a newer one's; the text beside it tells what that pilot meant",
        )
    return None


def _of_name(text: str) -> Subject | None:
    by_name = {row.name: row for row in DISPATCHER_ROWS}
    return BY_NAME.get(text.upper()) or by_name.get(text.upper())


def _of_class(text: str) -> Subject | None:
    return BY_KEY.get(text.lower())


def _of_exit(text: str) -> Subject | None:
    match = re.fullmatch(r"exit(?: code| status)?[ :=]*(\d{1,3})", text.lower())
    if match is None or int(match[1]) > MOST_EXIT:
        return None
    return _exit(int(match[1]))


def _of_signal(text: str) -> Subject | None:
    match = re.fullmatch(r"(?:SIGNAL[ :=]*)?(?:SIG)?([A-Z0-9+-]+)", text.upper())
    if match is None:
        return None
    word = match[1]
    if word.isdigit():
        name = signal_name(int(word[:3]))
    else:
        name = f"SIG{word}" if f"SIG{word}" in signal.Signals.__members__ else None
    if name is None:
        return None
    return Signal(signal.Signals[name].value, name, BY_NAME.get(name, BY_NAME[NO_SIGNAL]))


READINGS: tuple[Callable[[str], Subject | None], ...] = (
    _of_number,
    _of_name,
    _of_class,
    _of_exit,
    _of_component,
    _of_signal,
)
"""Tried one after the other; what a word means first, it means."""


def signal_name(number: int) -> str | None:
    """The name of a signal; None where there is none of this number."""
    return signal.Signals(number).name if number in [*signal.Signals] else None


def search(words: str) -> list[Code | Finer]:
    """The rows in whose number, name or texts all the words occur, whatever their case."""
    wanted = words.lower().split()
    rows: list[Code | Finer] = [*ROWS, *BY_KEY.values(), *DISPATCHER_ROWS]
    return [row for row in rows if all(map(_text(row).__contains__, wanted))]


def _exit(number: int) -> ExitCode:
    return ExitCode(number, tuple(row for row in ROWS if row.shell_exit == number))


def _text(row: Code | Finer) -> str:
    first = f"{row.number} {row.name}" if isinstance(row, Code) else f"{row.key} {' '.join(row.told_as)}"
    return "\n".join((first, row.summary, *row.causes, row.user, row.shift, row.site)).lower()


def _beside(number: int) -> str:
    near = sorted(BY_NUMBER, key=lambda known: abs(known - number))[:3]
    return ", ".join(f"{known} {BY_NUMBER[known].name}" for known in near)


def unknown(text: str) -> Unknown:
    """The trouble with a word that means nothing, with those that are near."""
    if text.isascii() and text.isdigit():
        near = f"errors of pilots have numbers from {ROWS[0].number} to {ROWS[-1].number}"
    else:
        known = {name: name for name in BY_NAME} | {name.upper(): name for name in BY_KEY}
        names = [known[name] for name in nearest(text.upper(), tuple(known))]
        near = "nearest: " + ", ".join(names) if names else "nothing has a similar name"
    return Unknown(
        f"There is no error {text!r}",
        near,
        "`ppilot explain --list` shows all errors, `ppilot explain --search WORDS` those whose texts hold these words",
    )
