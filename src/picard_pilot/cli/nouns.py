"""The commands and where each is; nothing of them is imported until it is called.

A new command is a file beside this one and a row here.
"""

from typing import NamedTuple


class Entry(NamedTuple):
    """A command: its module, what it does in one line, and its verbs (none: the command is one act)."""

    module: str
    help: str
    verbs: tuple[str, ...] = ()


NOUNS: dict[str, Entry] = {
    "demo": Entry("picard_pilot.cli.demo", "run real jobs on a server of their own, live in this terminal"),
    "run": Entry("picard_pilot.cli.run", "the pilot: take jobs from a PanDA server and run them here"),
    "submit": Entry("picard_pilot.cli.submit", "give a job to the server"),
    "peek": Entry("picard_pilot.cli.peek", "show what a job's pilot has sent of its output (ppeek)"),
    "job": Entry(
        "picard_pilot.cli.job", "jobs on the server", ("list", "describe", "kill", "retry", "debug", "replay")
    ),
    "diagnose": Entry(
        "picard_pilot.cli.diagnose", "what went wrong, from a job's directory, log archive or log"
    ),
    "errors": Entry("picard_pilot.cli.errors", "what jobs on the server fail of", ("list", "unknown")),
    "cost": Entry("picard_pilot.cli.cost", "where slot time went, and what it was lost to"),
    "explain": Entry("picard_pilot.cli.explain", "what an error means and what to do about it"),
    "recover": Entry(
        "picard_pilot.cli.recover",
        "jobs that pilots left on this disk, and what of them is left on the node",
        ("list", "run", "discard", "receipts"),
    ),
    "server": Entry(
        "picard_pilot.cli.server",
        "a PanDA-compatible server on this host",
        ("start", "status", "stop", "token"),
    ),
    "plugin": Entry("picard_pilot.cli.plugin", "experiments and movers", ("list", "show", "check")),
    "config": Entry("picard_pilot.cli.config", "settings and where they come from", ("show", "path")),
    "completion": Entry("picard_pilot.cli.completion", "completion scripts for bash, zsh, fish and tcsh"),
    "help": Entry("picard_pilot.cli.help", "about states, exit codes, environment, files, signals"),
}
