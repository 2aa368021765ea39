"""What the tests of the watch room share: a payload under its launcher, and looks at it until something is seen."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from launch_kit import payload
from process_kit import DEADLINE_S, PYTHON

from picard_pilot.model.bundle import Bundle
from picard_pilot.payload import launcher
from picard_pilot.payload.launch import LaunchHandle
from picard_pilot.watch import tree

BURN = "import time\nwhile time.process_time() < {}: pass\n"
"""A program that uses so much CPU time and ends."""


def bundle_in(folder: Path) -> Bundle:
    """A job's directory with its private one."""
    folder.mkdir(exist_ok=True)
    (folder / "picard").mkdir(exist_ok=True)
    return Bundle(
        directory=str(folder),
        private=str(folder / "picard"),
        stdout=str(folder / "payload.stdout"),
        stderr=str(folder / "payload.stderr"),
        job_report=str(folder / "jobReport.json"),
    )


@asynccontextmanager
async def running(
    folder: Path, script: str, *arguments: str, name: str = "launch"
) -> AsyncIterator[LaunchHandle]:
    """A payload that is a shell script; whatever is left of it at the end is killed."""
    handle = await launcher.launch(payload(folder, script, "payload", *arguments, name=name))
    try:
        yield handle
    finally:
        launcher.kill(handle)
        await launcher.wait(handle)


@asynccontextmanager
async def program(folder: Path, text: str) -> AsyncIterator[LaunchHandle]:
    """A payload that is a Python program, called by a shell that waits for it."""
    path = folder / "program.py"
    path.write_text(text)
    async with running(folder, " ".join(PYTHON) + f" {path}; :") as handle:
        yield handle


async def seen(handle: LaunchHandle, condition: Callable[[tree.Seen], bool], what: str) -> tree.Seen:
    """The first look at which the condition holds."""
    give_up_at = asyncio.get_running_loop().time() + 2 * DEADLINE_S
    while True:
        found = tree.look(handle.launcher)
        if found is not None and condition(found):
            return found
        assert asyncio.get_running_loop().time() < give_up_at, (
            f"waited in vain: {what}; the last look: {found}"
        )
        await asyncio.sleep(0.01)


def spend(cpu_s: float) -> float:
    """Use so much CPU time of this thread."""
    begun = time.thread_time()
    while (used := time.thread_time() - begun) < cpu_s:
        pass
    return used
