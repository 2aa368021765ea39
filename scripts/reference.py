"""Writes the reference pages that follow from tables in the code: settings, errors, states.

`scripts/reference.py` writes them; with `--check` it only says whether they are up to date (exit code 1 if not).
"""

import pathlib
import sys

from picard_pilot.diagnosis.catalogue.codes import ROWS
from picard_pilot.lifecycle.table import TABLE as TRANSITIONS
from picard_pilot.model.states import PHASE_OF, State
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
    """The catalogue, by number."""
    lines = [
        "# Errors\n\n",
        "The numbers and names are those in use on the wire since the first pilot. Blame says who has to act; retry\n",
        "says whether trying again can help.\n\n",
        "| number | name | meaning | blame | retry | next step |\n| --- | --- | --- | --- | --- | --- |\n",
    ]
    for row in ROWS:
        lines.append(
            f"| {row.number} | {row.name} | {row.meaning} | {row.blame} | {row.retry} | {row.next_step} |\n"
        )
    return "".join(lines)


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


def main() -> int:
    """Write or check the pages."""
    stale = []
    for name, page in (("settings", settings()), ("errors", errors()), ("states", states())):
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
