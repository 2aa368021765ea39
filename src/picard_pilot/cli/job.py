"""`ppilot job`: jobs on the server. How a job is told in sentences is `cli.job_text`."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from picard_pilot.cli import ids, replay
from picard_pilot.cli.contact import server
from picard_pilot.cli.exits import CommandTrouble, Exit, UsageTrouble
from picard_pilot.cli.frame import Call, Verb, add_options
from picard_pilot.cli.job_text import STATES, description, error_text, state_text
from picard_pilot.cli.moments import shown
from picard_pilot.cli.screen import Column, clean
from picard_pilot.cli.since import since_of
from picard_pilot.settings.table import options_of

if TYPE_CHECKING:
    from picard_pilot.tools.client import Client

MAX_LISTED = 5000
"""What the server gives in one answer."""


def _clock(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--utc", dest="clock", action="store_const", const="utc", default="age", help="times in UTC"
    )
    group.add_argument(
        "--local", dest="clock", action="store_const", const="local", help="times of this host's clock"
    )


def _configure_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", metavar="A,B", dest="only_state", help="only jobs in these states")
    parser.add_argument("-q", "--queue", metavar="QUEUE", dest="only_queue", help="only jobs of this queue")
    parser.add_argument("--owner", metavar="NAME", dest="only_owner", help="only jobs of this owner")
    parser.add_argument(
        "--since", metavar="TIME", dest="only_since", help="only jobs made in the last 90, 15m, 2h, 3d"
    )
    parser.add_argument(
        "--error", metavar="CODE", dest="only_error", type=int, help="only jobs with this error code"
    )
    parser.add_argument(
        "--fp",
        metavar="HASH",
        dest="only_fp",
        help="only jobs that failed of what this fingerprint stands for",
    )
    parser.add_argument("--node", metavar="HOST", dest="only_node", help="only jobs on this node")
    parser.add_argument(
        "--limit", metavar="N", dest="limit", type=int, default=50, help="at most so many [default 50]"
    )
    _clock(parser)
    add_options(parser, options_of("job"))


def _list(call: Call) -> int:
    args = call.args
    if not 1 <= args.limit <= MAX_LISTED:
        raise UsageTrouble(
            f"--limit {args.limit} will not do", f"it is a number from 1 to {MAX_LISTED}", "Correct it"
        )
    filters = {
        "state": _states(args.only_state),
        "queue": args.only_queue,
        "owner": args.only_owner,
        "since": since_of(call),
        "node": args.only_node,
        "fp": _fingerprint(args.only_fp),
    }
    wanted = {name: value for name, value in filters.items() if value}
    if args.only_error is not None:
        wanted["error"] = str(args.only_error)
    with server(call) as client:
        found = client.jobs({**wanted, "limit": str(args.limit)})
    now = datetime.now(UTC)
    rows = [msgspec.to_builtins(row) for row in found.rows]
    by_id = {row.job_id: row for row in found.rows}
    columns = (
        Column("job_id", "JOB"),
        Column("status", "STATE", show=lambda text: state_text(text, call.screen)),
        Column("sub_status", "PHASE", show=lambda text: clean(text or "-")),
        Column("queue", "QUEUE"),
        Column("name", "NAME"),
        Column("attempt_nr", "ATTEMPT", wide=True),
        Column("owner", "OWNER", wide=True),
        Column("host", "NODE", wide=True),
        Column("created_at", "MADE", show=lambda text: shown(datetime.fromisoformat(text), args.clock, now)),
        Column("errors", "ERROR", show=error_text),
    )
    call.screen.rows("ppilot.job/1", rows, columns)
    if found.total > len(by_id):
        call.screen.say(f"{len(by_id)} of {found.total} jobs; see more with --limit")
    elif not by_id and not call.screen.json:
        call.screen.say("no jobs")
    return Exit.DONE


def _fingerprint(text: str | None) -> str | None:
    """As the server has it. Raises UsageTrouble for a text that is none."""
    from picard_pilot.wire.error_notes import is_fingerprint

    if text is not None and not is_fingerprint(text):
        raise UsageTrouble(
            f"{text!r} is no fingerprint",
            "it looks like fp1:0123456789ab",
            "Take one that `ppilot errors unknown` shows",
        )
    return text


def _states(text: str | None) -> str | None:
    """The comma list as the server takes it. Raises UsageTrouble for a word that is no state."""
    words = [word.strip() for word in (text or "").split(",") if word.strip()]
    for word in words:
        if word not in STATES:
            raise UsageTrouble(
                f"There is no state {word!r}",
                f"states: {', '.join(STATES)}",
                "Name some of them; `ppilot help states` says what each means",
            )
    return ",".join(words) or None


def _configure_ids(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID", help=ids.HELP)
    add_options(parser, options_of("job"))


def chosen(call: Call, client: Client) -> list[int]:
    """The ids that the command names. Raises UsageTrouble, and CommandTrouble for `latest` without any job."""
    return ids.job_ids(call.args.ids, lambda: _latest(client))


def _latest(client: Client) -> int:
    rows = client.jobs({"limit": "1"}).rows
    if not rows:
        raise CommandTrouble(
            Exit.NOT_FOUND,
            "There is no latest job",
            "the server has no jobs",
            "Submit one: `ppilot submit -- COMMAND`",
        )
    return rows[0].job_id


def _configure_describe(parser: argparse.ArgumentParser) -> None:
    _clock(parser)
    _configure_ids(parser)


def _describe(call: Call) -> int:
    with server(call) as client:
        details = [client.job(job_id) for job_id in chosen(call, client)]
    if call.screen.json and len(details) > 1:
        call.screen.rows("ppilot.job-detail/1", [msgspec.to_builtins(detail) for detail in details], ())
        return Exit.DONE
    for detail in details:
        text = description(detail, call.screen, call.args.clock, datetime.now(UTC))
        call.screen.record("ppilot.job-detail/1", msgspec.to_builtins(detail), text)
    return Exit.DONE


def _configure_destructive(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    _configure_ids(parser)


def _kill(call: Call) -> int:
    with server(call) as client:
        wanted = chosen(call, client)
        if call.args.dry_run:
            return _told(call, [_result(job_id, "would be killed") for job_id in wanted])
        call.screen.confirm(f"Kill {_jobs(wanted)}?", yes=call.args.yes)
        done = client.kill(wanted)
        results = []
        for job_id, killed in zip(wanted, done, strict=True):
            results.append(
                _after_kill(client, job_id)
                if killed
                else _result(job_id, "not killed", _why_not(client, job_id))
            )
    return _told(call, results)


def _after_kill(client: Client, job_id: int) -> dict[str, object]:
    """A job that runs is killed by its pilot, which takes a moment; any other is gone at once."""
    status = client.job(job_id).row.status
    over = status in ("cancelled", "closed", "failed", "finished")
    return _result(job_id, "killed" if over else "kill asked for", f"it is {status}")


def _why_not(client: Client, job_id: int) -> str:
    from picard_pilot.tools.client import ClientTrouble

    try:
        return f"it is {client.job(job_id).row.status}, or somebody else's"
    except ClientTrouble:
        return "there is no such job"


def _retry(call: Call) -> int:
    from picard_pilot.tools.client import ClientTrouble

    results: list[dict[str, object]] = []
    with server(call) as client:
        for job_id in chosen(call, client):
            if call.args.dry_run:
                results.append(_result(job_id, "would be retried"))
                continue
            try:
                results.append(_result(job_id, "retried", f"as job {client.retry(job_id)}"))
            except ClientTrouble as problem:
                results.append(_result(job_id, "not retried", problem.what))
    return _told(call, results)


def _configure_retry(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    _configure_ids(parser)


def _configure_debug(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("mode", choices=("on", "off"), help="switch debug mode on or off")
    _configure_ids(parser)


def _debug(call: Call) -> int:
    on = call.args.mode == "on"
    with server(call) as client:
        wanted = chosen(call, client)
        for job_id in wanted:
            client.set_debug(job_id, on)
    note = "its pilot is told with its next update" if on else ""
    return _told(call, [_result(job_id, f"debug {call.args.mode}", note) for job_id in wanted])


def _result(job_id: int, result: str, note: str = "") -> dict[str, object]:
    return {"job_id": job_id, "result": result, "note": note}


def _told(call: Call, results: list[dict[str, object]]) -> int:
    columns = (
        Column("job_id", "JOB"),
        Column("result", "RESULT"),
        Column("note", "NOTE", show=lambda text: clean(text or "")),
    )
    call.screen.rows("ppilot.result/1", results, columns)
    return Exit.FAILED if any(str(result["result"]).startswith("not ") for result in results) else Exit.DONE


def _jobs(job_ids: list[int]) -> str:
    if len(job_ids) == 1:
        return f"job {job_ids[0]}"
    return f"{len(job_ids)} jobs ({job_ids[0]} to {job_ids[-1]})"


_SEE = "ppilot job describe, ppilot help states"
VERBS = {
    "list": Verb(
        help="list jobs, the newest first",
        examples=(
            "ppilot job list",
            "ppilot job list --state failed --since 2h --format wide",
            "ppilot job list --json --fields job_id,status",
        ),
        configure=_configure_list,
        act=_list,
        see_also=_SEE,
    ),
    "describe": Verb(
        help="tell all about a job: what became of it, when, with which files, and why",
        examples=(
            "ppilot job describe 17",
            "ppilot job describe latest --utc",
            "ppilot job describe 17 --json",
        ),
        configure=_configure_describe,
        act=_describe,
        takes="ID...",
        see_also="ppilot job list, ppilot help states",
    ),
    "kill": Verb(
        help="end jobs",
        examples=(
            "ppilot job kill 17",
            "ppilot job kill 10-14,20 --yes",
            "ppilot job kill @ids.txt --dry-run",
        ),
        configure=_configure_destructive,
        act=_kill,
        takes="ID...",
        see_also=_SEE,
    ),
    "retry": Verb(
        help="make a next attempt at the work of failed or cancelled jobs",
        examples=(
            "ppilot job retry 17",
            "ppilot job list --state failed --format plain --fields job_id | ppilot job retry -",
        ),
        configure=_configure_retry,
        act=_retry,
        takes="ID...",
        see_also=_SEE,
    ),
    "debug": Verb(
        help="switch the debug mode of jobs: their pilot then writes more into its log",
        examples=("ppilot job debug on 17", "ppilot job debug off latest"),
        configure=_configure_debug,
        act=_debug,
        takes="on|off ID...",
        see_also="ppilot peek",
    ),
    "replay": replay.VERB,
}
