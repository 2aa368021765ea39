"""`ppilot recover receipts`: what pilots could not remove from this node, or left on purpose, with its job.

The receipts are written by `pilot.receipt` and read by `system.ledger`.
"""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from picard_pilot.cli import moments
from picard_pilot.cli.exits import Exit
from picard_pilot.cli.frame import Call, Verb, add_options
from picard_pilot.cli.screen import Column, clean
from picard_pilot.settings.environment import scratch_directory
from picard_pilot.settings.table import options_of

SCHEMA = "ppilot.receipt-entry/1"
WORDS = ("remains", "doubtful", "kept", "removed")
"""The parts of a receipt that name things, what asks for somebody first."""


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="work directories of pilots [default: where a pilot would work]",
    )
    parser.add_argument(
        "--all", action="store_true", help="also what was kept on purpose and what was removed"
    )
    add_options(parser, options_of("job"))


def _receipts(call: Call) -> int:
    rows = [row for path in _paths(call) for row in _rows(path, WORDS if call.args.all else WORDS[:2])]
    now = datetime.now(UTC)

    def moment(text: str) -> str:
        return moments.shown(datetime.fromisoformat(text), "age", now)

    columns = (
        Column("job_id", "JOB", show=lambda number: "-" if number is None else str(number)),
        Column("state", "STATE"),
        Column("says", "WHAT", show=clean),
        Column("why", "WHY", show=clean),
        Column("since", "SINCE", show=moment),
        Column("host", "HOST", show=clean),
        Column("pilot", "PILOT", wide=True, show=clean),
        Column("workdir", "WHERE", wide=True, show=clean),
    )
    call.screen.rows(SCHEMA, rows, columns)
    if not rows and not call.screen.json:
        places = ", ".join(map(str, _paths(call)))
        call.screen.say(f"by the receipts in {places} nothing of their pilots is left on the node")
    return Exit.DONE


def _rows(workdir: Path, words: tuple[str, ...]) -> list[dict[str, Any]]:
    """One for each thing."""
    from picard_pilot.system.ledger import receipts

    return [
        {
            "job_id": entry.job_id,
            "state": word,
            "kind": entry.kind,
            "says": entry.says,
            "why": entry.why,
            "since": datetime.fromtimestamp(receipt.at, UTC).isoformat(),
            "host": receipt.host,
            "pilot": receipt.pilot,
            "workdir": str(workdir),
        }
        for receipt in receipts(workdir)
        for word in words
        for entry in getattr(receipt, word)
    ]


def _paths(call: Call) -> list[Path]:
    if call.args.paths:
        return [Path(path).absolute() for path in call.args.paths]
    return [Path(call.settings.workdir or scratch_directory(os.environ) or ".").absolute()]


RECEIPTS = Verb(
    help="list what pilots could not remove from the node, and what nobody can assign, with its job",
    examples=("ppilot recover receipts", "ppilot recover receipts /scratch/pilots --all --json"),
    configure=_configure,
    act=_receipts,
    takes="[PATH...]",
    see_also="docs/clean-node.md, ppilot help files",
)
