"""`ppilot submit`: give jobs to the server, described by flags and a command, or by a file.

What a job's description may hold is `wire.jobspec`; making one from flags is `cli.job_spec`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from picard_pilot.cli.contact import server
from picard_pilot.cli.exits import CommandTrouble, Exit, UsageTrouble
from picard_pilot.cli.frame import Call, Parser, Verb, add_options
from picard_pilot.cli.job_spec import from_file, from_flags
from picard_pilot.cli.screen import Column, clean
from picard_pilot.settings.table import options_of

if TYPE_CHECKING:
    from picard_pilot.server.views import JobRow
    from picard_pilot.tools.client import Client

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
"""While waiting for jobs the server is asked at growing intervals: a person notices five seconds, a server hardly."""

_FINAL = ("finished", "failed", "cancelled", "closed")


def _configure(parser: Parser) -> None:
    job = parser.add_argument_group("the job")
    job.add_argument("--name", help="its name")
    job.add_argument("--cores", type=int, metavar="N", help="cores that it needs [default 1]")
    job.add_argument("--mem", metavar="SIZE", help="memory that it needs, in MB or as in 4GiB")
    job.add_argument("--disk", metavar="SIZE", help="disk that it needs, in MB or as in 20GiB")
    job.add_argument("--walltime", metavar="TIME", help="time that it needs, as in 90, 15m or 2h")
    job.add_argument("--scope", metavar="SCOPE", help="scope of its files, unless one is given with a file")
    job.add_argument(
        "--input", action="append", default=[], metavar="FILE", dest="spec_inputs",
        help="input [SCOPE:]LFN[=PATH][@ENDPOINT]; with PATH its size and checksum are taken from that file",
    )  # fmt: skip
    job.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="FILE",
        dest="spec_outputs",
        help="output [SCOPE:]LFN[@ENDPOINT]",
    )
    job.add_argument(
        "--log", metavar="LFN[@ENDPOINT]", dest="spec_log", help="name of the log archive, or none"
    )
    job.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", dest="spec_env", help="a variable for it"
    )
    job.add_argument("--image", metavar="IMAGE", help="container image to run it in")
    job.add_argument("--label", metavar="LABEL", dest="spec_label", help="kind of job (prodSourceLabel)")
    job.add_argument("--retries", type=int, metavar="N", help="attempts after a failed one [default 0]")
    job.add_argument(
        "--recover",
        "--useJobRecovery",
        action="store_true",
        dest="spec_recover",
        help="keep its outputs on the node when no storage takes them, until one does or the server gives it up",
    )
    job.add_argument(
        "--debug",
        action="store_true",
        dest="spec_debug",
        help="in debug mode: its pilot writes more into its log",
    )
    parser.add_argument(
        "--wait", action="store_true", help="wait for its end; exit 0 if it finished, 1 if not"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show the job's description")
    parser.add_argument("words", nargs="*", metavar="FILE", help="description as JSON or TOML (*.toml)")
    parser.takes_command = True
    add_options(parser, options_of("submit"))


def _submit(call: Call) -> int:
    specs = _specs(call)
    if call.args.dry_run:
        call.screen.rows("ppilot.job-spec/1", specs, [Column(name, name) for name in specs[0]])
        return Exit.DONE
    with server(call) as client:
        job_ids = client.submit(specs)
        if not call.args.wait:
            return _submitted(call, job_ids)
        call.screen.say(f"submitted: {', '.join(map(str, job_ids))}; waiting for the end")
        ends = _wait(call, client, job_ids)
    rows = [
        {"job_id": job_id, "status": end.status, "last_job_id": end.job_id}
        for job_id, end in zip(job_ids, ends, strict=True)
    ]
    call.screen.rows("ppilot.submitted/1", rows, (Column("job_id", "JOB"), Column("status", "STATE")))
    for end in ends:
        for error in end.errors:
            call.screen.say(
                f"job {end.job_id}: {error.component} {error.code}: {clean(error.diag or 'no text')}"
            )
    return Exit.DONE if all(end.status == "finished" for end in ends) else Exit.FAILED


def _specs(call: Call) -> list[dict[str, object]]:
    """The descriptions of the jobs. A file is one word without `--` before it."""
    words: list[str] = call.args.words
    command: list[str] | None = call.args.behind_dashes
    if not words and not command:
        raise UsageTrouble(
            "ppilot submit: there is no job",
            "neither a file nor a command is given",
            "Try `ppilot submit -q MY_QUEUE -- echo hello`",
        )
    if command and not words:
        return [from_flags(call.args, call.settings.queue, command)]
    if command:
        raise UsageTrouble(
            f"ppilot submit: {words[0]!r} is not understood",
            "a job is described by a file or by a command, not by both",
            f"Leave {words[0]!r} out, or the command",
        )
    if len(words) > 1:
        raise UsageTrouble(
            f"ppilot submit: {words[0]!r} is not understood",
            "a command stands behind --",
            f"Try `ppilot submit -- {' '.join(words)}`",
        )
    return from_file(words[0], call.settings.queue)


def _submitted(call: Call, job_ids: list[int]) -> int:
    call.screen.say(f"see what becomes of it: ppilot job describe {job_ids[0]}")
    if call.screen.quiet and not call.screen.json:
        call.screen.text("\n".join(map(str, job_ids)))
    else:
        rows = [{"job_id": job_id} for job_id in job_ids]
        call.screen.rows("ppilot.submitted/1", rows, (Column("job_id", "JOB"),))
    return Exit.DONE


def _wait(call: Call, client: Client, job_ids: list[int]) -> list[JobRow]:
    """The last attempt of each job once it has ended. Raises CommandTrouble after --timeout, if it was given."""
    limited = call.reading.origins["client_timeout_s"].startswith("flag")
    deadline = time.monotonic() + call.settings.client_timeout_s if limited else None
    pause_s = FIRST_PAUSE_S
    ends: list[JobRow] = []
    for job_id in job_ids:
        while (last := client.job(job_id).attempts[-1]).status not in _FINAL:
            if deadline is not None and time.monotonic() + pause_s > deadline:
                raise CommandTrouble(
                    Exit.TIMED_OUT,
                    f"Job {last.job_id} has not ended in time",
                    f"it is {last.status}" + (f", in the phase {last.sub_status}" if last.sub_status else ""),
                    f"It goes on; look at it with `ppilot job describe {last.job_id}`",
                )
            # The protocol of PanDA has no call that waits for a job's end, so there is nothing to await.
            time.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 1.5)
        ends.append(last)
    return ends


VERBS = {
    "submit": Verb(
        help="give a job to the server",
        examples=(
            "ppilot submit -q MY_QUEUE -- python3 analysis.py --events 1000",
            "ppilot submit -q MY_QUEUE --scope user.me --input events.root --output histogram.root --wait -- ./fit.sh",
            "ppilot submit jobs.toml --dry-run",
            "ppilot submit -q MY_QUEUE --retries 2 --quiet -- ./fit.sh",
        ),
        configure=_configure,
        act=_submit,
        takes="FILE | -- COMMAND...",
        see_also="ppilot job describe, ppilot job list",
    )
}
