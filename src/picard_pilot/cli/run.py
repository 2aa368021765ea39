"""`ppilot run`: the pilot. Takes today's pilot's flags too, and says which of them have no effect.

What the pilot does is `pilot`.
"""

import argparse
import os
from collections.abc import Sequence
from typing import Any

from picard_pilot.cli.exits import UsageTrouble
from picard_pilot.cli.frame import Call, Verb, add_options
from picard_pilot.settings.address import server_address
from picard_pilot.settings.environment import server_data_dir
from picard_pilot.settings.pilot3 import OLD_FLAGS, OldFlag
from picard_pilot.settings.read import SettingsTrouble
from picard_pilot.settings.settings import Settings
from picard_pilot.settings.table import options_of


class _Old(argparse.Action):
    """Remembers that a flag of today's pilot was given, and refuses what it would be wrong to ignore."""

    def __init__(self, option_strings: Sequence[str], dest: str, old: OldFlag, **more: Any) -> None:
        super().__init__(
            option_strings, dest, nargs=None if old.takes_value else 0, help=argparse.SUPPRESS, **more
        )
        self.old = old

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        flag: str | None = None,
    ) -> None:
        """Note the flag. Raises UsageTrouble for a value that asks for another way of working."""
        if self.old.only and values not in self.old.only:
            raise UsageTrouble(
                f"ppilot run: {flag} {values} cannot be obeyed",
                self.old.why,
                f"Leave the flag out, or give it as {flag} {self.old.only[0]}",
            )
        if not (self.old.takes_value and values in self.old.expected):
            namespace.old_flags = {**getattr(namespace, "old_flags", {}), flag: self.old.why}


class _Verbose(argparse.Action):
    """`-v`: alone or as `-vv` it means what it means everywhere; with a number it is today's pilot's."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        flag: str | None = None,
    ) -> None:
        """Count, or note the old meaning."""
        if values is None or set(values) == {"v"}:
            namespace.debug = "yes"
            return
        why = next(old.why for old in OLD_FLAGS if "--getjobrequests" in old.flags)
        namespace.old_flags = {**getattr(namespace, "old_flags", {}), f"-v {values}": why}


def _configure(parser: argparse.ArgumentParser) -> None:
    add_options(parser, options_of("run"), old_flags=True)
    # In a group, though help shows none of them: argparse tries how each flag of the parser itself would look in
    # help, for which it asks the terminal for its width and imports four ways to compress.
    hidden = parser.add_argument_group()
    hidden.add_argument("-v", nargs="?", action=_Verbose, dest="verbose_or_old", help=argparse.SUPPRESS)
    for number, old in enumerate(OLD_FLAGS):
        hidden.add_argument(*old.flags, action=_Old, dest=f"old_{number}", old=old)


def _run(call: Call) -> int:
    for flag, why in getattr(call.args, "old_flags", {}).items():
        call.screen.warn(f"{flag} has no effect: {why}")
    if call.settings.queue is None:
        raise UsageTrouble(
            "ppilot run: no queue is named",
            "neither --queue nor PICARD_QUEUE nor the settings file names one",
            "Say which queue's jobs to run: ppilot run -q MY_QUEUE",
        )
    settings = call.settings if call.settings.server_url is not None else with_own_server(call)
    server_address(settings)
    from picard_pilot.pilot.main import run_pilot

    return run_pilot(settings, dict(os.environ))


def with_own_server(call: Call) -> Settings:
    """The settings with the server that this user runs on this host. Raises UsageTrouble where none runs.

    As the other commands do it; a batch system's pilots are told their server, and do not come here.
    """
    import msgspec

    from picard_pilot.server import control

    settings = call.settings
    try:
        data_dir = server_data_dir(os.environ, settings)
        running = control.status(data_dir)
    except SettingsTrouble:  # no home, no server in it
        running = None
    if running is None:
        raise UsageTrouble(
            "No PanDA server is named",
            "neither --server nor PICARD_SERVER nor the settings file gives an address, and none runs on this host",
            "Say which one: --server https://panda.example.org:25443; or start one here: ppilot server start",
        )
    call.screen.say(f"no server is named; taking the one on this host, {running.url}")
    named = settings.token_file or os.environ.get("BEARER_TOKEN") or os.environ.get("BEARER_TOKEN_FILE")
    return msgspec.structs.replace(
        settings,
        server_url=running.url,
        plain_http=settings.plain_http or running.ca_file is None,
        ca=settings.ca or running.ca_file,
        token_file=settings.token_file if named else str(control.token_file(data_dir, "pilot")),
    )


VERBS = {
    "run": Verb(
        help="take jobs from a PanDA server and run them here",
        examples=(
            "ppilot run -q MY_QUEUE --server https://panda.example.org:25443 --site-file site.toml",
            "ppilot run -q MY_QUEUE --site-file site.toml --jobs 1 --no-cleanup",
            "PICARD_QUEUE=MY_QUEUE ppilot run --lifetime 12h --workdir /scratch",
        ),
        configure=_configure,
        act=_run,
        see_also="ppilot help signals, ppilot help files",
        agent=True,
    )
}
