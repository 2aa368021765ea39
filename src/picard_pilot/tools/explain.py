"""Explaining an error to a user, a shifter or a site: the catalogue's rows as text for a terminal.

What a word means is `diagnosis.catalogue.lookup`; the same as data is `diagnosis.catalogue.plain`, and as a page of the
monitor `server.pages.explained`.
"""

from collections.abc import Iterator
from textwrap import fill

from picard_pilot.diagnosis.catalogue.codes import BY_NAME
from picard_pilot.diagnosis.catalogue.dispatcher import handle
from picard_pilot.diagnosis.catalogue.lookup import ExitCode, Signal, Subject
from picard_pilot.diagnosis.catalogue.plain import of_a_payload, of_a_pilot
from picard_pilot.diagnosis.catalogue.row import Code, Reader
from picard_pilot.diagnosis.catalogue.transfers import BY_KEY, Finer
from picard_pilot.diagnosis.catalogue.words import ACTOR, READERS, RETRY, advice

WIDTH = 100
"""Of a line, in characters."""

MOST_NAMES = 12
"""Of errors that one follows from; scripts get all."""


def told(subject: Subject, reader: Reader | None = None) -> str:
    """The explanation for people; with a reader only the advice for that one."""
    match subject:
        case Code():
            return "\n".join(_code(subject, reader))
        case Finer():
            return "\n".join(_finer(subject, reader))
        case ExitCode():
            return "\n".join(_exit(subject))
        case Signal():
            return "\n".join(_signal(subject))


def _code(row: Code, reader: Reader | None) -> Iterator[str]:
    yield f"{handle(row)} {row.name}"
    yield _wrapped(f"{row.summary}.")
    yield ""
    yield _wrapped(f"Who has to act: {ACTOR[row.blame]} (blame: {row.blame}); {RETRY[row.retry]}.")
    if row.recoverable:
        yield "What the payload made is kept: a later pilot can store it without computing it again."
    yield from _causes(row.causes)
    yield from _to_do(row, reader)
    yield ""
    yield f"It arises in: {row.component}; the monitor counts it as {row.category.value}, {row.category.label}."
    if row.symptom_of:
        yield _wrapped(f"Where one of these is found too, that is the cause: {_some(row.symptom_of)}.")
    if classes := [one.key for one in BY_KEY.values() if row.name in one.told_as and not one.reserved]:
        yield _wrapped(f"More exactly it may be: {', '.join(classes)}.")
    if row.shell_exit is not None:
        yield f"A pilot that it stops exits with {row.shell_exit}."
    if row.reserved:
        yield _wrapped(f"Picard does not report it: {row.reserved}.")
    yield f"The number is on the wire since {row.since}."


def _finer(row: Finer, reader: Reader | None) -> Iterator[str]:
    yield row.key
    yield _wrapped(f"{row.summary}.")
    yield from _causes(row.causes)
    yield from _to_do(row, reader)
    yield ""
    names = ", ".join(f"{BY_NAME[name].number} {name}" for name in row.told_as)
    yield _wrapped(f"The server is told of it as {names}.")
    if row.reserved:
        yield _wrapped(f"Picard does not report it: {row.reserved}.")


def _exit(code: ExitCode) -> Iterator[str]:
    yield f"exit code {code.number}"
    yield _wrapped(f"Of a pilot (in the batch log, to wrapper and Harvester): {of_a_pilot(code)}.")
    yield _wrapped(f"Of a payload (the job's transExitCode): {of_a_payload(code)}.")
    if code.rows:
        yield ""
        yield "More: " + ", ".join(f"`ppilot explain {row.number}`" for row in code.rows)


def _signal(found: Signal) -> Iterator[str]:
    yield f"signal {found.number}, {found.name}"
    yield f"What it ends has the exit code {128 + found.number} for a shell."
    yield ""
    yield _wrapped(
        f"A pilot's end by it is told as {found.row.number} {found.row.name}. That of a payload is on its job's record "
        "beside the errors, with who sent it."
    )
    yield f"More: `ppilot explain {found.row.number}`"


def _causes(causes: tuple[str, ...]) -> Iterator[str]:
    if causes:
        yield ""
        yield "Possible causes:"
        for cause in causes:
            yield _wrapped(cause, "  - ", "    ")


def _to_do(row: Code | Finer, reader: Reader | None) -> Iterator[str]:
    """The advice; unasked, only of those who have something to do."""
    yield ""
    if reader is not None:
        blame = row.blame if isinstance(row, Code) else BY_NAME[row.told_as[0]].blame
        yield _wrapped(f"For {READERS[reader]}: {advice(row, reader, blame)}")
        return
    yield "What to do:"
    for one in Reader:
        if text := row.advice(one):
            yield _wrapped(text, f"  {READERS[one]:<9} ", " " * 12)


def _some(names: tuple[str, ...]) -> str:
    """The first of many names: those that Picard reports."""
    raised = [name for name in names if not BY_NAME[name].reserved]
    more = len(names) - len(raised[:MOST_NAMES])
    return ", ".join(raised[:MOST_NAMES]) + (f" and {more} other{'s' if more > 1 else ''}" if more else "")


def _wrapped(text: str, first: str = "", others: str = "") -> str:
    return fill(text, WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False)
