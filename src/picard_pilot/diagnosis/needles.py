"""The plain texts of which a line must hold one for a pattern to match it: a log without any need not be searched.

Looking for a text is a hundred times faster than trying a pattern on each line, and most logs have none of them.
"""

import re
from functools import lru_cache

SHORTEST = 3
"""Characters. A shorter text is in every log."""

_TOKEN = re.compile(
    r"\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?(?:P<\w+>|:|>|=|!|<=|<!)|\(\?|\{\d*,?\d*\}|.",
    re.DOTALL,
)
_SPECIAL = frozenset(".^$*+?{}[]()|\\")
_UNKNOWN_LENGTH = ("(?=", "(?!", "(?<=", "(?<!")

Needles = frozenset[str]


@lru_cache(maxsize=1024)
def needles_of(pattern: str) -> Needles | None:
    """Texts of which each match holds at least one; None where nothing of that kind is known."""
    tokens = _TOKEN.findall(pattern)
    if "(?" in tokens:  # flags, conditions, comments: another language
        return None
    found, _ = _alternatives(tokens, 0)
    return found


def _alternatives(tokens: list[str], at: int) -> tuple[Needles | None, int]:
    """The needles of a group's content that begins at `at`, and where its bracket closes."""
    ways: list[Needles | None] = []
    while True:
        found, at = _sequence(tokens, at)
        ways.append(found)
        if at >= len(tokens) or tokens[at] == ")":
            break
        at += 1
    known = [way for way in ways if way is not None]
    return (frozenset().union(*known) if len(known) == len(ways) else None), at


def _sequence(tokens: list[str], at: int) -> tuple[Needles | None, int]:
    """The best needles of what stands one after the other, up to the next choice or the closing bracket."""
    best: Needles | None = None
    run = ""
    while at < len(tokens) and tokens[at] not in "|)":
        token = tokens[at]
        inner: Needles | None = None
        if token.startswith("("):
            inner, at = _alternatives(tokens, at + 1)
            inner = None if token in _UNKNOWN_LENGTH else inner
        literal = _literal(token)
        least, many, at = _quantity(tokens, at + 1)
        if literal is not None and least:
            run += literal
        if literal is None or many or not least:
            best, run = _better(best, _needle(run)), ""
        if least:
            best = _better(best, inner)
    return _better(best, _needle(run)), at


def _literal(token: str) -> str | None:
    """The character that a token stands for, if it stands for one."""
    if len(token) == 2 and token[0] == "\\" and not token[1].isalnum():
        return token[1]
    return token if len(token) == 1 and token not in _SPECIAL else None


def _quantity(tokens: list[str], at: int) -> tuple[bool, bool, int]:
    """Whether what stands before must be there, whether it may be repeated, and where the next token is."""
    token = tokens[at] if at < len(tokens) else ""
    counted = token.startswith("{") and token != "{"
    if not counted and token not in ("?", "*", "+"):
        return True, False, at
    after = at + 1
    if after < len(tokens) and tokens[after] in ("?", "+"):  # lazy, possessive
        after += 1
    return token not in ("?", "*") and not token.startswith(("{0", "{,")), True, after


def _needle(run: str) -> Needles | None:
    return frozenset((run,)) if len(run) >= SHORTEST else None


def _better(one: Needles | None, other: Needles | None) -> Needles | None:
    """Of two sets the one whose shortest text is longer: it is found less often by accident."""
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda needles: min(map(len, needles)))
