"""Keeping secrets out of text: the patterns, the registered secrets, and a writer that every byte passes.

Which texts are secret is known where they are read (settings, credentials); they are registered here.
"""

import re
from typing import Any, TextIO

HIDDEN = "[redacted]"
SHORTEST_SECRET = 6
"""Characters. A shorter registered secret would tear holes into innocent text; nobody issues such."""
LONGEST_LINE = 64 << 10
"""Characters kept back while waiting for a line's end; a longer line is let through in pieces of this size."""

_SUSPICIOUS_WORDS = (
    *("bearer", "authorization", "eyj", "pass", "secret", "token", "key", "credential", "signature", "mda"),
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
)
_ADDRESS_WITH_USER = re.compile(r"://[^\s/]*@")
"""What a quick look asks for, and nearly all texts have none of: every pattern below needs one of these. Looking for
each word takes a tenth of the time of one pattern for all."""
# A payload writes what it likes: no pattern may look at the same characters again and again. A token's head is
# therefore bounded (it has some hundred characters), and names are tried from the beginning of a word only.
_JWT = re.compile(r"\beyJ[\w-]{8,2000}\.[\w-]{8,}(?:\.[\w-]*)?")
_BEARER = re.compile(r"(\bbearer[\s:=]+)[\w.~+/=-]{12,}", re.IGNORECASE)
_AUTHORIZATION = re.compile(
    r"(\bauthorization[\"']?\s*[:=]\s*[\"']?)(?:[a-z]+[ ]+)?[^\s\"',;]+", re.IGNORECASE
)
_URL_PASSWORD = re.compile(r"(://[^\s/:@]*:)[^\s/@]+(?=@)")
_KNOWN_SHAPES = re.compile(r"\bgh[pousr]_\w{20,}|\bMDA[\w-]{60,}")
"""Tokens of code forges; macaroons."""
_NAMED = re.compile(
    r"""(?<![\w.-])(?=[\w.-]*?(?:
    pass(?:word|wd|phrase)|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|signature))
    ([\w.-]++)([\"']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s&"',;}\])]+)""",
    re.IGNORECASE | re.VERBOSE,
)
_HARMLESS_ENDINGS = ("file", "path", "dir", "name", "url", "count", "limit", "size", "type")
"""A variable whose name ends so holds no secret itself, but where to find one."""
_NO_VALUES = frozenset({"", "null", "none", "true", "false"})
"""What stands where there is no secret."""
_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY-----")


class Redactor:
    """Patterns and registered secrets; one per process, passed to every writer."""

    def __init__(self) -> None:
        self._secrets: list[str] = []

    def register(self, secret: str) -> None:
        """Hide this text from now on wherever it appears, also percent-encoded. Each line of it counts alone."""
        from urllib.parse import quote

        for line in secret.splitlines():
            text = line.strip()
            if len(text) >= SHORTEST_SECRET:
                self._secrets.extend(
                    form
                    for form in {text, quote(text, safe="", errors="surrogateescape")}
                    if form not in self._secrets
                )
        self._secrets.sort(key=len, reverse=True)

    def is_clean(self, text: str) -> bool:
        """Whether one quick look at a whole text finds nothing that could be hidden in any of its lines."""
        return not _is_suspicious(text) and not any(secret in text for secret in self._secrets)

    def text(self, text: str) -> str:
        """The same text with secrets replaced. Private keys are found whole, over several lines."""
        if self.is_clean(text):
            return text
        shown, inside = [], False
        for line in text.splitlines(keepends=True):
            clean, inside = self.line(line, inside)
            shown.append(clean)
        return "".join(shown)

    def document(self, text: str) -> str | None:
        """A JSON text with the secrets in its strings replaced, which is JSON still; None for what is none."""
        import msgspec  # for logs that go away; nothing that is needed to write one

        try:
            clean = msgspec.json.encode(self._value("", msgspec.json.decode(text))).decode()
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return None
        return clean + "\n" if text.endswith("\n") else clean

    def data(self, value: Any) -> Any:
        """Decoded JSON with the secrets in its strings replaced; None for what is nested too deep to be looked at."""
        try:
            return self._value("", value)
        except RecursionError:
            return None

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.text(str(key)): self._value(str(key), item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._value(name, item) for item in value]
        if not isinstance(value, str):
            return value
        found = _NAMED.fullmatch(f'{name}="{value}"') if '"' not in value else _NAMED.match(f"{name}=x")
        return HIDDEN if found and not _is_harmless(name, value) else self.text(value)

    def line(self, line: str, inside_key: bool = False) -> tuple[str, bool]:
        """One line, and whether a private key goes on in the next one."""
        if inside_key:
            end = _PEM_END.search(line)
            if end is None:
                return "", True
            line = line[end.end() :]
        begin = _PEM_BEGIN.search(line)
        if begin is not None:
            end = _PEM_END.search(line, begin.end())
            rest = line[end.end() :] if end else "\n"
            return self._patterns(line[: begin.start()]) + HIDDEN + self._patterns(rest), end is None
        return self._patterns(line), False

    def _patterns(self, line: str) -> str:
        for secret in self._secrets:
            if secret in line:
                line = line.replace(secret, HIDDEN)
        if not _is_suspicious(line):
            return line
        line = _AUTHORIZATION.sub(rf"\1{HIDDEN}", line)
        line = _BEARER.sub(rf"\1{HIDDEN}", line)
        line = _JWT.sub(HIDDEN, line)
        line = _KNOWN_SHAPES.sub(HIDDEN, line)
        line = _URL_PASSWORD.sub(rf"\1{HIDDEN}", line)
        return _NAMED.sub(_hide_value, line) if "=" in line or ":" in line else line


def _hide_value(match: re.Match[str]) -> str:
    name, between, value = match.groups()
    quote = value[0] if value[0] in "\"'" else ""
    if _is_harmless(name, value.strip(quote or None)) or value == HIDDEN[:-1]:
        return match.group()
    if not quote and between[0] == '"':
        quote = '"'  # a number in JSON
    return f"{name}{between}{quote}{HIDDEN}{quote}"


def _is_suspicious(text: str) -> bool:
    lower = text.lower()
    if any(word in lower for word in _SUSPICIOUS_WORDS):
        return True
    return "://" in lower and _ADDRESS_WITH_USER.search(lower) is not None


def _is_harmless(name: str, value: str) -> bool:
    return name.lower().endswith(_HARMLESS_ENDINGS) or value.lower() in _NO_VALUES


class RedactingWriter:
    """A text stream whose lines pass a Redactor before they reach the stream behind it.

    A line waits here until it is whole, since a secret may be written in pieces.
    """

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        self._stream = stream
        self._redactor = redactor
        self._waiting = ""
        self._inside_key = False

    def write(self, text: str) -> int:
        """Take text in and pass on all whole lines. Raises OSError from the stream behind."""
        *lines, self._waiting = (self._waiting + text).split("\n")
        for line in lines:
            self._pass_on(line + "\n")
        if len(self._waiting) > LONGEST_LINE:
            self._pass_on(self._waiting)
            self._waiting = ""
        return len(text)

    def flush(self) -> None:
        """Flush the stream behind; a line that is not whole goes on waiting. Raises OSError."""
        self._stream.flush()

    def close(self) -> None:
        """Pass on what waits and flush; the stream behind stays open. Raises OSError."""
        if self._waiting:
            self._pass_on(self._waiting)
            self._waiting = ""
        self._stream.flush()

    def _pass_on(self, line: str) -> None:
        shown, self._inside_key = self._redactor.line(line, self._inside_key)
        if shown:
            self._stream.write(shown)
