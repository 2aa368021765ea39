"""`ppilot peek`, also `ppeek`: what a job's pilot has sent of its output: its end, or an extract of the logs.

Sending it is the pilot's.
"""

import argparse

from picard_pilot.cli import ids
from picard_pilot.cli.contact import server
from picard_pilot.cli.exits import CommandTrouble, Exit
from picard_pilot.cli.frame import Call, Verb, add_options
from picard_pilot.cli.job import chosen
from picard_pilot.settings.table import options_of


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", nargs=1, metavar="ID", help=ids.HELP)
    parser.add_argument(
        "--pilot", action="store_true", help="the extract of the logs, even where there is newer output"
    )
    add_options(parser, options_of("peek"))


def _peek(call: Call) -> int:
    with server(call) as client:
        detail = client.job(chosen(call, client)[0])
    row = detail.row
    if detail.debug_stdout is not None and not call.args.pilot:
        what, text = "payload.stdout", detail.debug_stdout
    elif detail.pilot_log is not None:
        what, text = "extract of the logs", detail.pilot_log
    else:
        raise CommandTrouble(
            Exit.NOT_FOUND,
            f"Nothing that job {row.job_id} wrote has been sent",
            f"it is {row.status}; its pilot sends an extract when a job has failed",
            f"`ppilot job describe {row.job_id}` says where it is, and where its log archive lies",
        )
    call.screen.say(f"== {what} of job {row.job_id}, {row.status} ==")
    data = {"job_id": row.job_id, "status": row.status, "file": what, "text": text}
    call.screen.record("ppilot.peek/1", data, readable(text))
    return Exit.DONE


def readable(text: str) -> str:
    """Output that others wrote, with line breaks kept and everything else that steers a terminal made visible."""
    return "".join(char if char.isprintable() or char in "\n\t" else repr(char)[1:-1] for char in text)


VERBS = {
    "peek": Verb(
        help="show what a job's pilot has sent of its output",
        examples=("ppilot peek 17", "ppeek latest", "ppeek 17 --pilot"),
        configure=_configure,
        act=_peek,
        takes="ID",
        see_also="ppilot job debug, ppilot job describe",
    )
}
