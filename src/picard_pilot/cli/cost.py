"""`ppilot cost`: where slot time went. The sums are `server.costs`, a journal's part `tools.cost`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from picard_pilot.cli import moments
from picard_pilot.cli.contact import server
from picard_pilot.cli.exits import Exit, UsageTrouble
from picard_pilot.cli.frame import Call, Verb, add_options
from picard_pilot.cli.screen import Column, clean
from picard_pilot.cli.since import since_of
from picard_pilot.model.cost import COSTLY
from picard_pilot.settings.table import options_of

if TYPE_CHECKING:
    from picard_pilot.server.costs import CostSummary, Part

SCHEMA = "ppilot.cost/1"
JOB_SCHEMA = "ppilot.job-cost/1"


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="work directories of pilots, or directories of jobs: their journals tell it, no server is asked",
    )
    parser.add_argument("-q", "--queue", metavar="QUEUE", dest="only_queue", help="only jobs of this queue")
    parser.add_argument("--owner", metavar="NAME", dest="only_owner", help="only jobs of this owner")
    parser.add_argument(
        "--since", metavar="TIME", dest="only_since", help="only jobs that ended in the last 90, 15m, 2h, 3d"
    )
    add_options(parser, options_of("job"))


def _act(call: Call) -> int:
    return _of_journals(call) if call.args.paths else _of_server(call)


def _of_server(call: Call) -> int:
    filters = {"queue": call.args.only_queue, "owner": call.args.only_owner, "since": since_of(call)}
    with server(call) as client:
        found = client.cost({name: value for name, value in filters.items() if value})
    data: dict[str, Any] = msgspec.to_builtins(found)
    call.screen.record(SCHEMA, data, "\n".join(_lines(found)))
    return Exit.DONE


def _of_journals(call: Call) -> int:
    from picard_pilot.tools import cost, left

    if call.args.only_queue or call.args.only_owner or call.args.only_since:
        raise UsageTrouble(
            "--queue, --owner and --since choose among a server's jobs",
            "with PATH the jobs are those in the directories",
            "Leave one of them out",
        )
    told = [cost.read(path, time.time()) for path in left.directories(map(Path, call.args.paths))]
    rows = []
    for one in told:
        row: dict[str, Any] = msgspec.to_builtins(one)
        row["core_s"] = None if one.cost is None else round(one.cost.core_s(), 1)
        rows.append(row)
    call.screen.rows(JOB_SCHEMA, rows, _COLUMNS)
    if not rows and not call.screen.json:
        call.screen.say("no jobs are there")
    return Exit.DONE


def _phases_text(cost: dict[str, Any] | None) -> str:
    if cost is None:
        return "-"
    spent = cost.get("wall_s", {})
    return (
        ", ".join(f"{name} {moments.duration(spent[name])}" for name in spent if spent[name] >= 1)
        or "less than 1s"
    )


def _lost_text(cost: dict[str, Any] | None) -> str:
    if cost is None or cost.get("error") is None:
        return "-"
    return f"{cost['error']} ({cost['blame']})"


_COLUMNS = (
    Column("job_id", "JOB"),
    Column("attempt_nr", "ATTEMPT", wide=True),
    Column("state", "STATE", show=lambda text: text or "unknown"),
    Column("core_s", "CORE TIME", show=lambda value: "-" if value is None else moments.duration(value)),
    Column("cost", "PHASES", show=_phases_text),
    Column("cost", "LOST TO", show=_lost_text),
    Column("obstacle", "OBSTACLE", wide=True, show=lambda text: clean(text or "-")),
    Column("directory", "WHERE", show=clean),
)


def _lines(found: CostSummary) -> Iterator[str]:
    """For people: what went where, what was lost to whom, what was saved."""
    total = found.good.total_s + found.lost.total_s
    jobs = found.good.jobs + found.lost.jobs
    if not jobs:
        yield "No attempt has ended that a pilot ever had."
        return
    yield (
        f"{_count(jobs, 'attempt')} took {_core_time(total)} of slots: "
        f"{_percent(found.good.total_s, total)} good, {_percent(found.lost.total_s, total)} lost"
    )
    yield (
        f"their payloads used {_core_time(found.good.cpu_s + found.lost.cpu_s)} of CPU;"
        f" {moments.size(found.good.bytes_in + found.lost.bytes_in)} were copied in,"
        f" {moments.size(found.good.bytes_out + found.lost.bytes_out)} stored"
    )
    yield ""
    phases = [
        (phase.value, found.good.core_s.get(phase, 0.0), found.lost.core_s.get(phase, 0.0))
        for phase in COSTLY
    ]
    yield from _table(
        ("PHASE", "GOOD", "LOST", "OF ALL"),
        (
            (name, _core_time(good), _core_time(lost), _percent(good + lost, total))
            for name, good, lost in phases
        ),
    )
    if found.causes:
        yield ""
        yield from _table(
            ("LOST TO", "BLAME", "ATTEMPTS", "CORE TIME", "CPU TIME", "COPIED IN", "STORED", "OF ALL"),
            (
                (f"{cause.code or ''} {cause.name}".strip(), cause.blame, *_lost(cause.part, total))
                for cause in found.causes
            ),
        )
        yield ""
        yield from _table(
            ("BLAME", "ATTEMPTS", "CORE TIME", "CPU TIME", "COPIED IN", "STORED", "OF ALL"),
            ((blame, *_lost(part, total)) for blame, part in found.blames.items()),
        )
    if len(found.attempts) > 1:
        yield ""
        yield from _table(
            ("ATTEMPT", "GOOD", "LOST"),
            (
                (str(one.number), _core_time(one.good.total_s), _core_time(one.lost.total_s))
                for one in found.attempts
            ),
        )
    yield from _saved(found)


def _saved(found: CostSummary) -> Iterator[str]:
    words = {"recovery": "a later pilot", "alternative": "an alternative storage"}
    lines = [
        f"saved by {words.get(one.by, one.by)}: {_count(one.jobs, 'job')}, {_core_time(one.core_s)} of their payloads"
        for one in found.saved
    ]
    if found.spared:
        lines.append(f"saved by the breaker: {_count(found.spared, 'request')} to sick storages not made")
    if found.told_by_server:
        lines.append(
            f"no pilot lived to tell of {_count(found.told_by_server, 'attempt')}: their last heartbeat counts"
        )
    if lines:
        yield ""
        yield from lines


def _lost(part: Part, total: float) -> tuple[str, ...]:
    moved = moments.size(part.bytes_in), moments.size(part.bytes_out)
    spent = _core_time(part.total_s), _core_time(part.cpu_s)
    return str(part.jobs), *spent, *moved, _percent(part.total_s, total)


def _core_time(seconds: float) -> str:
    return f"{seconds:.2f}s" if seconds < 60 else moments.duration(seconds)


def _percent(part: float, total: float) -> str:
    return f"{100 * part / total:.1f} %" if total > 0 else "-"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    lines = [titles, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(titles))]
    for line in lines:
        yield "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()


VERBS = {
    "cost": Verb(
        help="where slot time went: by phase, by what it was lost to, and what was saved",
        examples=(
            "ppilot cost --since 7d",
            "ppilot cost --queue ANALY_X --json",
            "ppilot cost /scratch/pilot",
        ),
        configure=_configure,
        act=_act,
        takes="[PATH...]",
    )
}
