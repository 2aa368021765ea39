"""The pilot's exit codes, as the batch wrapper and Harvester read them; never 1 or 2.

Both of these mean something else to them: 1 is a fault of the wrapper, 2 a stuck pilot that it killed.
"""

from enum import IntEnum

from picard_pilot.lifecycle.pilot import Leaving


class Exit(IntEnum):
    """Exit codes, with the error number that each stands for in pilot3's table."""

    OK = 0
    GENERAL = 65
    """1008; also a wrong use of the command line."""
    NO_WORKDIR = 66
    """1199, mkdir."""
    NO_CREDENTIAL = 68
    """1163."""
    NO_SPACE = 69
    """1098."""
    EXCEPTION = 70
    """1301."""
    NO_QUEUE_DATA = 71
    """1116."""
    BAD_QUEUE_DATA = 72
    """1117."""
    QUEUE_NOT_ACTIVE = 78
    """1359."""
    SERVER = 79
    """1318."""
    MAX_TIME = 81
    """1213."""
    NO_JOBS = 82
    """1385; the wrapper turns it into 0."""
    QUEUE_NOT_ONLINE = 83
    """1386."""


BY_ERROR: dict[int, Exit] = {
    1098: Exit.NO_SPACE,
    1116: Exit.NO_QUEUE_DATA,
    1117: Exit.BAD_QUEUE_DATA,
    1163: Exit.NO_CREDENTIAL,
    1199: Exit.NO_WORKDIR,
    1318: Exit.SERVER,
    1359: Exit.QUEUE_NOT_ACTIVE,
    1386: Exit.QUEUE_NOT_ONLINE,
}
"""Exit code of a pilot that cannot start, by the error that stops it; all others are GENERAL."""


def exit_for(why: Leaving, jobs_done: int, stopped_with: int | None) -> Exit:
    """The exit code of a pilot that leaves by its own decision. How its jobs ended does not matter: it did its part.
    `stopped_with` is the number of the fault of jobs that were stopped for the end of the slot, if any."""
    match why:
        case Leaving.SERVER_GONE:
            return Exit.SERVER
        case Leaving.PLUGIN:
            return Exit.GENERAL
        case Leaving.NO_SPACE:
            return Exit.NO_SPACE
        case Leaving.NO_DIRECTORY:
            return Exit.NO_WORKDIR
        case Leaving.NO_JOBS if jobs_done == 0:
            return Exit.NO_JOBS
        case _:
            return Exit.OK if stopped_with is None else BY_ERROR.get(stopped_with, Exit.MAX_TIME)
