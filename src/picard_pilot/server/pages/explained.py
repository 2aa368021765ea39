"""The page that explains an error: a row of the catalogue, or a class of failed transfers, as values for its template.

The texts are the catalogue's; how often jobs failed of it is on the page of errors.
"""

from __future__ import annotations

from typing import Any

from picard_pilot.diagnosis.catalogue.codes import BY_NAME
from picard_pilot.diagnosis.catalogue.dispatcher import DISPATCHER, DISPATCHER_ROWS, handle
from picard_pilot.diagnosis.catalogue.lookup import PILOT
from picard_pilot.diagnosis.catalogue.row import Code, Reader
from picard_pilot.diagnosis.catalogue.transfers import BY_KEY, Finer
from picard_pilot.diagnosis.catalogue.words import ACTOR, READERS, RETRY
from picard_pilot.diagnosis.catalogue.words import advice as advice_for
from picard_pilot.server.pages.choice import Choice, address


def values(row: Code | Finer, root: str) -> dict[str, Any]:
    """What the template shows; `root` is the path prefix of the pages."""
    if isinstance(row, Finer):
        return _of_class(row, root)
    classes = [one.key for one in BY_KEY.values() if row.name in one.told_as and not one.reserved]
    facts = [
        ("Who can act", f"{ACTOR[row.blame]} (blame: {row.blame})"),
        ("Retry", RETRY[row.retry]),
        ("Arises in", row.component.value),
        ("Category", f"{row.category.value}, {row.category.label}"),
        ("Exit code", "" if row.shell_exit is None else f"{row.shell_exit}, of a pilot that it stops"),
        ("Kept", "what the payload made: a later pilot can store it" if row.recoverable else ""),
        ("On the wire", f"since {row.since}"),
    ]
    choice = Choice(error=f"{DISPATCHER if row in DISPATCHER_ROWS else PILOT}:{row.number}")
    return {
        **_common(row, root, choice, row.acts, [advice_for(row, reader, row.blame) for reader in Reader]),
        "title": f"{handle(row)} {row.name}",
        "facts": [(name, told) for name, told in facts if told],
        "cli": f"ppilot explain {handle(row)}",
        "links_title": "More exactly it may be",
        "links": [{"says": key, "href": f"{root}/errors/{key}"} for key in classes],
        "before": [_link(name, root) for name in row.symptom_of],
    }


def _of_class(row: Finer, root: str) -> dict[str, Any]:
    usual = BY_NAME[row.told_as[0]]
    advice = [advice_for(row, reader, usual.blame) for reader in Reader]
    return {
        **_common(row, root, Choice(finer=row.key), usual.acts, advice),
        "title": row.key,
        "facts": [("Who can act", f"{ACTOR[usual.blame]}, as a rule"), ("Phase", row.phase.value)],
        "cli": f"ppilot explain {row.key}",
        "links_title": "The server is told of it as",
        "links": [_link(name, root) for name in row.told_as],
        "before": [],
    }


def _common(row: Code | Finer, root: str, choice: Choice, acts: Reader, advice: list[str]) -> dict[str, Any]:
    return {
        "summary": row.summary,
        "causes": row.causes,
        "advice": [
            {"reader": READERS[reader].capitalize(), "says": says, "acts": reader is acts}
            for reader, says in zip(Reader, advice, strict=True)
        ],
        "reserved": row.reserved,
        "jobs_href": address(f"{root}/jobs", choice.query()),
        "errors_href": address(f"{root}/errors", choice.query()),
    }


def _link(name: str, root: str) -> dict[str, str]:
    row = BY_NAME[name]
    return {"says": f"{row.number} {name}", "href": f"{root}/errors/{row.number}"}
