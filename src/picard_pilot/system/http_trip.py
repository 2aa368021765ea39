"""One request of a transfer by http on its way: through redirects, over resumed connections, to its answer.

What sends it is `http_transfer`.
"""

from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from picard_pilot.model.transfer import StorageAccess
from picard_pilot.system.http import Trouble
from picard_pilot.system.http_pool import origin_of
from picard_pilot.system.http_proxies import is_loopback, is_private
from picard_pilot.system.http_wire import Waiting, number_of
from picard_pilot.system.unsaid import Unsaid

READ_LIMIT_S = 30.0
"""Without one byte for so long a server hangs: half of what the pilot waits before it kills the whole worker."""
RESUMES_LIMIT = 5
"""How often one download goes on after a cut; each time bytes must have come, or it is the last."""


class TransferTrouble(Exception):
    """No usable answer came. The text holds no token and no query; `reached_bytes` is how far the file got.

    `trouble` is one of `system.http`'s words, or `changed` (the file was replaced while it was read) or `redirect`
    (it leads in circles or away from http).
    """

    def __init__(
        self, trouble: Trouble | str, evidence: str, *, where: str, reached_bytes: int, origin: str
    ) -> None:
        super().__init__(f"{trouble}: {evidence} ({where})")
        self.trouble = trouble
        self.evidence = evidence
        self.where = where
        self.reached_bytes = reached_bytes
        self.origin = origin
        """Scheme, host and port of the server that it happened with, which a redirect may have named."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a server said in the end, after all redirects, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    url: str
    """Whose answer it is, without the query."""
    body: bytes = b""
    """Of a short answer, its beginning."""
    says: str = ""
    """The first words of a refusal for people, without tags, tokens and queries."""

    @property
    def size_bytes(self) -> int | None:
        """The size of the whole file, from Content-Range or Content-Length."""
        total = self.headers.get("content-range", "").rpartition("/")[2]
        if not total and "transfer-encoding" in self.headers:
            return None  # a length beside chunks means nothing (RFC 9112, 6.3)
        return number_of(total or self.headers.get("content-length", ""))


class Body(Protocol):
    """A file to send. It may be asked to begin again, after a redirect or on a connection that was stale."""

    size_bytes: int

    def rewind(self) -> None: ...
    def read_into(self, block: memoryview, /) -> int: ...


class Bytes:
    """A short body that is in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0
        self.size_bytes = len(data)

    def rewind(self) -> None:
        self._at = 0

    def read_into(self, block: memoryview, /) -> int:
        piece = self._data[self._at : self._at + len(block)]
        block[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


class Trip:
    """One request on its way through redirects."""

    def __init__(
        self, method: str, url: str, access: StorageAccess, headers: dict[str, str], body: Body | None
    ) -> None:
        self.method = method
        self.url = url
        self.access = access
        self.headers = headers
        self.body = body
        self.repeatable = method != "MOVE"
        """A second MOVE would miss what the first one moved."""
        self.patience_s = READ_LIMIT_S
        self.waiting: Waiting | None = None
        self.sent = False
        self.body_sent_bytes = 0
        self.reached_bytes = 0
        self._urls = [url]

    def begin(self) -> None:
        """Before it is sent, for the first time or again."""
        self.sent = False
        self.body_sent_bytes = 0
        if self.body is not None:
            self.body.rewind()

    def follow(self, url: str) -> None:
        """Sent on to another address."""
        self.url = url
        self._urls.append(url)

    def unsaid(self) -> Unsaid:
        """What an error page might quote back."""
        return Unsaid(self._urls, self.access.token)

    @property
    def goes_alone(self) -> bool:
        """Over a connection of its own: XRootD's door (5.5.3) breaks down as a whole when one that has asked for a
        checksum is used for a PUT."""
        return "Want-Digest" in self.headers

    @property
    def may_show_token(self) -> bool:
        """Only to the server that it is meant for, as long as no other one said where to go, and never in the clear
        but on this machine."""
        origin = origin_of(self.url)
        if any(origin_of(url) != origin for url in self._urls):
            return False
        return origin.startswith("https:") or is_loopback(_host(origin))

    def may_follow(self, url: str) -> bool:
        """Whether another machine may send us there: not to what listens on this one, or on its own network only."""
        here, there = _host(origin_of(self.url)), _host(origin_of(url))
        return is_loopback(here) or not is_private(there)


class Incoming:
    """A file on its way down, perhaps over several connections."""

    def __init__(self, begin: Callable[[Answer], None], write: Callable[[memoryview], None]) -> None:
        self.at = 0
        self.write = write
        self._begin = begin
        self._first: Answer | None = None
        self._resumes = 0

    def range_headers(self) -> dict[str, str]:
        """What asks for the rest, of the same file only."""
        if not self.at or self._first is None:
            return {}
        same = self._same_file(self._first)
        return {"Range": f"bytes={self.at}-", **({"If-Range": same} if same else {})}

    def refuses(self, answer: Answer) -> str | None:
        """Why these bytes cannot be written behind those that came before; None where they can."""
        if self._first is None:
            self._begin(answer)
            self._first = answer
            return None
        if not self.at:
            before, now = self._first.size_bytes, answer.size_bytes
            return None if before == now else f"it had {before} bytes before and has {now} now"
        if answer.status == 200:
            return f"the server did not go on after {self.at} bytes, it began again"
        if self._same_file(answer) != self._same_file(self._first):
            return "it is another file now"
        part, _, total = answer.headers.get("content-range", "").removeprefix("bytes ").partition("/")
        if part.partition("-")[0].strip() != str(self.at):
            return f"the server went on at another place than asked for, {self.at}"
        if total not in ("*", str(self._first.size_bytes)):
            return f"it had {self._first.size_bytes} bytes before and has {total} now"
        return None

    @property
    def missing_bytes(self) -> int:
        """What is not there of the announced file: a server may answer a question for the rest with less than that."""
        size_bytes = self._first.size_bytes if self._first is not None else None
        return 0 if size_bytes is None else size_bytes - self.at

    def may_go_on(self, trouble: TransferTrouble, gained_bytes: int, may_resume: bool) -> bool:
        """Whether the rest should be asked for, after so many new bytes and this end."""
        self._resumes += 1
        return (
            self._first is not None
            and trouble.trouble in ("truncated", "reset")
            and gained_bytes > 0
            and self._resumes <= RESUMES_LIMIT
            and (may_resume or self._same_file(self._first) is not None)
        )

    @staticmethod
    def _same_file(answer: Answer) -> str | None:
        """What a server calls this very content; None where it calls it nothing."""
        tag = answer.headers.get("etag", "")
        # A weak tag means "as good as the same", which is not enough to glue halves together.
        name = tag if tag.startswith('"') else answer.headers.get("last-modified")
        return name if name and name.isprintable() else None


def _host(origin: str) -> str:
    return urlsplit(origin).hostname or ""
