"""The files of a replay directory that people read, and the script that needs nothing but a shell.

Which facts they tell is decided in `tools.replay`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from picard_pilot.model.ending import SIGNAL_BASE
from picard_pilot.model.recipe import JOB_DIRECTORY, Recipe, RecipeInput

if TYPE_CHECKING:
    from picard_pilot.lifecycle.case import Case
    from picard_pilot.tools.replay import Expected


def inputs(recipe: Recipe, missing: Sequence[RecipeInput]) -> str:
    """One line per input: where it was, what it should be, whether it is here."""
    lines = ["# name  size in bytes  checksum  where it was  here"]
    for one in recipe.inputs:
        here = "no" if one in missing else "yes"
        size = "unknown" if one.size_bytes is None else str(one.size_bytes)
        lines.append(f"{one.lfn}  {size}  {one.checksum or 'unknown'}  {one.surl or 'unknown'}  {here}")
    return _text(lines)


def environment(recipe: Recipe) -> str:
    """The difference: what was added to the pilot's own environment or changed in it, then what was inherited."""
    changed = [f"{name}={recipe.environment[name]}" for name in recipe.changed if name in recipe.environment]
    inherited = sorted(set(recipe.environment) - set(recipe.changed))
    return _text(
        [
            f"# {JOB_DIRECTORY} stands for the job's directory.",
            "# Set or changed by the queue, the experiment or the job:",
            *changed,
            "# From the node, as the pilot had it:",
            *(f"{name}={recipe.environment[name]}" for name in inherited),
            "# Not told, since they are secret or no text: " + (", ".join(recipe.withheld) or "none"),
        ]
    )


def settings(recipe: Recipe) -> str:
    """The pilot's settings as they were resolved."""
    return _text(f"{name} = {value}" for name, value in recipe.settings.items() if value)


def _text(lines: Iterable[str]) -> str:
    """The lines with control characters made visible: what a job wrote must not steer a terminal."""
    return "\n".join(
        "".join(char if char.isprintable() else repr(char)[1:-1] for char in line) for line in lines
    )


def readme(recipe: Recipe, expected: Expected, missing: Sequence[RecipeInput], case: Case) -> str:
    """What this directory is, and what to do with it."""
    node = recipe.node
    about = ", ".join(
        word for word in (node.system, node.machine, node.libc, f"kernel {node.kernel}") if word
    )
    lines = [
        f"Job {recipe.job_id}, attempt {recipe.attempt_nr}{f' ({recipe.name})' if recipe.name else ''},"
        f" of queue {recipe.queue}: to be run again.",
        "",
        f"Its command:  {shlex.join(recipe.argv)}",
        f"Its end:      {end_text(expected)}",
        *([f"The verdict:  {expected.code} {expected.error}: {expected.says}"] if expected.error else []),
        f"Its node:     {about}",
        *(
            [f"Its image:    {recipe.container} (run.sh does not start containers: run it inside)"]
            * bool(recipe.container)
        ),
        f"Its pilot:    Picard {recipe.version}, experiment {recipe.experiment}",
        "",
        "  sh run.sh                      runs it in a new directory here and compares how it ends",
        "  ppilot job replay --run DIR    the same, and compares what the pilot makes of it",
        "",
        "inputs/          the inputs that could be had; inputs.txt tells all, with checksums",
        "original/        the logs of the job itself",
        "environment.txt  what was in the payload's environment, and what was changed in it",
        "settings.txt     the pilot's settings; job.json the job; recipe.json all that run.sh was made of",
    ]
    if missing:
        lines += ["", "Bring these inputs into inputs/ first (inputs.txt tells from where):"]
        lines += [f"  {one.lfn}" for one in missing]
    if expected.stopped_by:
        lines += [
            "",
            f"The payload did not end by itself but was stopped ({expected.stopped_by}): nobody stops it here.",
        ]
    if case.payload is None:
        lines += ["", "It is not known whether the payload was ever started."]
    return _text(lines)


def end_text(expected: Expected) -> str:
    """How it ended, in words."""
    if expected.signal is not None:
        return f"signal {expected.signal}"
    return "not known" if expected.exit_code is None else f"exit code {expected.exit_code}"


def script(recipe: Recipe, expected: Expected) -> str:
    """A script for /bin/sh: a fresh directory, the inputs, the environment, the command, and a comparison."""
    variables = [
        f"  {shell_word(f'{name}={value}')} \\" for name, value in sorted(recipe.environment.items())
    ]
    # `env` would take such a program's name for a variable.
    program = ("/bin/sh", "-c", 'exec "$0" "$@"') if "=" in recipe.argv[0] else ()
    command = (*program, *recipe.argv)
    status = expected.exit_code if expected.signal is None else SIGNAL_BASE + expected.signal
    wanted = "unknown" if status is None else str(status)
    return "\n".join(
        [
            "#!/bin/sh",
            f"# Runs the payload of job {recipe.job_id}, attempt {recipe.attempt_nr}, again and compares its end with"
            " the recorded one.",
            "# Exit code 0: it ended the same way; 4: it did not.",
            'here=$(unset CDPATH; cd -- "$(dirname -- "$0")" && pwd) || exit 1',
            'work=$(mktemp -d "$here/run.XXXXXX") || exit 1',
            'mkdir "$work/.tmp"',
            'for each in "$here"/inputs/* "$here"/inputs/.[!.]*; do',
            '  if [ -f "$each" ]; then cp "$each" "$work/" || exit 1; fi',
            "done",
            'cd "$work" || exit 1',
            "env -i -- \\",
            *variables,
            "  " + " ".join(shell_word(word) for word in command) + " \\",
            "  </dev/null >payload.stdout 2>payload.stderr",
            "status=$?",
            f'echo "it ended with $status; the job had {wanted}"',
            'echo "its output: $work/payload.stdout and payload.stderr"',
            f'[ "$status" = "{wanted}" ] && echo "the same end" && exit 0',
            'echo "another end"',
            "exit 4",
        ]
    )


def shell_word(text: str, variable: str = "work") -> str:
    """`text` as one word of a shell script, with the shell's variable in place of the job's directory."""
    return (
        f'"${variable}"'.join(shlex.quote(part) if part else "" for part in text.split(JOB_DIRECTORY)) or "''"
    )
