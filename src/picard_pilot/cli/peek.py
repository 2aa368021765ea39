"""`ppilot peek`, also `ppeek`: the end of a job's output, as its pilot sent it last."""

import argparse

from picard_pilot.cli import ids
from picard_pilot.cli.contact import server
from picard_pilot.cli.exits import CommandTrouble, Exit
from picard_pilot.cli.frame import Call, Verb, add_options
from picard_pilot.cli.job import chosen
from picard_pilot.settings.table import options_of

_FINAL = ("finished", "failed", "cancelled", "closed")


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", nargs=1, metavar="ID", help=ids.HELP)
    parser.add_argument(
        "--pilot", action="store_true", help="the end of the pilot's log instead of the payload's output"
    )
    add_options(parser, options_of("peek"))


def _peek(call: Call) -> int:
    with server(call) as client:
        detail = client.job(chosen(call, client)[0])
    row = detail.row
    text = detail.pilot_log if call.args.pilot else detail.debug_stdout
    what = "pilotlog.txt" if call.args.pilot else "payload.stdout"
    if text is None:
        raise CommandTrouble(
            Exit.NOT_FOUND,
            f"No output of job {row.job_id} has been sent",
            f"it is {row.status}, and its debug mode is {'on' if row.debug else 'off'}",
            "Its log archive has all: `ppilot job describe` says where"
            if row.status in _FINAL
            else f"Ask its pilot for it: `ppilot job debug on {row.job_id}`",
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
        help="show the end of a job's output, as its pilot sent it last",
        examples=("ppilot peek 17", "ppeek latest", "ppeek 17 --pilot"),
        configure=_configure,
        act=_peek,
        takes="ID",
        see_also="ppilot job debug, ppilot job describe",
    )
}
