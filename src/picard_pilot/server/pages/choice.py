"""Which jobs a page is about, as its address says it: a choice can be sent to somebody, and each count links to one.

The same words serve the pages of errors and of jobs. What is counted is the server's (`server.errors`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import msgspec

from picard_pilot.server.errors import ErrorFilter
from picard_pilot.server.pages.cost import EVERYTHING, SPANS

_ERROR = re.compile(r"(?:([a-z]{1,12}):)?(-?\d{1,10})")

_LABELS = {
    "error": "error", "fp": "fingerprint", "finer": "transfer", "endpoint": "storage", "queue": "queue",
    "owner": "owner", "node": "node",
}  # fmt: skip
"""The words of the address that choose, and how they are called on the page."""


class BadChoice(ValueError):
    """An address that chooses nothing that there could be; the text says which of its words, and what it may be."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What the address asks for; None: whatever it is."""

    span: str = EVERYTHING
    error: str | None = None
    """`1305`, or with whose number it is `pilot:1305`."""
    fp: str | None = None
    finer: str | None = None
    endpoint: str | None = None
    queue: str | None = None
    owner: str | None = None
    node: str | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Choice:
        """From the address. Raises BadChoice."""
        span = query.get("span", EVERYTHING)
        words = [word for word, _, _ in SPANS]
        if span not in words:
            raise BadChoice(f"span is {span!r}; choose one of {', '.join(words)}")
        error = query.get("error") or None
        if error is not None and _ERROR.fullmatch(error) is None:
            raise BadChoice(f"error is {error!r}; write it as 1305 or pilot:1305")
        chosen = {name: query.get(name) or None for name in _LABELS if name != "error"}
        return cls(span=span, error=error, **chosen)

    def filter(self, now: datetime) -> ErrorFilter:
        """The same for the server's counts."""
        component, code = self._cause()
        return ErrorFilter(
            since=self.since(now),
            queue=self.queue,
            owner=self.owner,
            host=self.node,
            component=component,
            code=code,
            fingerprint=self.fp,
            finer=self.finer,
            endpoint=self.endpoint,
        )

    def since(self, now: datetime) -> datetime | None:
        """When the span began."""
        seconds = next(seconds for word, _, seconds in SPANS if word == self.span)
        return None if seconds is None else now - timedelta(seconds=seconds)

    def query(self, **changes: str | None) -> str:
        """The address's query, with changes; empty for everything."""
        pairs: dict[str, str | None] = {**msgspec.structs.asdict(self), **changes}
        if pairs["span"] == EVERYTHING:
            del pairs["span"]
        return urlencode({name: value for name, value in pairs.items() if value})

    def chosen(self) -> list[tuple[str, str, str]]:
        """What narrows it, time apart: the address's word, what it is called, its value."""
        told = ((name, label, getattr(self, name)) for name, label in _LABELS.items())
        return [(name, label, value) for name, label, value in told if value]

    def _cause(self) -> tuple[str | None, int | None]:
        match = _ERROR.fullmatch(self.error or "")
        return (None, None) if match is None else (match[1], int(match[2]))


def address(path: str, query: str) -> str:
    """Path and query as one."""
    return f"{path}?{query}" if query else path


def now() -> datetime:
    """The present moment, from which spans are counted back."""
    return datetime.now(UTC)
