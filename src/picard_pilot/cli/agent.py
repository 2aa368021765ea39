"""Running the pilot as a batch system does: whatever goes wrong, an exit code that wrappers understand.

What the pilot does is `pilot`; its flags are in `cli.run`.
"""

import contextlib
import os
import sys
import time

from picard_pilot.cli.exits import AGENT_EXCEPTION, AGENT_GENERAL_ERROR
from picard_pilot.cli.frame import Call, Parser, Verb, reading_of
from picard_pilot.cli.screen import Screen
from picard_pilot.model.trouble import Trouble

LOG_NAME = "pilotlog.txt"
"""Where wrapper and people look for the pilot's words."""


def run_agent(parser: Parser, verb: Verb, words: list[str]) -> int:
    """Run the pilot; its exit code, never 1 or 2: Harvester takes those for faults of the wrapper."""
    code = _run(parser, verb, words)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # Nobody reads it any more, or its disk is full: no matter of the exit code, nor of the interpreter,
            # which flushes it once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code


def _run(parser: Parser, verb: Verb, words: list[str]) -> int:
    try:
        args = parser.parse_all(words)
        reading = reading_of(args)
        screen = Screen(quiet=args.quiet, no_color=True)
        for note in reading.notes:
            screen.warn(note)
        return verb.act(Call(args, screen, reading))
    except SystemExit as leaving:  # argparse leaves like this after --help
        return AGENT_GENERAL_ERROR if leaving.code else 0
    except Trouble as problem:
        _tell(str(problem))
        return AGENT_GENERAL_ERROR
    except Exception as error:  # noqa: BLE001 - the process entry: whatever it is, the wrapper gets its code
        import traceback

        with contextlib.suppress(OSError):
            traceback.print_exception(error)
        kind = type(error).__name__
        _tell(
            f"The pilot met an error that it does not know\n  {kind}: {error}\n  Please report it with this log"
        )
        return AGENT_EXCEPTION


def _tell(text: str) -> None:
    """Say `text` on stderr and in the pilot's log, if that can be written: often only one of the two is kept."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"error: {text}\n")
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    lines = "".join(
        f"{now} | ERROR    | picard | command line | {line.strip()}\n" for line in text.splitlines()
    )
    try:
        descriptor = os.open(
            LOG_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644
        )
    except OSError:
        return
    with contextlib.suppress(OSError), os.fdopen(descriptor, "w") as stream:
        stream.write(lines)
