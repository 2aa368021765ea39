"""The pilot's exit codes, as the batch wrapper and Harvester read them; never 1 or 2.

Which code an error has is the catalogue's: `diagnosis.catalogue.shell`. To them 1 is a fault of the wrapper, and 2 a
stuck pilot that it killed.
"""

from enum import IntEnum

from picard_pilot.diagnosis.catalogue.shell import EXITS, OK
from picard_pilot.lifecycle.pilot import Leaving


class Exit(IntEnum):
    """The exit codes that a pilot gives by its own decision; those of signals are 128 and the signal's number."""

    OK = OK
    GENERAL = EXITS["GENERALERROR"]
    """Also a wrong use of the command line."""
    NO_WORKDIR = EXITS["MKDIR"]
    NO_CREDENTIAL = EXITS["NOPROXY"]
    NO_SPACE = EXITS["NOLOCALSPACE"]
    EXCEPTION = EXITS["UNKNOWNEXCEPTION"]
    NO_QUEUE_DATA = EXITS["QUEUEDATA"]
    BAD_QUEUE_DATA = EXITS["QUEUEDATANOTOK"]
    QUEUE_NOT_ACTIVE = EXITS["PANDAQUEUENOTACTIVE"]
    SERVER = EXITS["COMMUNICATIONFAILURE"]
    MAX_TIME = EXITS["REACHEDMAXTIME"]
    NO_JOBS = EXITS["NOJOBSINPANDA"]
    """The wrapper turns it into 0."""
    QUEUE_NOT_ONLINE = EXITS["PANDAQUEUENOTONLINE"]


def of_error(name: str) -> int:
    """The exit code of a pilot that cannot start, by the name of the error that stops it."""
    return EXITS.get(name, Exit.GENERAL)


def exit_for(why: Leaving, jobs_done: int, stopped_with: int | None) -> int:
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
            return Exit.OK if stopped_with is None else _of_stop(stopped_with)


def _of_stop(number: int) -> int:
    """The exit code that tells why jobs were stopped."""
    from picard_pilot.diagnosis.catalogue.codes import BY_NUMBER

    return BY_NUMBER[number].shell_exit or Exit.MAX_TIME
