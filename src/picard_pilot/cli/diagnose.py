"""`ppilot diagnose`: what went wrong, from what is left on disk. Finding it is `tools.diagnose`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from picard_pilot.cli.exits import CommandTrouble, Exit, UsageTrouble
from picard_pilot.cli.frame import Call, Verb
from picard_pilot.cli.screen import clean

if TYPE_CHECKING:
    from picard_pilot.model.fault import Evidence, Fault
    from picard_pilot.tools.diagnose import Diagnosis

SCHEMA = "ppilot.diagnosis/1"

MOST = 5


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path",
        metavar="PATH",
        help="a job's directory, its log archive (ours or of today's pilot), or a log",
    )
    parser.add_argument(
        "--max", metavar="N", type=int, dest="most", default=MOST, help=f"so many causes [default {MOST}]"
    )
    parser.add_argument(
        "--all", action="store_true", dest="whole", help="read all of a log, not its ends only"
    )
    parser.add_argument(
        "--bundle",
        metavar="FILE.tgz",
        help="also write an archive for a ticket: summary and logs, without secrets",
    )


def _act(call: Call) -> int:
    from picard_pilot.tools.diagnose import diagnose
    from picard_pilot.tools.unpack import NoRemains

    if call.args.most < 1:
        raise UsageTrouble(f"--max {call.args.most} will not do", "it is a number from 1", "Correct it")
    try:
        found = diagnose(Path(call.args.path), whole=call.args.whole)
    except NoRemains as problem:
        raise CommandTrouble(Exit.NOT_FOUND, problem.what, problem.evidence, problem.next_step) from None
    if call.args.bundle:
        _pack(call, found)
    text = "\n".join(lines(found, call.args.most))
    data: dict[str, Any] = msgspec.to_builtins(found)
    data["causes"] = data["causes"][: call.args.most]
    call.screen.record(SCHEMA, data, text)
    if found.causes:
        return Exit.PROBLEMS_FOUND
    return Exit.DONE if found.good else Exit.NOT_FOUND


def _pack(call: Call, found: Diagnosis) -> None:
    from picard_pilot.tools import ticket

    target = Path(call.args.bundle)
    try:
        names = ticket.pack(Path(call.args.path), found, "\n".join(summary(found)) + "\n", target)
    except ticket.NoTicket as problem:
        raise CommandTrouble(Exit.FAILED, problem.what, problem.evidence, problem.next_step) from None
    call.screen.say(f"{target}: {len(names)} files, without secrets")


def lines(found: Diagnosis, most: int) -> Iterator[str]:
    """For people: what it is, how it ended, the likeliest cause first."""
    yield _about(found)
    for note in found.notes:
        yield f"note: {clean(note)}"
    if not found.causes:
        yield "nothing went wrong" if found.good else "nothing in it is recognised as a failure"
    for number, cause in enumerate(found.causes[:most], 1):
        yield ""
        yield f"{number}. {cause.code} {cause.name}: {clean(cause.says)}"
        for one in cause.evidence:
            yield f"   {_place(one)}{clean(one.text)}"
        yield f"   who can act: {cause.blame}; found by {cause.rule}"
        yield f"   next: {clean(cause.next_step)}"
    if len(found.causes) > most:
        yield ""
        yield f"{len(found.causes) - most} more with --max {len(found.causes)}"


def _about(found: Diagnosis) -> str:
    who = (
        "a log"
        if found.kind == "log"
        else f"a {found.kind}"
        if found.job_id is None
        else f"job {found.job_id}"
    )
    attempt = "" if found.attempt_nr is None else f", attempt {found.attempt_nr}"
    ended = "" if found.ended is None else f"; its payload ended with {found.ended}"
    state = "" if found.state is None else f", {found.state.replace('_', ' ')}"
    return f"{clean(found.path)}: {who}{attempt}{state}{ended}"


def _place(one: Evidence) -> str:
    if one.file is None:
        return ""
    line = (
        f":{one.line}" if one.line is not None else f" at byte {one.offset}" if one.offset is not None else ""
    )
    return f"{clean(one.file)}{line}: "


def summary(found: Diagnosis) -> Iterator[str]:
    """The same as a page for a ticket."""
    yield f"# {_about(found)}"
    yield ""
    yield from (f"- {note}" for note in found.notes)
    for number, cause in enumerate(found.causes, 1):
        yield ""
        yield f"## {number}. {cause.code} {cause.name}"
        yield ""
        yield cause.says
        yield ""
        yield from _facts(cause)
        yield from _quoted(cause.evidence)


def _facts(cause: Fault) -> Iterator[str]:
    yield f"- who can act: {cause.blame}"
    yield f"- can a retry help: {cause.retry}"
    yield f"- found by: `{cause.rule}`"
    for name, value in (
        ("transfer", cause.finer),
        ("storage", cause.endpoint),
        ("fingerprint", cause.fingerprint),
    ):
        if value is not None:
            yield f"- {name}: {value}"
    yield f"- next: {cause.next_step}"


def _quoted(evidence: Sequence[Evidence]) -> Iterator[str]:
    if evidence:
        yield ""
        yield "```"
        yield from (f"{_place(one)}{clean(one.text)}".replace("```", "'''") for one in evidence)
        yield "```"


VERBS = {
    "diagnose": Verb(
        help="what went wrong with a job, from its directory, its log archive or a log",
        examples=(
            "ppilot diagnose PanDA_Pilot-17",
            "ppilot diagnose log.17.tgz --bundle ticket.tgz",
            "ppilot diagnose payload.stdout --all",
        ),
        configure=_configure,
        act=_act,
        takes="PATH",
        see_also="ppilot explain, ppilot job replay",
        needs_settings=False,
    )
}
