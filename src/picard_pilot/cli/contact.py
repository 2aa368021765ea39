"""Meeting the server on behalf of a command: what goes wrong gets its exit code.

The calls themselves are `tools.client`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from picard_pilot.cli.exits import CommandTrouble, Exit
from picard_pilot.cli.frame import Call

if TYPE_CHECKING:
    from picard_pilot.tools.client import Client, ClientTrouble


def client_trouble(problem: ClientTrouble, passed_over: tuple[str, ...] = ()) -> CommandTrouble:
    """The error of a call to a server with its exit code; `passed_over` is what was wrong with credentials."""
    from picard_pilot.tools.client import Reason

    exits = {
        Reason.UNREACHABLE: Exit.UNREACHABLE,
        Reason.NOT_ALLOWED: Exit.NOT_ALLOWED,
        Reason.NOT_FOUND: Exit.NOT_FOUND,
        Reason.CONFLICT: Exit.CONFLICT,
        Reason.REFUSED: Exit.FAILED,
        Reason.TIMED_OUT: Exit.TIMED_OUT,
    }
    evidence = problem.evidence
    if problem.reason is Reason.NOT_ALLOWED:  # what was wrong with the credential that was named
        evidence = "; ".join((evidence, *passed_over))
    return CommandTrouble(exits[problem.reason], problem.what, evidence, problem.next_step)


@contextmanager
def server(call: Call) -> Iterator[Client]:
    """A client of the server that the command's settings lead to. Raises CommandTrouble with the right exit code."""
    from picard_pilot.tools.client import Client, ClientTrouble, find_server

    passed_over: tuple[str, ...] = ()
    try:
        target = find_server(call.settings, os.environ)
        passed_over = target.credential.warnings
        with Client(target, timeout_s=call.settings.client_timeout_s, environ=os.environ) as client:
            yield client
    except ClientTrouble as problem:
        raise client_trouble(problem, passed_over) from None
