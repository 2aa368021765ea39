"""What a command is made of, and its parser: flags from the options table, help, and errors that suggest.

What each command does is in the file of its noun; the order of things is `cli.main`.
"""

import argparse
import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, NoReturn

from picard_pilot.cli.exits import UsageTrouble
from picard_pilot.cli.screen import Screen
from picard_pilot.model.trouble import nearest
from picard_pilot.settings.option import Kind, Option
from picard_pilot.settings.read import Reading, read
from picard_pilot.settings.settings import Settings
from picard_pilot.settings.values import written

Configure = Callable[["Parser"], None]


class Call(NamedTuple):
    """One call of a command: what its flags gave, its voice, and all settings with their origins.

    The settings are the defaults for a command that does not need them.
    """

    args: argparse.Namespace
    screen: Screen
    reading: Reading

    @property
    def settings(self) -> Settings:
        """The values of the settings."""
        return self.reading.settings


Act = Callable[[Call], int]


class Verb(NamedTuple):
    """One thing that can be done: what it does in one line, real examples, its flags, and the doing.

    `agent` marks the pilot itself, whose stdout and exit codes are for wrappers.
    """

    help: str
    examples: tuple[str, ...]
    configure: Configure
    act: Act
    takes: str = ""
    """What stands behind the verb, as the first line of its help shows it."""
    see_also: str = "ppilot help exit-codes"
    agent: bool = False
    needs_settings: bool = True
    """False for the few commands that must work however broken the settings file is."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are three lines and name the nearest flag."""

    def __init__(self, prog: str, **more: Any) -> None:
        more.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(prog=prog, add_help=False, allow_abbrev=False, **more)

    takes_command = False
    """Whether `--` begins a command of the user's."""

    def error(self, message: str) -> NoReturn:
        """Raises UsageTrouble."""
        raise UsageTrouble(
            f"{self.prog}: the command line is not understood",
            message,
            f"`{self.prog} --help` shows what it takes",
        )

    def parse_all(self, words: list[str]) -> argparse.Namespace:
        """Parse `words`. Raises UsageTrouble, with the nearest flag for one that is unknown.

        What stands behind `--` is a command of the user's, if this verb takes one: `behind_dashes` is the whole of
        it, or None without `--`.
        """
        behind: list[str] | None = None
        if self.takes_command and "--" in words:
            place = words.index("--")
            words, behind = words[:place], words[place + 1 :]
        args, left = self.parse_known_args(words)
        args.behind_dashes = behind
        if not left:
            return args
        unknown = left[0].partition("=")[0]
        near = nearest(unknown, self.flags()) if unknown.startswith("-") else ()
        raise UsageTrouble(
            f"{self.prog}: {unknown!r} is not understood",
            f"nearest: {', '.join(near)}"
            if near
            else f"it is left over after {self.prog} took what it knows",
            f"`{self.prog} --help` shows what it takes",
        )

    def flags(self) -> tuple[str, ...]:
        """All flags of this parser that help shows."""
        shown = (action for action in self._actions if action.help != argparse.SUPPRESS)
        return tuple(flag for action in shown for flag in action.option_strings)


def build(prog: str, verb: Verb) -> Parser:
    """The parser of one verb."""
    examples = "".join(f"\n  {line}" for line in verb.examples)
    parser = Parser(
        prog,
        usage=f"{prog} {verb.takes} [flags]" if verb.takes else f"{prog} [flags]",
        description=f"{verb.help[0].upper()}{verb.help[1:]}.\n\nexamples:{examples}",
        epilog=_epilog(verb),
    )
    verb.configure(parser)
    common = parser.add_argument_group("all commands")
    common.add_argument("-h", "--help", action="help", help="show this help")
    common.add_argument("--config", metavar="FILE", help="settings file [PICARD_CONFIG]")
    common.add_argument("--no-color", action="store_true", help="no colours, even on a terminal [NO_COLOR]")
    common.add_argument("--quiet", action="store_true", help="say only what was asked for")
    if verb.agent:
        return parser
    common.add_argument("--json", action="store_true", help="answer with one JSON document")
    common.add_argument(
        "--format",
        dest="client_format",
        metavar="FORMAT",
        help="table, wide, plain or csv [PICARD_CLIENT_FORMAT]",
    )
    common.add_argument("--fields", metavar="A,B", help="only these fields, in this order")
    common.add_argument("--no-input", action="store_true", help="never ask")
    common.add_argument("-v", "--verbose", action="count", default=0, help="say more; twice: with tracebacks")
    return parser


def _epilog(verb: Verb) -> str:
    codes = (
        "exit codes: those that batch wrappers and Harvester know, never 1 or 2 (ppilot help exit-codes)"
        if verb.agent
        else "exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 problems found, 5 not allowed, 6 no server,\n"
        "  7 timed out, 8 conflict (ppilot help exit-codes)"
    )
    return f"environment: the variables in brackets (ppilot help environment)\n{codes}\nsee also: {verb.see_also}"


def add_options(
    parser: argparse.ArgumentParser, options: Iterable[Option], *, old_flags: bool = False
) -> None:
    """Add the flags of `options`, grouped as in the table; with `old_flags` also those of today's pilot."""
    groups: dict[str, argparse._ArgumentGroup] = {}
    options = tuple(options)
    parser.set_defaults(options_taken=tuple(option.name for option in options))
    for option in options:
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group)
        _add(groups[option.group], option, old_flags)


def _add(group: argparse._ArgumentGroup, option: Option, old_flags: bool) -> None:
    default = written(option.default, option.kind)
    shown = "; ".join(part for part in (option.variable, default and f"default {default}") if part)
    more: dict[str, Any] = {
        "dest": option.name,
        "default": None,
        "help": f"{option.help} [{shown}]".replace("%", "%%"),
    }
    hidden = {**more, "help": argparse.SUPPRESS}
    if option.kind is Kind.YES_NO:
        # Today's pilot wants a word behind --cleanup; people write the flag alone.
        more["const"] = "yes"
        more |= {"nargs": "?", "metavar": "yes|no"} if old_flags else {"action": "store_const"}
        group.add_argument(*option.flags, **more)
        assert option.no_flag is not None
        group.add_argument(option.no_flag, action="store_const", const="no", **hidden)
        return
    more.update(metavar=option.metavar, action="append" if option.kind is Kind.LIST else "store")
    group.add_argument(*option.flags, **more)
    if old_flags and option.pilot3:
        hidden.update(action=more["action"])
        group.add_argument(*option.pilot3, **hidden)


def reading_of(args: argparse.Namespace) -> Reading:
    """All settings, as flags, environment and settings file give them. Raises SettingsTrouble."""
    taken = (*getattr(args, "options_taken", ()), "client_format")
    flags = {name: getattr(args, name, None) for name in taken}
    return read(flags, os.environ, args.config)
