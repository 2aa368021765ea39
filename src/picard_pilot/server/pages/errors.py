"""The page of what jobs fail of: over time, by number, unknown ones by fingerprint, transfers by class and storage.

The counts are the server's (`server.errors`); here they become rows with words, each count a link to its jobs.
"""

from __future__ import annotations

from typing import Any

import msgspec
from markupsafe import Markup

from picard_pilot.diagnosis.catalogue.dispatcher import handle, row_of
from picard_pilot.diagnosis.catalogue.row import Category
from picard_pilot.diagnosis.catalogue.transfers import BY_KEY
from picard_pilot.server.errors import CodeCount, Counted, ErrorSummary, GroupCount, Same, TransferCount
from picard_pilot.server.pages import choice, error_bars, words
from picard_pilot.server.pages.choice import Choice
from picard_pilot.server.pages.cost import EVERYTHING, SPANS
from picard_pilot.server.pages.sentences import same_failures

SAMPLE_CHARACTERS = 200
"""Of what a job said, in a table."""

_WHOSE = {
    "pilot": "", "exe": "payload's own", "ddm": "registration", "dispatcher": "server", "sup": "worker",
    "payload": "exit status", "none": "no reason told",
}  # fmt: skip
"""Whose number it is, in words; the pilot's are the catalogue's."""


def values(found: ErrorSummary, wanted: Choice, root: str, now_s: float) -> dict[str, Any]:
    """All that the template is given."""
    names = {f"{each.component}:{each.code}": _name(each) for each in found.codes}
    return {
        "spans": [
            {"says": says, "href": _errors(root, wanted, span=word), "chosen": word == wanted.span}
            for word, says, _ in SPANS
        ],
        "chips": chips(wanted, f"{root}/errors"),
        "jobs": found.jobs,
        "jobs_href": _jobs(root, wanted),
        "says": f"{words.count(found.jobs, 'job')} failed, on {words.count(found.nodes, 'node')}",
        "drawing": Markup(error_bars.draw(found.slots, found.step_s, now_s, names)),
        "keys": [
            {"number": kind.number, "says": f"{names.get(kind.key, kind.key)}: {kind.jobs}"}
            for kind in error_bars.kinds(found.slots)
        ],
        "step": words.duration(found.step_s),
        "codes": [_code(each, wanted, root) for each in found.codes],
        "groups": [_group(each, wanted, root) for each in found.groups],
        "transfers": [_transfer(each, wanted, root) for each in found.transfers],
        "cli": "ppilot errors unknown",
    }


def chips(wanted: Choice, path: str, state: str | None = None) -> list[dict[str, str]]:
    """What narrows the page, each with the address of the page without it."""
    front = "" if state in (None, "all") else f"state={state}"
    found = []
    for name, label, value in wanted.chosen():
        query = "&".join(filter(None, (front, wanted.query(**{name: None}))))
        found.append({"says": f"{label} {value}", "href": choice.address(path, query)})
    if state is not None and wanted.span != EVERYTHING:
        says = next(says for word, says, _ in SPANS if word == wanted.span)
        query = "&".join(filter(None, (front, wanted.query(span=EVERYTHING))))
        found.append({"says": says, "href": choice.address(path, query)})
    return found


def same(found: Same, root: str) -> dict[str, str]:
    """How often jobs failed of the same as one did, and the address of them all."""
    alike = Choice(
        error=f"{found.component}:{found.code}",
        fp=found.fingerprint,
        finer=found.finer,
        endpoint=found.endpoint,
    )
    return {
        "says": same_failures(found),
        "href": _errors(root, alike),
        "fingerprint": found.fingerprint or "",
    }


def data(found: ErrorSummary, wanted: Choice) -> dict[str, Any]:
    """The same for programs."""
    plain: dict[str, Any] = msgspec.to_builtins(found)
    return {"schema": "ppilot.errors/1", "data": {"choice": msgspec.to_builtins(wanted), **plain}}


def _code(each: CodeCount, wanted: Choice, root: str) -> dict[str, Any]:
    key, row = f"{each.component}:{each.code}", row_of(each.component, each.code)
    return {
        **_counts(each, wanted, root, error=key),
        "id": f"code-{each.component}-{each.code}",
        "name": _name(each),
        "href": _errors(root, wanted, error=key),
        "explained": None if row is None else f"{root}/errors/{handle(row)}",
        "category": None if each.category is None else Category(each.category).label,
        "blame": each.blame or words.UNKNOWN,
        "sample": words.shorten(" ".join(each.sample.split()), SAMPLE_CHARACTERS),
    }


def _group(each: GroupCount, wanted: Choice, root: str) -> dict[str, Any]:
    return {
        **_counts(each, wanted, root, fp=each.fingerprint, error=f"{each.component}:{each.code}"),
        "id": f"group-{each.fingerprint.partition(':')[2]}-{each.code}",
        "fingerprint": each.fingerprint,
        "href": _errors(root, wanted, fp=each.fingerprint),
        "name": _name(each),
        "text": each.text or "what it stands for was not told",
        "sample": each.sample,
        "file": each.file or "the log",
    }


def _transfer(each: TransferCount, wanted: Choice, root: str) -> dict[str, Any]:
    phase, _, kind = each.finer.partition("/")
    chosen = {"finer": each.finer, "endpoint": each.endpoint}
    return {
        **_counts(each, wanted, root, **chosen, error=f"{each.component}:{each.code}"),
        "id": f"transfer-{each.last_job_id}",
        "kind": f"{ {'stagein': 'stage-in', 'stageout': 'stage-out'}.get(phase, phase) }: {kind or phase}",
        "endpoint": each.endpoint or "no storage named",
        "explained": f"{root}/errors/{each.finer}" if each.finer in BY_KEY else None,
        "href": _errors(root, wanted, **chosen),
        "name": _name(each),
        "sample": words.shorten(" ".join(each.sample.split()), SAMPLE_CHARACTERS),
    }


def _counts(each: Counted, wanted: Choice, root: str, **chosen: str | None) -> dict[str, Any]:
    return {
        "jobs": each.jobs,
        "jobs_href": _jobs(root, wanted, **chosen),
        "nodes": each.nodes,
        "users": each.users,
        "queues": each.queues,
        "first_s": each.first_at.timestamp(),
        "last_s": each.last_at.timestamp(),
        "last_job": each.last_job_id,
        "last_href": f"{root}/jobs/{each.last_job_id}",
    }


def _name(each: Counted) -> str:
    """`1305 PAYLOADEXECUTIONFAILURE`, `exit status 7`, `no reason told`."""
    whose = _WHOSE.get(each.component, each.component)
    number = "" if each.component == "none" else str(each.code)
    return " ".join(filter(None, (whose, number, each.name)))


def _errors(root: str, wanted: Choice, **changes: str | None) -> str:
    return choice.address(f"{root}/errors", wanted.query(**changes))


def _jobs(root: str, wanted: Choice, **changes: str | None) -> str:
    query = wanted.query(**changes)
    return f"{root}/jobs?state=failed{'&' if query else ''}{query}"
