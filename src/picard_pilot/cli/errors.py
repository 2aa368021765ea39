"""`ppilot errors`: what jobs on the server fail of, and rules for what is unknown.

The counts are `server.errors`, proposed rules `diagnosis.proposal`; what a known error means is `cli.explain`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from picard_pilot.cli.contact import server
from picard_pilot.cli.exits import CommandTrouble, Exit, UsageTrouble
from picard_pilot.cli.frame import Call, Verb, add_options
from picard_pilot.cli.moments import shown
from picard_pilot.cli.screen import Column, clean
from picard_pilot.cli.since import since_of
from picard_pilot.settings.table import options_of

if TYPE_CHECKING:
    from picard_pilot.server.errors import Counted, ErrorSummary, GroupCount

SCHEMA = "ppilot.error/1"
TRANSFER_SCHEMA = "ppilot.failed-transfer/1"
UNKNOWN_SCHEMA = "ppilot.unknown-error/1"

MOST_LISTED = 200
"""What the server gives in one answer."""

SAMPLE_WIDTH = 80
"""Of what a job said, in a table; scripts get it whole."""

INDENT = "    "


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since", metavar="TIME", dest="only_since", help="only jobs that failed in the last 90, 15m, 2h, 3d"
    )
    parser.add_argument("-q", "--queue", metavar="QUEUE", dest="only_queue", help="only jobs of this queue")
    parser.add_argument("--owner", metavar="NAME", dest="only_owner", help="only jobs of this owner")
    parser.add_argument("--node", metavar="HOST", dest="only_node", help="only jobs on this node")
    parser.add_argument(
        "--limit", metavar="N", dest="limit", type=int, default=20, help="at most so many [default 20]"
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--utc", dest="clock", action="store_const", const="utc", default="age", help="times in UTC"
    )
    group.add_argument(
        "--local", dest="clock", action="store_const", const="local", help="times of this host's clock"
    )
    add_options(parser, options_of("job"))


def _configure_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--transfers", action="store_true", help="failed transfers by class and storage instead"
    )
    _configure(parser)


def _found(call: Call) -> ErrorSummary:
    """The counts that the flags choose. Raises UsageTrouble, and CommandTrouble of the server."""
    args = call.args
    if not 1 <= args.limit <= MOST_LISTED:
        raise UsageTrouble(
            f"--limit {args.limit} will not do", f"it is a number from 1 to {MOST_LISTED}", "Correct it"
        )
    filters = {
        "since": since_of(call),
        "queue": args.only_queue,
        "owner": args.only_owner,
        "node": args.only_node,
    }
    with server(call) as client:
        return client.errors({name: value for name, value in filters.items() if value})


def _list(call: Call) -> int:
    found = _found(call)
    rows = found.transfers if call.args.transfers else found.codes
    first = _TRANSFER_COLUMNS if call.args.transfers else _CODE_COLUMNS
    plain = [_plain(row) for row in rows[: call.args.limit]]
    call.screen.rows(
        TRANSFER_SCHEMA if call.args.transfers else SCHEMA, plain, (*first, *_counts(call.args.clock))
    )
    if not call.screen.json:
        if not rows:
            call.screen.say("no jobs failed" if not found.jobs else "no transfers failed")
        elif len(rows) > len(plain):
            call.screen.say(f"{len(plain)} of {len(rows)} errors; see more with --limit")
    return Exit.DONE


def _unknown(call: Call) -> int:
    found = _found(call)
    rows = [_proposed(group) for group in found.groups[: call.args.limit]]
    if call.screen.json or call.screen.fields or call.screen.format in ("csv", "plain"):
        call.screen.rows(UNKNOWN_SCHEMA, rows, _GROUP_COLUMNS)
        return Exit.DONE
    now = datetime.now(UTC)
    texts = (
        "\n".join(_told(group, row, call.args.clock, now))
        for group, row in zip(found.groups, rows, strict=False)
    )
    if rows:
        call.screen.text("\n\n".join(texts))
    else:
        call.screen.say("no job failed of something unknown")
    return Exit.DONE


def explain_fingerprint(call: Call, fingerprint: str) -> int:
    """What the server knows of the failures with this fingerprint. Raises CommandTrouble."""
    with server(call) as client:
        groups = client.errors({"fp": fingerprint}).groups
    if not groups:
        raise CommandTrouble(
            Exit.NOT_FOUND,
            f"No job has failed with {fingerprint}",
            "the server has no failure of this fingerprint",
            "`ppilot errors unknown` shows those that it has",
        )
    now = datetime.now(UTC)
    told = []
    for group in groups:
        told += [*_told(group, _proposed(group), "age", now), ""]
        told.append(f"It is told as {group.code} {group.name or ''}: `ppilot explain {group.code}`")
    told.append(f"Its jobs: `ppilot job list --fp {fingerprint}`")
    call.screen.record(UNKNOWN_SCHEMA, _proposed(groups[0]), "\n".join(told))
    return Exit.DONE


def _plain(row: Counted) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(row)
    return plain


def _proposed(group: GroupCount) -> dict[str, Any]:
    """The group with a rule for it, or why there is none."""
    from picard_pilot.diagnosis.proposal import Proposal, propose
    from picard_pilot.diagnosis.rulebook import CORE_RULES

    made = propose(group.name or "PAYLOADEXECUTIONFAILURE", group.text, group.sample, group.file, CORE_RULES)
    if not isinstance(made, Proposal):
        return {**_plain(group), "rule": None, "flaws": [], "no_rule": made}
    return {**_plain(group), "rule": made.source, "flaws": list(made.flaws), "no_rule": None}


def _told(group: GroupCount, row: dict[str, Any], clock: str, now: datetime) -> Iterator[str]:
    """For people: how many, what they share, how one wrote it, and a rule."""
    yield (
        f"{group.fingerprint}  {_count(group.jobs, 'job')} on {_count(group.nodes, 'node')}, "
        f"{_count(group.users, 'user')}, {_count(group.queues, 'queue')}; first {shown(group.first_at, clock, now)}, "
        f"last {shown(group.last_at, clock, now)}: job {group.last_job_id}"
    )
    yield "  what they share:"
    yield from _indented(group.text or "(was not told)")
    if group.sample:
        yield f"  as one of them wrote it to {clean(group.file) or 'its log'}:"
        yield from _indented(group.sample)
    if row["rule"] is None:
        yield f"  no rule is proposed: {row['no_rule']}"
        return
    yield "  a rule for it, to go beside the others once error, sentence and advice are right:"
    yield from _indented(row["rule"])
    for flaw in row["flaws"]:
        yield f"  its check says: {clean(flaw)}"


def _indented(text: str) -> Iterator[str]:
    return (INDENT + clean(line) for line in text.splitlines())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _sample(text: str | None) -> str:
    from picard_pilot.server.pages.words import shorten

    return clean(shorten(" ".join((text or "").split()), SAMPLE_WIDTH)) or "-"


def _counts(clock: str) -> tuple[Column, ...]:
    now = datetime.now(UTC)

    def when(text: str) -> str:
        return shown(datetime.fromisoformat(text), clock, now)

    return (
        Column("jobs", "JOBS"),
        Column("nodes", "NODES"),
        Column("users", "USERS"),
        Column("queues", "QUEUES"),
        Column("first_at", "FIRST", show=when, wide=True),
        Column("last_at", "LAST", show=when),
        Column("last_job_id", "NEWEST"),
        Column("sample", "IT SAID", show=_sample),
    )


_CODE_COLUMNS = (
    Column("component", "OF", wide=True),
    Column("code", "CODE"),
    Column("name", "NAME", show=lambda text: text or "-"),
    Column("blame", "WHO CAN ACT", show=lambda text: clean(text or "-")),
)
_TRANSFER_COLUMNS = (
    Column("finer", "FAILURE", show=clean),
    Column("endpoint", "STORAGE", show=lambda text: clean(text or "-")),
    Column("code", "CODE"),
    Column("name", "NAME", wide=True, show=lambda text: text or "-"),
)
_GROUP_COLUMNS = (
    *(Column(name, name.upper()) for name in ("fingerprint", "code", "jobs", "nodes", "users", "queues")),
    *(Column(name, name.upper()) for name in ("first_at", "last_at", "last_job_id", "text", "sample", "file", "rule")),
)  # fmt: skip

_SEE = "ppilot explain, ppilot job list --fp"
VERBS = {
    "list": Verb(
        help="what jobs fail of, the most frequent first",
        examples=(
            "ppilot errors list --since 1d",
            "ppilot errors list --transfers --queue ANALY_X",
            "ppilot errors list --json",
        ),
        configure=_configure_list,
        act=_list,
        see_also=_SEE,
    ),
    "unknown": Verb(
        help="errors that no rule explains, each with a proposed rule",
        examples=(
            "ppilot errors unknown",
            "ppilot errors unknown --since 7d --limit 3",
            "ppilot errors unknown --json",
        ),
        configure=_configure,
        act=_unknown,
        see_also=_SEE,
    ),
}
