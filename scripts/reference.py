"""Writes the reference pages that follow from tables in the code: settings, errors, states, storage.

`scripts/reference.py` writes them; with `--check` it only says whether they are up to date (exit code 1 if not).
"""

import pathlib
import sys

from picard_pilot.data.policy import GROWTH, RULES, Place
from picard_pilot.diagnosis.catalogue.codes import ROWS
from picard_pilot.diagnosis.catalogue.dispatcher import DISPATCHER_ROWS, handle
from picard_pilot.diagnosis.catalogue.row import Code, Component, Reader
from picard_pilot.diagnosis.catalogue.transfers import ROWS as CLASSES
from picard_pilot.diagnosis.catalogue.transfers import Finer
from picard_pilot.diagnosis.catalogue.words import READERS
from picard_pilot.lifecycle.table import TABLE as TRANSITIONS
from picard_pilot.model.states import PHASE_OF, State
from picard_pilot.model.transfer import Remedy
from picard_pilot.movers.codes import CODES
from picard_pilot.settings.table import TABLE as OPTIONS
from picard_pilot.settings.values import written

PAGES = pathlib.Path(__file__).resolve().parent.parent / "docs" / "reference"
NOTE = "<!-- Written by scripts/reference.py from the tables in the code; change those. -->\n\n"


def settings() -> str:
    """One table per group of options."""
    lines = [
        "# Settings\n\n",
        "Every setting is a flag, an environment variable and a key of the settings file; the flag wins over\n",
        "the variable, the variable over the file, the file over the default. `ppilot config show --origin`\n",
        "shows what is in force and where it came from.\n",
    ]
    for group in dict.fromkeys(option.group for option in OPTIONS):
        lines.append(f"\n## {group.capitalize()}\n\n")
        lines.append("| flag | variable | key | default | what it sets, and why this default |\n")
        lines.append("| --- | --- | --- | --- | --- |\n")
        for option in (option for option in OPTIONS if option.group == group):
            default = (
                "-"
                if option.default is None
                else f"`{written(option.default)}`"
                if option.default != ()
                else "-"
            )
            flags = ", ".join(f"`{flag}`" for flag in option.flags)
            text = f"{option.help}; {option.reason}".replace("|", "\\|")
            lines.append(f"| {flags} | `{option.variable}` | `{option.key}` | {default} | {text} |\n")
    return "".join(lines)


def errors() -> str:
    """The catalogue: by component a table and what to do about each error, then the classes of failed transfers."""
    lines = [
        "# Errors\n\n",
        "The numbers and names are those in use on the wire since the first pilot; none ever gets another meaning.\n",
        "`ppilot explain NUMBER` says the same at a terminal, `/errors/NUMBER` on the monitor. *Who* has to act on\n",
        "it; *retry* says whether and where trying again can help; *exit* is the exit code of a pilot that the\n",
        "error stops. Numbers in brackets are reserved: other pilots use them, and Picard does not report them.\n",
    ]
    for component in Component:
        rows = [row for row in ROWS if row.component is component]
        lines.append(f"\n## {component.capitalize()}\n\n")
        lines.append(
            "| number | name | it means | who | retry | exit |\n| --- | --- | --- | --- | --- | --- |\n"
        )
        for row in rows:
            number = f"({row.number})" if row.reserved else f"{row.number}"
            lines.append(
                f"| {number} | [{row.name}](#{row.number}) | {row.summary} | {row.blame} | {row.retry} | "
                f"{row.shell_exit or '-'} |\n"
            )
        for row in rows:
            lines += _explained(str(row.number), f"{row.number} {row.name}", row)
            lines += [f"\n{kept}\n" for kept in _kept(row)]
    lines.append(
        "\n## The server's own\n\nWith these its dispatcher ends jobs of which no pilot says anything more; "
    )
    lines.append("the numbers are not a pilot's.\n\n| number | name | it means | who | retry |\n")
    lines.append("| --- | --- | --- | --- | --- |\n")
    for row in DISPATCHER_ROWS:
        anchor = f"[{row.name}](#{row.name.lower()})"
        lines.append(f"| {handle(row)} | {anchor} | {row.summary} | {row.blame} | {row.retry} |\n")
    for row in DISPATCHER_ROWS:
        lines += _explained(row.name.lower(), f"{handle(row)} {row.name}", row)
    lines.append("\n## Classes of failed transfers\n\n")
    lines.append(
        "What went wrong with an input or output, more exactly than its number says. The storage that\n"
    )
    lines.append("failed is named with it.\n\n| class | it means | told as |\n| --- | --- | --- |\n")
    for one in CLASSES:
        lines.append(f"| [{one.key}](#{_anchor(one)}) | {one.summary} | {', '.join(one.told_as)} |\n")
    for one in CLASSES:
        lines += _explained(_anchor(one), one.key, one)
    return "".join(lines)


