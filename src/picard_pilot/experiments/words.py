"""From a line of parameters to an argument vector, as a shell would split it but without a shell.

Quotes and backslashes mean what they mean to a shell; whatever would make one do something is refused.
"""

import re

MAX_LINE_BYTES = 2 << 20
"""The kernel takes about 2 MiB of arguments and environment together (a quarter of the usual 8 MiB stack)."""

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<plain>[^ \t\r\n'\"\\;|&<>`$]+)"
    r"|(?P<single>'[^']*')"
    r'|(?P<double>"(?:[^"\\]|\\.)*")'
    r"|(?P<escaped>\\.)"
    r"|(?P<operator>[;|&<>`]|\$\()"
    r"|(?P<dollar>\$)",
    re.DOTALL,
)
_SUBSTITUTION = re.compile(r"(?<!\\)(?:\\\\)*(`|\$\()")
_ESCAPED_IN_DOUBLE = re.compile(r'\\(["\\$`\n])')
_SURROGATE = re.compile("[\ud800-\udfff]")
"""Halves of characters cannot be written into an argument."""
_SHOWN_CHARACTERS = 40
"""How much of the line is shown around what is wrong with it."""


class LineError(ValueError):
    """The line cannot be split; the text says why and shows the place."""


def split(line: str) -> tuple[str, ...]:
    """The words of `line`. Raises LineError for NUL bytes, open quotes and unquoted shell operators."""
    if len(line) > MAX_LINE_BYTES:
        raise LineError(
            f"it has {len(line)} characters, more than the {MAX_LINE_BYTES} that a program can be given"
        )
    if "\0" in line:
        raise LineError(f"it holds a NUL byte at character {line.index(chr(0)) + 1}")
    if bad := _SURROGATE.search(line):
        raise LineError(f"it holds half a character at character {bad.start() + 1}")
    words: list[str] = []
    parts: list[str] | None = None
    position = 0
    while position < len(line):
        token = _TOKEN.match(line, position)
        if token is None:
            raise LineError(f"it has a quote or backslash that is never closed: {_shown(line, position)}")
        if token.lastgroup == "space":
            if parts is not None:
                words.append("".join(parts))
            parts = None
        else:
            parts = [] if parts is None else parts
            parts.append(_meaning(token, line))
        position = token.end()
    if parts is not None:
        words.append("".join(parts))
    return tuple(words)


def _meaning(token: re.Match[str], line: str) -> str:
    """The text that a token stands for. Raises LineError for one that only a shell could obey."""
    text = token[0]
    match token.lastgroup:
        case "single":
            return text[1:-1]
        case "escaped":
            return "" if text[1] == "\n" else text[1]
        case "double":
            if found := _SUBSTITUTION.search(text):
                raise LineError(
                    f"it has the shell's {found[1]} in it: {_shown(line, token.start() + found.start(1))}"
                )
            return _ESCAPED_IN_DOUBLE.sub(lambda match: "" if match[1] == "\n" else match[1], text[1:-1])
        case "operator":
            raise LineError(f"it has the shell's {text} in it: {_shown(line, token.start())}")
    return text


def _shown(line: str, position: int) -> str:
    """The part of `line` that begins a little before `position`, safe to print."""
    start = max(0, position - _SHOWN_CHARACTERS // 2)
    part = line[start : start + _SHOWN_CHARACTERS]
    return (
        ("..." if start else "") + repr(part)[1:-1] + ("..." if start + _SHOWN_CHARACTERS < len(line) else "")
    )
