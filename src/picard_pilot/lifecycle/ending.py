"""Who ended a payload: from the launcher's record, the request to stop, and what the kernel was seen to do. Pure.

The record is only read here; the server's number for it is `exit_status`.
"""

import signal

from picard_pilot.lifecycle.case import Case
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.ending import SIGNAL_BASE, Ender, Ending
from picard_pilot.model.stop import StopKind

OUT_OF_MEMORY = "PAYLOADOUTOFMEMORY"
"""The fault of a payload whose processes the kernel ended; that of a program which gave up by itself has it as well."""

SIGNALLED = "signal_"
"""How the launcher's word begins for a payload that it stopped since somebody signalled it."""

_ASKED_BY: dict[str, Ender] = {
    StopKind.SERVER_KILL: Ender.SERVER,
    StopKind.DISOWNED: Ender.SERVER,
    StopKind.SIGNAL: Ender.BATCH,
}
"""Who stands behind a request to stop, where it is not the pilot itself."""

_OWN_CRASHES = frozenset(
    {
        *(signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL),
        *(signal.SIGPIPE, signal.SIGSYS, signal.SIGTRAP, signal.SIGALRM),
    }
)
"""Signals that a program brings upon itself; any other one was sent by somebody."""
_KERNEL_LIMITS = frozenset({signal.SIGXCPU, signal.SIGXFSZ})
_KILLED = (SIGNAL_BASE + signal.SIGKILL,)


def ending(case: Case) -> Ending | None:
    """How the payload ended and who ended it; None for one that never started, or whose end nobody saw."""
    ended = case.exit
    if ended is None or (ended.exit_code is None and ended.signal is None):
        return None
    return Ending(
        exit_code=ended.exit_code if ended.signal is None else None,
        signal=ended.signal,
        by=_ended_by(ended, any(fault.name == OUT_OF_MEMORY for fault in case.faults)),
    )


def exit_status(ended: PayloadExit) -> int | None:
    """The payload's exit code, 128 + n if signal n ended it, None if it never started."""
    if ended.signal is not None:
        return SIGNAL_BASE + ended.signal
    return ended.exit_code


def _ended_by(ended: PayloadExit, out_of_memory: bool) -> Ender | None:
    if ended.stopped_by is not None:
        if ended.stopped_by.startswith(SIGNALLED):
            return Ender.BATCH
        return _ASKED_BY.get(ended.stopped_by, Ender.PILOT)
    # A shell or container around the killed process shows it as 137.
    if out_of_memory and (ended.signal == signal.SIGKILL or ended.exit_code in _KILLED):
        return Ender.KERNEL
    if ended.signal is None or ended.signal in _OWN_CRASHES:
        return Ender.ITSELF
    return Ender.KERNEL if ended.signal in _KERNEL_LIMITS else None
