"""The page of where slot time went: by phase, by what it was lost to, by attempt, and what was saved.

The sums are the server's (`server.costs`); here they become rows with words.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec

from picard_pilot.diagnosis.catalogue.dispatcher import handle, row_of
from picard_pilot.model.cost import COSTLY
from picard_pilot.server.costs import CostFilter, CostSummary, Part
from picard_pilot.server.pages import words

SPANS: tuple[tuple[str, str, float | None], ...] = (
    ("1h", "last hour", 3600.0),
    ("1d", "last day", 86400.0),
    ("7d", "last week", 7 * 86400.0),
    ("all", "all", None),
)
"""How far back to look: the word in the address, the words on the page, seconds."""

EVERYTHING = "all"

_SAVED = {
    "recovery": "a later pilot went on with what another had left",
    "alternative": "an output went to an alternative storage",
}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the address asks for."""

    span: str = EVERYTHING
    queue: str | None = None
    owner: str | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Wanted | None:
        """From the address; None for a span that there is not."""
        span = query.get("span", EVERYTHING)
        if span not in {word for word, _, _ in SPANS}:
            return None
        return cls(span=span, queue=query.get("queue") or None, owner=query.get("owner") or None)

    def filter(self, now: datetime) -> CostFilter:
        """The same for the server's sums."""
        seconds = next(seconds for word, _, seconds in SPANS if word == self.span)
        since = None if seconds is None else now - timedelta(seconds=seconds)
        return CostFilter(since=since, queue=self.queue, owner=self.owner)

    def query(self, **changes: str) -> str:
        """The address's query, with changes."""
        pairs = {"span": self.span, "queue": self.queue, "owner": self.owner, **changes}
        return urlencode({name: value for name, value in pairs.items() if value})


def values(found: CostSummary, wanted: Wanted, root: str) -> dict[str, Any]:
    """All that the template is given."""
    total = found.good.total_s + found.lost.total_s
    return {
        "spans": [
            {"says": says, "href": f"{root}/cost?{wanted.query(span=word)}", "chosen": word == wanted.span}
            for word, says, _ in SPANS
        ],
        "only": [f"queue {wanted.queue}"] * bool(wanted.queue)
        + [f"owner {wanted.owner}"] * bool(wanted.owner),
        "attempts_in_all": found.good.jobs + found.lost.jobs,
        "total": words.duration(total),
        "good": words.duration(found.good.total_s),
        "lost": words.duration(found.lost.total_s),
        "lost_percent": _percent(found.lost.total_s, total),
        "phases": [
            {
                "name": phase.value,
                "good": words.duration(found.good.core_s.get(phase, 0.0)),
                "lost": words.duration(found.lost.core_s.get(phase, 0.0)),
                "percent": _percent(
                    found.good.core_s.get(phase, 0.0) + found.lost.core_s.get(phase, 0.0), total
                ),
            }
            for phase in COSTLY
        ],
        "causes": [
            {
                "code": cause.code or None,
                "name": cause.name,
                "blame": cause.blame,
                "href": None if row is None else f"{root}/errors/{handle(row)}",
                **_part(cause.part, total),
            }
            for cause in found.causes
            for row in (row_of(cause.component, cause.code),)
        ],
        "blames": [{"blame": blame, **_part(part, total)} for blame, part in found.blames.items()],
        "attempts": [
            {
                "number": one.number,
                "jobs": one.good.jobs + one.lost.jobs,
                "good": words.duration(one.good.total_s),
                "lost": words.duration(one.lost.total_s),
            }
            for one in found.attempts
        ],
        "saved": [
            {"how": _SAVED[one.by], "jobs": words.count(one.jobs, "job"), "spent": words.duration(one.core_s)}
            for one in found.saved
        ],
        "spared": words.count(found.spared, "request") if found.spared else None,
        "by_server": words.count(found.told_by_server, "attempt") if found.told_by_server else None,
    }


def now() -> datetime:
    """The present moment, from which spans are counted back."""
    return datetime.now(UTC)


def _part(part: Part, total: float) -> dict[str, Any]:
    return {
        "jobs": part.jobs,
        "core": words.duration(part.total_s),
        "cpu": words.duration(part.cpu_s),
        "moved": f"{words.size(part.bytes_in)}, {words.size(part.bytes_out)}",
        "percent": _percent(part.total_s, total),
    }


def _percent(part: float, total: float) -> float:
    return round(100 * part / total, 1) if total > 0 else 0.0
