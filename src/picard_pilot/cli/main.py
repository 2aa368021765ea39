"""The way in: `ppilot NOUN VERB`. Finds the command, gives it its words, and turns errors into exit codes.

Nothing heavy is imported here: `ppilot --help` must appear at once. What the commands do is in their own files.
"""

import gc
import importlib
import os
import sys
from collections.abc import Sequence

from picard_pilot.cli.exits import CommandTrouble, Exit, UsageTrouble
from picard_pilot.cli.nouns import NOUNS, Entry
from picard_pilot.model.trouble import Trouble, nearest

_WITH_VALUE = ("--server", "--format", "--fields", "--timeout", "--config", "--token-file", "--ca")
"""The flags that may stand before the noun and take a value."""


_STDOUT, _STDERR = 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `argv` is without the program's name; None: the process' own."""
    words = list(sys.argv[1:] if argv is None else argv)
    _fill_closed_streams()
    try:
        code = _main(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes stdout once more at its end; that must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BROKEN_PIPE
    return code


def peek(argv: Sequence[str] | None = None) -> int:
    """The alias `ppeek`: `ppilot peek`."""
    return main(["peek", *(sys.argv[1:] if argv is None else argv)])


def _fill_closed_streams() -> None:
    """Where stdin, stdout or stderr was closed before the start, /dev/null takes its place: else the first files that
    are opened would, and whatever is printed by somebody would get into them."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.__stdout__ is None:
        sys.stdout = os.fdopen(_STDOUT, "w", closefd=False)
    if sys.__stderr__ is None:
        sys.stderr = os.fdopen(_STDERR, "w", closefd=False)


def _main(words: list[str]) -> int:
    front, rest = _split_front(words)
    if not rest:
        return _bare(front)
    noun = rest[0]
    if noun not in NOUNS:
        return _tell(_unknown("command", noun, tuple(NOUNS), "ppilot"), words)
    entry = NOUNS[noun]
    verb, after = _verb(entry, rest[1:])
    if entry.verbs and verb not in entry.verbs:
        if verb is None and ("-h" in after or "--help" in after):
            sys.stdout.write(_noun_help(noun, entry))
            return Exit.DONE
        return _tell(_no_verb(noun, entry, verb), words)
    return _run(noun, verb, entry, [*front, *after])


def _verb(entry: Entry, words: list[str]) -> tuple[str | None, list[str]]:
    """The verb among `words`, and the others: flags may stand before it."""
    if not entry.verbs:
        return None, words
    front, rest = _split_front(words)
    return (rest[0], [*front, *rest[1:]]) if rest else (None, front)


def _split_front(words: list[str]) -> tuple[list[str], list[str]]:
    """The flags that stand before the first word that is none, and the rest."""
    place = 0
    while place < len(words) and words[place].startswith("-") and words[place] not in ("-", "--"):
        place += 2 if words[place] in _WITH_VALUE else 1
    return words[:place], words[place:]


def _run(noun: str, verb: str | None, entry: Entry, words: list[str]) -> int:
    """Import the command's file and do it.

    What is imported stays, so looking through it for garbage again and again is in vain, and a tenth of a start.
    The pilot imports more, and collects again when it is ready.
    """
    gc.disable()
    from picard_pilot.cli.frame import Verb, build

    chosen: Verb = importlib.import_module(entry.module).VERBS[verb or noun]
    prog = f"ppilot {noun}" + (f" {verb}" if verb else "")
    if chosen.agent:
        from picard_pilot.cli.agent import run_agent

        return run_agent(build(prog, chosen), chosen, words)
    from picard_pilot.cli.tool import run_tool

    gc.enable()
    return run_tool(build(prog, chosen), chosen, words)


def _bare(words: list[str]) -> int:
    """`ppilot` without a command."""
    if "--version" in words:
        from picard_pilot.model.version import VERSION

        sys.stdout.write(f"ppilot {VERSION}\n")
        return Exit.DONE
    if not words or "-h" in words or "--help" in words:
        sys.stdout.write(_overview())
        return Exit.DONE if words else Exit.USAGE
    return _tell(
        UsageTrouble(
            "ppilot: no command is given",
            f"only flags: {' '.join(words)}",
            "`ppilot --help` shows the commands",
        ),
        words,
    )


def _overview() -> str:
    """The commands, one line each."""
    width = max(len(noun) for noun in NOUNS)
    lines = [f"  {noun:<{width}}  {entry.help}" for noun, entry in NOUNS.items()]
    examples = (
        "  ppilot demo                              see it work, in half a minute",
        "  ppilot server start                      a PanDA-compatible server on this host",
        "  ppilot submit -- python3 analysis.py     give it a job",
        "  ppilot run -q MY_QUEUE --site-file site.toml --jobs 1",
    )
    return (
        "usage: ppilot COMMAND [VERB] [ID...] [flags]\n\n"
        "Picard, a pilot for PanDA: runs jobs on worker nodes, and helps people to see what happens to them.\n\n"
        "commands:\n" + "\n".join(lines) + "\n\nexamples:\n" + "\n".join(examples) + "\n\n"
        "`ppilot COMMAND --help` says more; `ppilot --version` says which Picard this is.\n"
    )


def _noun_help(noun: str, entry: Entry) -> str:
    """The verbs of a noun, one line each."""
    from picard_pilot.cli.frame import Verb

    verbs: dict[str, Verb] = importlib.import_module(entry.module).VERBS
    width = max(len(verb) for verb in verbs)
    lines = "\n".join(f"  {name:<{width}}  {verb.help}" for name, verb in verbs.items())
    return (
        f"usage: ppilot {noun} VERB [flags]\n\n{entry.help[0].upper()}{entry.help[1:]}.\n\nverbs:\n{lines}\n\n"
        f"`ppilot {noun} VERB --help` says more.\n"
    )


def _no_verb(noun: str, entry: Entry, verb: str | None) -> CommandTrouble:
    if verb is None:
        return UsageTrouble(
            f"ppilot {noun}: what should be done is missing",
            "verbs: " + ", ".join(entry.verbs),
            f"Try `ppilot {noun} {entry.verbs[0]}`",
        )
    return _unknown("verb", verb, entry.verbs, f"ppilot {noun}")


def _unknown(kind: str, word: str, known: tuple[str, ...], prog: str) -> CommandTrouble:
    near = nearest(word, known)
    return UsageTrouble(
        f"{prog}: there is no {kind} {word!r}",
        "nearest: " + ", ".join(near) if near else f"{kind}s: " + ", ".join(known),
        f"Try `{prog} {near[0]}`" if near else f"`{prog} --help` shows them",
    )


def _tell(problem: Trouble, words: list[str]) -> int:
    """Tell an error that came before any command was found. The agent has its own exit codes."""
    from picard_pilot.cli.screen import Screen

    code = problem.exit_code if isinstance(problem, CommandTrouble) else Exit.FAILED
    Screen(json="--json" in words).trouble(problem, code)
    return code


if __name__ == "__main__":
    sys.exit(main())
