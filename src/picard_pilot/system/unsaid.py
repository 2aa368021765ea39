"""What is secret in a request to a storage, and its removal from whatever storages, programs and libraries say of it.

Secrets that are known by their form alone, and the log's own writer, are `redact`.
"""

from collections.abc import Iterable
from urllib.parse import unquote

from picard_pilot.system.redact import HIDDEN

SHORTEST_SECRET = 8
"""Characters. A shorter value of an address is a word such as `GET` or `us-east`, no signature."""

PIECE_CHARACTERS = 16
"""So long a piece of a secret is one as well: what is quoted is often cut. Twice as long a one is always found."""


class Unsaid:
    """The secrets of some requests: a token, values in the queries of addresses, passwords."""

    def __init__(self, urls: Iterable[str], token: str | None = None) -> None:
        found = {token} if token else set()
        self._queries = set()
        for url in urls:
            found |= secrets_of(url)
            query = url.partition("?")[2]
            if "=" in query:
                self._queries.add(query)
        self._secrets = sorted(found, key=len, reverse=True)
        self._pieces: frozenset[str] | None = None

    def text(self, said: str) -> str:
        """The same text without them, and without longer pieces of them."""
        for query in self._queries:
            said = said.replace(query, "...")
        for secret in self._secrets:
            said = said.replace(secret, HIDDEN)
        return self._without_pieces(said) if self._secrets and len(said) >= PIECE_CHARACTERS else said

    def _without_pieces(self, said: str) -> str:
        pieces = self._all_pieces()
        shown: list[str] = []
        begin = at = 0
        while at <= len(said) - PIECE_CHARACTERS:
            if said[at : at + PIECE_CHARACTERS] not in pieces:
                at += PIECE_CHARACTERS
                continue
            first, last = at, at
            while first > begin and said[first - 1 : first - 1 + PIECE_CHARACTERS] in pieces:
                first -= 1
            while said[last + 1 : last + 1 + PIECE_CHARACTERS] in pieces:
                last += 1
            shown += [said[begin:first], HIDDEN]
            begin = at = last + PIECE_CHARACTERS
        return "".join([*shown, said[begin:]])

    def _all_pieces(self) -> frozenset[str]:
        if self._pieces is None:
            self._pieces = frozenset(
                secret[at : at + PIECE_CHARACTERS]
                for secret in self._secrets
                for at in range(len(secret) - PIECE_CHARACTERS + 1)
            )
        return self._pieces


def secrets_of(url: str) -> set[str]:
    """The values in an address' query, coded and plain, and its password. What its path says too is no secret."""
    address, _, query = url.partition("?")
    path = address.partition("://")[2].partition("/")[2]
    values = [part.rpartition("=")[2] for part in query.split("&")]
    values.append(password_of(address) or "")
    forms = {form for value in values for form in (value, unquote(value))}
    return {form for form in forms if len(form) >= SHORTEST_SECRET and form not in path}


def password_of(url: str) -> str | None:
    """The password between an address' user and its host; None without one."""
    host = url.partition("://")[2].partition("/")[0].partition("?")[0]
    user, at, _ = host.rpartition("@")
    return (user.partition(":")[2] or None) if at else None
