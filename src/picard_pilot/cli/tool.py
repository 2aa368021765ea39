"""Running a command for people: flags and settings are read, errors become three lines and an exit code.

The pilot itself is run by `cli.agent`.
"""

import os
import sys

from picard_pilot.cli.exits import CommandTrouble, Exit
from picard_pilot.cli.frame import Call, Parser, Verb, reading_of
from picard_pilot.cli.screen import Screen
from picard_pilot.model.trouble import Trouble
from picard_pilot.settings.read import Reading, SettingsTrouble, read

_TRACEBACK_VERBOSITY = 2


def run_tool(parser: Parser, verb: Verb, words: list[str]) -> int:
    """Do what `words` say; the exit code. Every error has been told when this returns."""
    # Until the flags are understood, an error still has to be told in the way that they ask for.
    ours = words[: words.index("--")] if "--" in words else words
    screen = Screen(json="--json" in ours, verbose=_TRACEBACK_VERBOSITY if "-vv" in ours else 0)
    try:
        args = parser.parse_all(words)
        reading = reading_of(args) if verb.needs_settings else read({}, {}, os.devnull)
        screen = Screen(
            json=args.json,
            format=reading.settings.client_format,
            fields=tuple(name.strip() for name in (args.fields or "").split(",") if name.strip()),
            quiet=args.quiet,
            verbose=args.verbose,
            no_color=args.no_color,
            no_input=args.no_input,
            environ=os.environ,
        )
        _pass_on(reading, screen)
        code = verb.act(Call(args, screen, reading))
        sys.stdout.flush()
    except SystemExit as leaving:  # argparse leaves like this after --help
        return leaving.code if isinstance(leaving.code, int) else Exit.DONE
    except CommandTrouble as problem:
        screen.trouble(problem, problem.exit_code)
        return problem.exit_code
    except Trouble as problem:
        code = Exit.USAGE if isinstance(problem, SettingsTrouble) else Exit.FAILED
        screen.trouble(problem, code)
        return code
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the process entry: told with its type, traceback on request
        return _surprise(error, screen)
    return code


def _pass_on(reading: Reading, screen: Screen) -> None:
    for note in reading.notes:
        screen.warn(note)


def _surprise(error: Exception, screen: Screen) -> int:
    """An error that nobody foresaw."""
    if screen.verbose >= _TRACEBACK_VERBOSITY:
        import traceback

        traceback.print_exception(error)
    problem = Trouble(
        "The command met an error that it does not know",
        f"{type(error).__name__}: {error}",
        "Repeat it with -vv for the traceback, and report that",
    )
    screen.trouble(problem, Exit.FAILED)
    return Exit.FAILED
