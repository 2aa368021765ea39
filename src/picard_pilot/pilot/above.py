"""Whether the signal that ends a slot reaches the pilot, or ends the batch script that waits for it.

What a pilot does when it gets one is `pilot.signals`.
"""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from picard_pilot.settings.environment import batch
from picard_pilot.system import proc
from picard_pilot.system.shim import tree


class Program(NamedTuple):
    """A program above the pilot."""

    pid: int
    name: str


def unprepared() -> list[Program]:
    """The programs above the pilot, up to the first of another user (the batch system's own), that SIGTERM ends."""
    found = []
    above = proc.parent(os.getpid())
    # The first process of a name space gets no signal that it has no handler for.
    while above > 1 and _is_ours(above):
        if not proc.survives(above, signal.SIGTERM):
            name = tree.read_small(f"/proc/{above}/comm").decode("utf-8", "replace").strip()
            found.append(Program(above, name))
        above = proc.parent(above)
    return found


def _is_ours(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}").stat().st_uid == os.geteuid()
    except FileNotFoundError:
        return False


def warning(environ: Mapping[str, str]) -> str | None:
    """For the log of a pilot in a batch slot: who would die of the signal, and all else with it; None if nobody.

    Slurm signals all processes of a job and HTCondor the first one, and both kill what is left once that is gone.
    """
    system = batch(environ).system
    found = unprepared() if system else []
    if not found:
        return None
    names = ", ".join(f"{program.name} (process {program.pid})" for program in found)
    return (
        f"no signal of {system} may reach this pilot: SIGTERM ends {names} above it, and with that the slot; "
        "let the batch script end in `exec ppilot run ...`, or hand the signal on"
    )
