"""`ppilot demo`: real jobs on a server of their own. What it does is `tools.demo`."""

import argparse
import sys

from picard_pilot.cli.frame import Call, Verb, add_options
from picard_pilot.settings.table import options_of


def _configure(parser: argparse.ArgumentParser) -> None:
    add_options(parser, options_of("demo"))


def _demo(call: Call) -> int:
    import asyncio

    from picard_pilot.tools.demo import DemoOptions, run_demo

    settings = call.settings
    options = DemoOptions(
        jobs=settings.demo_jobs,
        pilots=settings.demo_pilots,
        fail=settings.demo_fail,
        port=settings.demo_port,
        open_browser=settings.demo_open,
        keep=settings.demo_keep,
        seconds=settings.demo_seconds,
    )
    if not call.screen.json:
        return asyncio.run(run_demo(options))
    code = asyncio.run(run_demo(options, sys.stderr))
    call.screen.record("ppilot.demo/1", {"as_foreseen": code == 0, "exit_code": code}, "")
    return code


VERBS = {
    "demo": Verb(
        help="run real jobs on a server of their own, live in this terminal",
        examples=("ppilot demo", "ppilot demo --jobs 10 --pilots 3 --open", "ppilot demo --fail none --keep"),
        configure=_configure,
        act=_demo,
        see_also="ppilot server start, ppilot submit, ppilot run",
    )
}
