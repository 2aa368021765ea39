"""The exit codes of the two families of commands, and the errors that carry them.

`ppilot run` is an agent: its codes are read by batch wrappers and Harvester, and are never 1 or 2. All other
commands are tools for people and scripts. The two families never mix.
"""

from enum import IntEnum

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

AGENT_GENERAL_ERROR = 65
"""What `ppilot run` exits with when nothing more special fits, usage errors included: Harvester reads 1 and 2 as
faults of the wrapper."""

AGENT_EXCEPTION = 70
"""What `ppilot run` exits with after an error that nobody foresaw (1301)."""

AGENT_MEANINGS: dict[int, str] = {
    0: "ok",
    64: "CVMFS is dead (1377), or the site is offline",
    65: "general error, usage error (1008)",
    66: "a directory could not be made (1199)",
    67: "no such file (1103)",
    68: "no valid proxy, token or certificate (1163, 1177, 1373)",
    69: "no local space (1098)",
    70: "unexpected exception (1301)",
    71: "no queue data (1116)",
    72: "bad queue data (1117)",
    73: "no software directory (1186)",
    74: "queue or storage data did not arrive in time (1330)",
    75: "black hole: the node's disk does not work (1332)",
    76: "middleware cannot be imported (1342)",
    77: "input missing in the storage (1331)",
    78: "the queue is not active (1359)",
    79: "no communication with the server (1318)",
    80: "the proxy is too short (1382)",
    81: "maximal time reached (1213)",
    82: "no jobs (1385)",
    83: "the queue is not online (1386)",
    130: "SIGINT",
    131: "SIGQUIT",
    135: "SIGBUS",
    137: "SIGKILL",
    138: "SIGUSR1",
    139: "SIGSEGV",
    143: "SIGTERM",
    152: "SIGXCPU",
}
"""What wrapper and Harvester understand; the numbers in brackets are the pilot's error codes."""


class CommandTrouble(Trouble):
    """An error that ends a command, with the exit code of the tools."""

    def __init__(self, exit_code: Exit, what: str, evidence: str, next_step: str) -> None:
        super().__init__(what, evidence, next_step)
        self.exit_code = exit_code


class UsageTrouble(CommandTrouble):
    """The command line cannot be understood."""

    def __init__(self, what: str, evidence: str, next_step: str) -> None:
        super().__init__(Exit.USAGE, what, evidence, next_step)
