"""The mark of what a process starts: a variable that nothing else has in its environment, and that is inherited.

A payload has one of its own (`payload.launcher`). Looking for marks is `system.strays`.
"""

from functools import cache

from picard_pilot.model.command import ProcessId
from picard_pilot.system import proc

NAME = "PICARD_STARTED_BY"


def of(process: ProcessId) -> dict[str, str]:
    """The variable for what this process starts on this boot of the node."""
    return {NAME: f"{process.pid}.{process.start_ticks}.{proc.boot_id()}"}


@cache
def mine() -> dict[str, str]:
    """The same for the calling process."""
    return of(proc.myself())
