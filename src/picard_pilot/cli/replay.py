"""`ppilot job replay`: run a job's payload again. The directory is `tools.replay`, running it `tools.replay_run`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import msgspec

from picard_pilot.cli.contact import server
from picard_pilot.cli.exits import CommandTrouble, Exit, UsageTrouble
from picard_pilot.cli.frame import Call, Verb, add_options
from picard_pilot.cli.screen import Column, clean
from picard_pilot.settings.option import Kind
from picard_pilot.settings.table import options_of
from picard_pilot.settings.values import parse_kind

if TYPE_CHECKING:
    from picard_pilot.tools.replay import Made
    from picard_pilot.tools.replay_run import Replayed

SCHEMA = "ppilot.replay/1"
RUN_SCHEMA = "ppilot.replayed/1"


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "job",
        metavar="ID|PATH",
        help="a job of the server, a job's directory, its log archive, or with --run a replay directory",
    )
    parser.add_argument(
        "--dir", metavar="DIR", dest="target", help="the directory to make [default: replay-ID]"
    )
    parser.add_argument(
        "--inputs",
        metavar="DIR",
        action="append",
        default=[],
        help="where inputs lie, beside the job's directory and addresses on this host; may be repeated",
    )
    parser.add_argument("--run", action="store_true", help="run it now, and compare how it ends")
    parser.add_argument(
        "--time-limit", metavar="TIME", dest="time_limit", help="end a run after 90, 15m, 2h [default: none]"
    )
    add_options(parser, options_of("job"))


def _act(call: Call) -> int:
    from picard_pilot.system.files import is_file
    from picard_pilot.tools.replay import EXPECTED

    path = Path(call.args.job)
    if call.args.run and is_file(path / EXPECTED):
        return _run(call, path)
    made = _make(call)
    if call.args.run:
        if made.missing:
            _tell(call, made)
            return Exit.PROBLEMS_FOUND
        return _run(call, Path(made.directory))
    _tell(call, made)
    return Exit.DONE


def _make(call: Call) -> Made:
    from picard_pilot.tools import replay
    from picard_pilot.tools.unpack import NoRemains, remains

    path = _archive_of(call, int(call.args.job)) if call.args.job.isdecimal() else Path(call.args.job)
    try:
        with remains(path) as folder:
            recipe = replay.recipe_of(folder)
            target = Path(call.args.target or f"replay-{recipe.job_id}-{recipe.attempt_nr}")
            return replay.make(folder, target, tuple(map(Path, call.args.inputs)))
    except (NoRemains, replay.NoReplay) as problem:
        raise CommandTrouble(Exit.NOT_FOUND, problem.what, problem.evidence, problem.next_step) from None


def _archive_of(call: Call, job_id: int) -> Path:
    """The log archive of a job of the server, where this host can read it. Raises CommandTrouble."""
    with server(call) as client:
        files = client.job(job_id).files
    stored = next((file for file in files if file.role == "log" and file.surl), None)
    if stored is None or stored.surl is None:
        raise CommandTrouble(
            Exit.NOT_FOUND,
            f"Job {job_id} has no stored log archive",
            "the server knows of none",
            "Name the job's directory or a log archive instead of its number",
        )
    parts = urlsplit(stored.surl)
    if parts.scheme == "file" and (path := Path(unquote(parts.path))).is_file():
        return path
    raise CommandTrouble(
        Exit.NOT_FOUND,
        f"The log archive of job {job_id} cannot be read from here",
        f"it is {stored.lfn} at {stored.surl}",
        f"Fetch it, then: ppilot job replay {stored.lfn}",
    )


def _tell(call: Call, made: Made) -> None:
    data: dict[str, Any] = msgspec.to_builtins(made)
    lines = [f"{made.directory}: job {made.job_id}, attempt {made.attempt_nr}, ready to be run again"]
    if made.missing:
        lines += ["these inputs are not in it (inputs.txt tells where they were):"]
        lines += [f"  {clean(one.lfn)}" for one in made.missing]
    lines += [f"run it: ppilot job replay --run {made.directory}   (or: sh {made.directory}/run.sh)"]
    call.screen.record(SCHEMA, data, "\n".join(lines))


def _run(call: Call, folder: Path) -> int:
    from picard_pilot.tools import replay, replay_run

    limit_s = None
    if call.args.time_limit is not None:
        try:
            limit_s = parse_kind(Kind.SECONDS, call.args.time_limit)
        except ValueError as error:
            raise UsageTrouble(
                "--time-limit will not do", str(error), "Write it like 90, 15m or 2h"
            ) from None
    try:
        found = replay_run.replay_now(folder, time_limit_s=None if limit_s is None else float(str(limit_s)))
    except replay.NoReplay as problem:
        raise CommandTrouble(Exit.NOT_FOUND, problem.what, problem.evidence, problem.next_step) from None
    _tell_run(call, found)
    return Exit.DONE if found.same else Exit.PROBLEMS_FOUND


_COLUMNS = (
    Column("what", "COMPARED"),
    Column("job", "THE JOB", show=clean),
    Column("here", "HERE", show=clean),
    Column("same", "SAME"),
)


def _tell_run(call: Call, found: Replayed) -> None:
    if call.screen.json:
        data: dict[str, Any] = msgspec.to_builtins(found)
        call.screen.record(RUN_SCHEMA, {**data, "same": found.same}, "")
        return
    call.screen.rows(RUN_SCHEMA, [msgspec.to_builtins(one) for one in found.compared], _COLUMNS)
    call.screen.say("it ended as the job did" if found.same else "it did not end as the job did")
    if found.faults:
        first = found.faults[0]
        call.screen.say(f"here: {first.code} {first.name}: {clean(first.diag)}")
    call.screen.say(f"its output: {found.directory}/payload.stdout and payload.stderr")


VERB = Verb(
    help="write a directory in which a job's payload can be run again, and run it",
    examples=(
        "ppilot job replay 17",
        "ppilot job replay log.17.tgz --inputs ~/inputs --dir again",
        "ppilot job replay --run replay-17-1",
    ),
    configure=_configure,
    act=_act,
    takes="ID|PATH",
    see_also="ppilot diagnose, ppilot job describe",
)
