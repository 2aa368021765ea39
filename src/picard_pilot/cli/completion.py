"""`ppilot completion`: scripts for shells, made from the parsers themselves. Pressing Tab starts no Python.

The shape of each shell's script is `cli.completion_shells`.
"""

import argparse
import importlib

from picard_pilot.cli.completion_shells import SHELLS, Command, Flag
from picard_pilot.cli.exits import Exit
from picard_pilot.cli.frame import Call, Verb, build
from picard_pilot.cli.nouns import NOUNS


def commands() -> list[Command]:
    """Every command with its flags, from the parsers."""
    found: list[Command] = []
    for noun, entry in NOUNS.items():
        verbs: dict[str, Verb] = importlib.import_module(entry.module).VERBS
        for name, verb in verbs.items():
            words = (noun, name) if entry.verbs else (noun,)
            parser = build(f"ppilot {' '.join(words)}", verb)
            actions = [action for action in parser._actions if action.help != argparse.SUPPRESS]
            flags = tuple(_flag(action) for action in actions if action.option_strings)
            arguments = next(
                (tuple(action.choices) for action in actions if action.choices and not action.option_strings),
                (),
            )
            found.append(Command(words, verb.help, flags, arguments))
    return found


def _flag(action: argparse.Action) -> Flag:
    help_text = (action.help or "").partition(" [")[0].replace("%%", "%")
    return Flag(tuple(action.option_strings), help_text, action.nargs != 0, tuple(action.choices or ()))


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=tuple(SHELLS), help="which shell")


def _completion(call: Call) -> int:
    text = SHELLS[call.args.shell](commands(), {noun: entry.help for noun, entry in NOUNS.items()})
    call.screen.record("ppilot.completion/1", {"shell": call.args.shell, "script": text}, text)
    return Exit.DONE


VERBS = {
    "completion": Verb(
        help="print a completion script for bash, zsh, fish or tcsh",
        examples=(
            'eval "$(ppilot completion bash)"',
            "ppilot completion fish > ~/.config/fish/completions/ppilot.fish",
            "ppilot completion tcsh > ~/.ppilot.tcsh; source ~/.ppilot.tcsh",
        ),
        configure=_configure,
        act=_completion,
        takes="SHELL",
        see_also="ppilot --help",
        needs_settings=False,
    )
}
