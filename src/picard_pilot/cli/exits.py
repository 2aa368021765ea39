"""The exit codes of the two families of commands, and the errors that carry them.

`ppilot run` is an agent: its codes are read by batch wrappers and Harvester, and are never 1 or 2. All other
commands are tools for people and scripts. The two families never mix.
"""

from enum import IntEnum

from picard_pilot.diagnosis.catalogue.shell import EXITS
from picard_pilot.model.trouble import Trouble


class Exit(IntEnum):
    """Exit codes of the tools."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    PROBLEMS_FOUND = 4
    NOT_ALLOWED = 5
    UNREACHABLE = 6
    TIMED_OUT = 7
    CONFLICT = 8
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


MEANINGS: dict[Exit, str] = {
    Exit.DONE: "done, or all checks pass",
    Exit.FAILED: "the operation failed, or a job failed where its success was awaited",
    Exit.USAGE: "the command was not understood",
    Exit.NOT_FOUND: "not found: a job, a file, a code, a plug-in",
    Exit.PROBLEMS_FOUND: "checks found problems",
    Exit.NOT_ALLOWED: "not allowed: the credential is missing, expired or not sufficient",
    Exit.UNREACHABLE: "the server cannot be reached, or is no server of the right kind",
    Exit.TIMED_OUT: "the time for waiting was over",
    Exit.CONFLICT: "conflict: already running, locked, or in the wrong state",
    Exit.INTERRUPTED: "interrupted (SIGINT)",
    Exit.BROKEN_PIPE: "nobody reads the output any more",
    Exit.TERMINATED: "terminated (SIGTERM)",
}

AGENT_GENERAL_ERROR = EXITS["GENERALERROR"]
"""What `ppilot run` exits with when nothing more special fits, usage errors included: Harvester reads 1 and 2 as
faults of the wrapper."""

AGENT_EXCEPTION = EXITS["UNKNOWNEXCEPTION"]
"""What `ppilot run` exits with after an error that nobody foresaw."""


class CommandTrouble(Trouble):
    """An error that ends a command, with the exit code of the tools."""

    def __init__(self, exit_code: Exit, what: str, evidence: str, next_step: str) -> None:
        super().__init__(what, evidence, next_step)
        self.exit_code = exit_code


class UsageTrouble(CommandTrouble):
    """The command line cannot be understood."""

    def __init__(self, what: str, evidence: str, next_step: str) -> None:
        super().__init__(Exit.USAGE, what, evidence, next_step)