def _anchor(one: Finer) -> str:
    return one.key.replace("/", "-")


def _explained(anchor: str, title: str, row: Code | Finer) -> list[str]:
    """A heading to which links lead, causes, and advice for each reader."""
    lines = [f'\n<a id="{anchor}"></a>\n\n### {title}\n\n{row.summary}.\n']
    if row.causes:
        lines.append("\nPossible causes:\n\n" + "".join(f"- {cause}\n" for cause in row.causes))
    told = [
        f"- {READERS[reader].capitalize()}: {row.advice(reader)}\n" for reader in Reader if row.advice(reader)
    ]
    return [*lines, "\nWhat to do:\n\n", *told]


def _kept(row: Code) -> list[str]:
    """What else there is to say of an error."""
    told = []
    if row.recoverable:
        told.append("What the payload made is kept: a later pilot can store it without computing it again.")
    if row.symptom_of:
        told.append(f"Where one of these is found too, that is the cause: {', '.join(row.symptom_of)}.")
    if row.reserved:
        told.append(f"Reserved: {row.reserved}.")
    return told


def states() -> str:
    """The states with the events that each knows."""
    lines = [
        "# States\n\n",
        "Which events each state of a job knows; any other event is refused, and changes nothing. The picture is in\n",
        "ARCHITECTURE.md.\n\n",
        "| state | word for people | events |\n| --- | --- | --- |\n",
    ]
    for state in State:
        events = sorted(kind.__name__ for known, kind in TRANSITIONS if known is state)
        lines.append(f"| {state} | {PHASE_OF[state]} | {', '.join(events)} |\n")
    return "".join(lines)


AGAIN = {
    Place.NOWHERE: "the next place at once",
    Place.FRONT: "the same place at once",
    Place.BACK: "the next place at once; this one again later",
}


def storage() -> str:
    """The retry table, then the codes of each protocol."""
    lines = [
        "# Failed transfers\n\n",
        "What is done after a failed transfer, by its remedy and its class. How the lists are made and walked:\n",
        "[../storage.md](../storage.md).\n\n",
        "Tries are those of one place, the first included. A pause grows by the factor ",
        f"{GROWTH:.0f} with each failure. *Sick* counts\nagainst the whole endpoint; *bad* means that the copy is ",
        "remembered once its tries are used up.\n\n",
        "| remedy | class | then | tries | first pause | sick | bad | why |\n",
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n",
    ]
    for rule in RULES:
        then = "the end of the list" if rule.remedy is Remedy.STOP else AGAIN[rule.place]
        pause = f"{rule.first_s:.0f} s" if rule.first_s else "-"
        lines.append(
            f"| {rule.remedy} | {rule.kind or 'any other'} | {then} | {rule.tries} | {pause} | "
            f"{'yes' if rule.sick else '-'} | {'yes' if rule.bad else '-'} | {rule.why} |\n"
        )
    lines += [
        "\n## Codes\n\n",
        "A mover that knows more (whether a token has expired, whether a redirector or a data server answered) says\n",
        "another remedy than the table.\n\n",
        "| protocol | code | class | remedy | it means |\n| --- | --- | --- | --- | --- |\n",
    ]
    only = {None: "", True: " (while storing)", False: " (while reading)"}
    for row in CODES:
        lines.append(
            f"| {row.protocol} | {row.code} | {row.kind} | {row.remedy} | {row.means}{only[row.storing]} |\n"
        )
    return "".join(lines)


def main() -> int:
    """Write or check the pages."""
    stale = []
    pages = {"settings": settings(), "errors": errors(), "states": states(), "storage": storage()}
    for name, page in pages.items():
        path = PAGES / f"{name}.md"
        text = NOTE + page
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path.name)
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.stderr.write(
            f"check: run .venv/bin/python scripts/reference.py ({', '.join(stale)} out of date)\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
