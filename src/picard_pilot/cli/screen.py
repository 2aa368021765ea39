"""How a command talks: the answer on stdout, everything else on stderr.

What is answered is up to each command; exit codes are `cli.exits`.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TextIO

from picard_pilot.cli.exits import CommandTrouble, Exit, UsageTrouble
from picard_pilot.model.trouble import Trouble, nearest

FORMATS = ("table", "wide", "plain", "csv")


class Column(NamedTuple):
    """A column of a table: the field of the row, its heading, whether only `--format wide` shows it.

    `show` turns the value into what people read; scripts get the value itself.
    """

    field: str
    title: str
    wide: bool = False
    show: Callable[[Any], str] | None = None


class Screen:
    """One command's voice. `environ` decides about colour; nothing is read from it later."""

    def __init__(
        self,
        *,
        json: bool = False,
        format: str = "table",
        fields: tuple[str, ...] = (),
        quiet: bool = False,
        verbose: int = 0,
        no_color: bool = False,
        no_input: bool = False,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        if format not in FORMATS:
            raise UsageTrouble(
                f"There is no format {format!r}", "formats: " + ", ".join(FORMATS), "Name one with --format"
            )
        self.json = json
        self.format = format
        self.fields = fields
        self.quiet = quiet
        self.verbose = verbose
        self.no_input = no_input
        self.color = (
            colourful(sys.stdout, environ or {}, no_color) and not json and format in ("table", "wide")
        )

    def say(self, text: str) -> None:
        """Tell people something beside the answer; not with --quiet."""
        if not self.quiet:
            _write(sys.stderr, text)

    def warn(self, text: str) -> None:
        """Tell people something that they need to know."""
        _write(sys.stderr, f"warning: {text}")

    def rows(self, schema: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
        """Answer with a table, or with what `--json`, `--format` and `--fields` ask for instead."""
        if self.fields:
            known = tuple(
                dict.fromkeys(
                    (*(column.field for column in columns), *(name for row in rows for name in row))
                )
            )
            columns = [self._chosen(name, known, columns) for name in self.fields]
            rows = [{name: row.get(name) for name in self.fields} for row in rows]
        if self.json:
            self._document({"schema": schema, "data": list(rows)})
        elif self.format == "csv":
            _csv(
                [column.field for column in columns],
                [[row.get(column.field) for column in columns] for row in rows],
            )
        elif self.format == "plain":
            for row in rows:
                _write(sys.stdout, "\t".join(_plain(row.get(column.field)) for column in columns))
        else:
            shown = [column for column in columns if not column.wide or self.format == "wide" or self.fields]
            _table(
                [column.title for column in shown], [[_cell(row, column) for column in shown] for row in rows]
            )

    def record(self, schema: str, data: Mapping[str, Any], text: str) -> None:
        """Answer with one thing: `text` for people, `data` for scripts."""
        if self.fields:
            known = tuple(data)
            for name in self.fields:
                self._chosen(name, known, ())
            data = {name: data.get(name) for name in self.fields}
        if self.json:
            self._document({"schema": schema, "data": dict(data)})
        elif self.format == "csv":
            _csv(list(data), [list(data.values())])
        elif self.format == "plain" or self.fields:
            for name, value in data.items():
                _write(sys.stdout, f"{name}\t{_plain(value)}")
        else:
            _write(sys.stdout, text)

    def text(self, text: str) -> None:
        """Answer with text that is the same for people and scripts."""
        _write(sys.stdout, text)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Return if the person at the terminal, or `--yes`, agrees.

        Raises UsageTrouble where nobody can be asked, and CommandTrouble (failed) when the answer is no.
        """
        if yes:
            return
        if self.no_input or self.json or not sys.stdin.isatty() or not sys.stderr.isatty():
            raise UsageTrouble(
                "Nothing was done: this needs a yes",
                f"{question} Nobody can be asked here",
                "Repeat it with --yes, or see what it would do with --dry-run",
            )
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise CommandTrouble(
                Exit.FAILED,
                "Nothing was done",
                "the answer was not yes",
                "Repeat the command to be asked again",
            )

    def trouble(self, problem: Trouble, code: Exit) -> None:
        """Tell an error: three lines on stderr, or with --json a document on stdout."""
        if self.json:
            error = {
                "code": int(code),
                "name": code.name.lower(),
                "message": f"{problem.what}: {problem.evidence}",
                "hint": problem.next_step,
            }
            self._document({"error": error})
        else:
            # It may quote what others wrote.
            _write(sys.stderr, "\n".join(map(clean, f"error: {problem}".split("\n"))))

    def paint(self, text: str, colour: str) -> str:
        """`text` in a colour (red, green, yellow, blue, grey), where colours are wanted."""
        return f"\033[{_COLOURS[colour]}m{text}\033[0m" if self.color else text

    def _chosen(self, name: str, known: tuple[str, ...], columns: Sequence[Column]) -> Column:
        if name not in known:
            near = nearest(name, known)
            raise UsageTrouble(
                f"There is no field {name!r}",
                "nearest: " + ", ".join(near) if near else "fields: " + ", ".join(known),
                "Name fields that are there with --fields",
            )
        return next((column for column in columns if column.field == name), Column(name, name.upper()))

    def _document(self, document: object) -> None:
        import msgspec

        try:
            text = msgspec.json.encode(document).decode("utf-8")
        except UnicodeEncodeError:  # the name of a file, which may be any bytes
            text = msgspec.json.encode(_as_text(document)).decode("utf-8")
        _write(sys.stdout, text)


def _as_text(value: object) -> object:
    """The same with an escape for what JSON cannot hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_as_text(name): _as_text(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_text(item) for item in value]
    return value


_COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "grey": "90"}


def colourful(stream: TextIO, environ: Mapping[str, str], no_color: bool) -> bool:
    """Whether to colour what goes to `stream`: on a terminal, unless NO_COLOR, TERM=dumb or the flag forbid it."""
    if no_color or environ.get("NO_COLOR"):
        return False
    if environ.get("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    return stream.isatty() and environ.get("TERM") != "dumb"


def clean(text: str) -> str:
    """`text` with control characters made visible: what others wrote must not steer a terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _write(stream: TextIO, text: str) -> None:
    text = text if text.endswith("\n") else text + "\n"
    try:
        stream.write(text)
    except UnicodeEncodeError:  # the stream's encoding, such as ASCII, does not have all of it
        encoding = stream.encoding or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ",".join(_plain(item) for item in value)
    if isinstance(value, (dict,)):
        import msgspec

        return msgspec.json.encode(value).decode("utf-8")
    return clean(str(value))


def _cell(row: Mapping[str, Any], column: Column) -> str:
    value = row.get(column.field)
    if column.show is None:
        return _plain(value)
    return column.show(value)


def _csv(names: list[str], rows: list[list[Any]]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[_plain(value) for value in row] for row in rows])


def _table(titles: list[str], rows: list[list[str]]) -> None:
    """Columns of equal width, two blanks between them; the last one is not padded."""
    widths = [max(_width(line[place]) for line in (titles, *rows)) for place in range(len(titles))]
    for line in (titles, *rows):
        padded = (text + " " * (width - _width(text)) for text, width in zip(line, widths, strict=True))
        _write(sys.stdout, "  ".join(padded).rstrip())


def _width(text: str) -> int:
    """How many places `text` takes, colours not counted."""
    if "\033" not in text:
        return len(text)
    import re

    return len(re.sub(r"\033\[[0-9;]*m", "", text))
