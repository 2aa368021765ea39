"""`ppilot recover`: jobs that pilots left on disk. What lies there is `tools.left`, what is done `tools.recover`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from picard_pilot.cli import moments
from picard_pilot.cli.contact import client_trouble
from picard_pilot.cli.exits import CommandTrouble, Exit, UsageTrouble
from picard_pilot.cli.frame import Call, Verb, add_options
from picard_pilot.cli.ids import job_ids
from picard_pilot.cli.receipts import RECEIPTS
from picard_pilot.cli.screen import Column, clean
from picard_pilot.settings.environment import scratch_directory
from picard_pilot.settings.option import Kind, Option
from picard_pilot.settings.table import JOBS_GROUP, options_of
from picard_pilot.settings.values import parse_kind

if TYPE_CHECKING:
    from picard_pilot.tools.left import Left
    from picard_pilot.tools.recover import Standings

NOT_FOR_LEFT_JOBS = frozenset({"workdir", "recover", "max_recoveries", "resource_type", "jobs"})
"""Options of `ppilot run` that mean nothing where jobs are named and no other is asked for."""

SCHEMA = "ppilot.left-job/1"


def _configure_which(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="work directories of pilots, or directories of jobs, also copied ones [default: where a pilot would work]",
    )
    parser.add_argument("--only", metavar="ID", help="only these jobs: 7, 10-14 or a comma list")
    parser.add_argument(
        "--older-than",
        metavar="TIME",
        dest="older_than",
        help="only jobs to which nothing has happened for 90, 15m, 2h, 3d",
    )


def _configure_list(parser: argparse.ArgumentParser) -> None:
    _configure_which(parser)
    parser.add_argument("--ask", action="store_true", help="ask the server too what it knows of each job")
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--utc", dest="clock", action="store_const", const="utc", default="age", help="times in UTC"
    )
    group.add_argument(
        "--local", dest="clock", action="store_const", const="local", help="times of this host's clock"
    )
    add_options(parser, options_of("job"))


def _list(call: Call) -> int:
    found = _chosen(call)
    standings = _standings(call, found) if call.args.ask else None
    rows = [_row(left) if standings is None else _row(left) | _asked(left, standings) for left in found]
    call.screen.rows(SCHEMA, rows, _columns(call))
    if not rows and not call.screen.json:
        call.screen.say(f"no jobs are left in {', '.join(map(str, _paths(call)))}")
    return Exit.DONE


def _asked(left: Left, standings: Standings) -> dict[str, str | None]:
    """What the server says of the job, and what a pilot that found it would do."""
    from picard_pilot.tools.recover import verdict

    claim, why = verdict(left, standings)
    at_server = None if left.job_id is None else standings.get(left.job_id)
    return {"at_server": None if at_server is None else at_server.status, "verdict": f"{claim.value}: {why}"}


def _columns(call: Call) -> tuple[Column, ...]:
    now = datetime.now(UTC)

    def moment(text: str | None) -> str:
        return moments.shown(None if text is None else datetime.fromisoformat(text), call.args.clock, now)

    def until(text: str | None) -> str:
        if text is None or call.args.clock != "age":
            return moment(text)
        left_s = (datetime.fromisoformat(text) - now).total_seconds()
        return f"in {moments.duration(left_s)}" if left_s > 0 else "over"

    return (
        Column("job_id", "JOB"),
        Column("attempt_nr", "ATTEMPT", wide=True),
        Column("queue", "QUEUE", wide=True),
        Column("state", "STATE", show=lambda text: text or "unknown"),
        Column("since", "SINCE", show=moment),
        Column("outputs", "OUTPUTS", show=_outputs_text),
        Column("until", "WINDOW", show=until),
        Column("verdict" if call.args.ask else "obstacle", "CAN BE TAKEN UP", show=_verdict_text),
        Column("holder", "HELD BY", wide=True, show=lambda text: clean(text or "-")),
        Column("left_at", "LEFT AT", wide=True, show=lambda text: clean(text or "-")),
        Column("directory", "WHERE", show=clean),
    )


def _row(left: Left) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(left, case=None))
    del row["case"]
    for name in ("since", "until"):
        row[name] = None if row[name] is None else datetime.fromtimestamp(row[name], UTC).isoformat()
    return {**row, "can_be_taken_up": left.obstacle is None, "over": left.over}


def _outputs_text(outputs: Sequence[dict[str, Any]]) -> str:
    """How many there are, and how much lies here that is nowhere else."""
    if not outputs:
        return "none"
    here = [one["size_bytes"] for one in outputs if not one["stored"] and one["size_bytes"] is not None]
    stored = sum(one["stored"] for one in outputs)
    text = f"{stored} of {len(outputs)} stored"
    return f"{text}, {moments.size(sum(here))} here" if here else text


def _verdict_text(text: str | None) -> str:
    return "yes" if text is None else clean(text)


def _configure_run(parser: argparse.ArgumentParser) -> None:
    _configure_which(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    add_options(parser, _options_of_run())


def _options_of_run() -> tuple[Option, ...]:
    """What a pilot needs to bring a job to its end, and nothing of how it asks for one."""
    about_asking = [option for option in options_of("run") if option.group == JOBS_GROUP]
    names = {option.name for option in about_asking} - {"queue", "experiment", "server_patience_s"}
    names |= NOT_FOR_LEFT_JOBS
    return tuple(option for option in options_of("run") if option.name not in names)


def _run(call: Call) -> int:
    from picard_pilot.cli.run import with_own_server
    from picard_pilot.tools.recover import take_up, verdict

    found = _chosen(call)
    standings = _standings(call, found)
    if call.args.dry_run:
        rows = [
            _result(left, claim.value, why) for left in found for claim, why in [verdict(left, standings)]
        ]
        return _told(call, rows, done=True)
    settings = call.settings if call.settings.server_url is not None else with_own_server(call)
    results = [_result(left, "not taken up", left.obstacle) for left in found if left.obstacle is not None]
    by_queue: dict[str, list[Path]] = {}
    for left in found:
        if left.obstacle is None and left.queue is not None:
            if call.settings.queue not in (None, left.queue):
                why = f"it is of queue {left.queue}"
                results.append(_result(left, "not taken up", why))
                continue
            by_queue.setdefault(left.queue, []).append(Path(left.directory))
    known, done, ended = {Path(left.directory): left for left in found}, not results, None
    for queue, directories in by_queue.items():
        theirs = msgspec.structs.replace(settings, queue=queue)
        stream = None if call.screen.quiet else sys.stderr
        rescued, ended = take_up(theirs, dict(os.environ), directories, stream)
        results += [_result(known[one.directory], one.result, one.why) for one in rescued]
        done = done and all(one.done for one in rescued)
        if ended is not None:
            break
    code = _told(call, results, done=done)
    return code if ended is None else ended


def _configure_discard(parser: argparse.ArgumentParser) -> None:
    _configure_which(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be lost")
    parser.add_argument(
        "--force", action="store_true", help="also jobs that are not over, and without asking the server"
    )
    add_options(parser, options_of("job"))


def _discard(call: Call) -> int:
    from picard_pilot.tools.recover import discard, what_is_lost, why_discard

    found = _chosen(call)
    standings = None if call.args.force else _standings(call, found)
    wanted, results, done = [], [], True
    for left in found:
        why = why_discard(left, standings)
        if why is None and not call.args.force:
            kept = "it may still be wanted: take it up with `ppilot recover run`, or lose it with --force"
            results.append(_result(left, "not discarded", kept))
            done = False
            continue
        wanted.append(left)
    if call.args.dry_run:
        results += [
            _result(left, "would be discarded", ", ".join(what_is_lost(left)) or "nothing is lost")
            for left in wanted
        ]
        return _told(call, results, done=True)
    if wanted:
        call.screen.confirm(f"Discard {_jobs(wanted)} for good?", yes=call.args.yes)
    for left in wanted:
        outcome = discard(left)
        results.append(_result(left, "discarded" if outcome.gone else "not discarded", outcome.why))
        done = done and outcome.gone
    return _told(call, results, done=done)


def _jobs(lefts: Sequence[Left]) -> str:
    named = ", ".join(str(left.job_id or left.directory) for left in lefts[:3])
    more = f" and {len(lefts) - 3} more" if len(lefts) > 3 else ""
    return f"the job {named}" if len(lefts) == 1 else f"the jobs {named}{more}"


def _result(left: Left, result: str, why: str | None) -> dict[str, object]:
    return {"job_id": left.job_id, "directory": left.directory, "result": result, "note": why or ""}


def _told(call: Call, results: list[dict[str, object]], *, done: bool) -> int:
    columns = (
        Column("job_id", "JOB"),
        Column("result", "RESULT"),
        Column("note", "NOTE", show=lambda text: clean(text or "")),
        Column("directory", "WHERE", wide=True, show=clean),
    )
    call.screen.rows("ppilot.left-result/1", results, columns)
    if not results and not call.screen.json:
        call.screen.say(f"no jobs are left in {', '.join(map(str, _paths(call)))}")
    return Exit.DONE if done else Exit.FAILED


def _paths(call: Call) -> list[Path]:
    """What was named, or where a pilot with these settings would work."""
    if call.args.paths:
        return [Path(path) for path in call.args.paths]
    return [Path(call.settings.workdir or scratch_directory(os.environ) or ".")]


def _chosen(call: Call) -> list[Left]:
    """The jobs that the command is about. Raises CommandTrouble where a path leads nowhere, or a job is not there."""
    from picard_pilot.tools.left import NothingThere, directories, look, me

    asker, now = me("ppilot-recover"), time.time()
    try:
        found = [look(directory, asker, now) for directory in directories(_paths(call))]
    except NothingThere as problem:
        raise CommandTrouble(Exit.NOT_FOUND, problem.what, problem.evidence, problem.next_step) from None
    if call.args.only is not None:
        wanted = job_ids([call.args.only], _no_latest)
        missing = set(wanted) - {left.job_id for left in found}
        if missing:
            raise CommandTrouble(
                Exit.NOT_FOUND,
                f"Job {min(missing)} is not there",
                f"{', '.join(map(str, _paths(call)))} has {len(found)} jobs, and this is none of them",
                "See which there are: `ppilot recover list`",
            )
        found = [left for left in found if left.job_id in wanted]
    if call.args.older_than is not None:
        age_s = _seconds(call.args.older_than)
        found = [left for left in found if left.since is not None and now - left.since >= age_s]
    return found


def _no_latest() -> int:
    raise UsageTrouble(
        "--only latest will not do",
        "left jobs have no order",
        "Name jobs as `ppilot recover list` shows them",
    )


def _seconds(text: str) -> float:
    try:
        seconds = parse_kind(Kind.SECONDS, text)
        assert isinstance(seconds, float)
        return seconds
    except (ValueError, OverflowError) as error:
        raise UsageTrouble(
            f"--older-than {text} will not do", str(error), "Write it like 90, 15m, 2h or 3d"
        ) from None


def _standings(call: Call, found: Sequence[Left]) -> Standings:
    """What the server knows of the jobs that are not over. Raises CommandTrouble with the right exit code."""
    from picard_pilot.tools.client import ClientTrouble, find_server
    from picard_pilot.tools.recover import ask

    wanted = [left.case.job.job_id for left in found if left.case is not None and not left.over]
    if not wanted:
        return {}
    try:
        return ask(find_server(call.settings, os.environ), wanted, call.settings.client_timeout_s, os.environ)
    except ClientTrouble as problem:
        raise client_trouble(problem) from None


_SEE = "docs/recovery.md, ppilot help files"
VERBS = {
    "list": Verb(
        help="list the jobs that pilots left: where, with which outputs, until when, and whether they can be taken up",
        examples=(
            "ppilot recover list",
            "ppilot recover list /scratch/pilots --ask",
            "ppilot recover list ~/from-node7/PanDA_Pilot-4711 --json",
        ),
        configure=_configure_list,
        act=_list,
        takes="[PATH...]",
        see_also=_SEE,
    ),
    "run": Verb(
        help="take up left jobs now, as a pilot would: store what they made and report them",
        examples=(
            "ppilot recover run /scratch/pilots --site-file site.toml",
            "ppilot recover run ~/from-node7/PanDA_Pilot-4711 --site-file site.toml",
            "ppilot recover run /scratch/pilots --only 4711,4712 --dry-run",
        ),
        configure=_configure_run,
        act=_run,
        takes="[PATH...]",
        see_also=_SEE,
    ),
    "discard": Verb(
        help="remove left jobs that nobody waits for, and say what is lost",
        examples=(
            "ppilot recover discard /scratch/pilots --older-than 3d --dry-run",
            "ppilot recover discard /scratch/pilots --only 4711 --force --yes",
        ),
        configure=_configure_discard,
        act=_discard,
        takes="[PATH...]",
        see_also=_SEE,
    ),
    "receipts": RECEIPTS,
}
