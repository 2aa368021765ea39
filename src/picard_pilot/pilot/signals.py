"""Signals that end a pilot: which they are, what they mean for its jobs, and the exit code they lead to.

The whole table of ways to end is docs/reference/endings.md.
"""

import asyncio
import signal
from collections.abc import Callable

from picard_pilot.diagnosis.faults import fault
from picard_pilot.model.stop import Stop, StopKind

ENDING: dict[signal.Signals, str] = {
    signal.SIGTERM: "SIGTERM",
    signal.SIGINT: "SIGINT",
    signal.SIGQUIT: "SIGQUIT",
    signal.SIGXCPU: "SIGXCPU",
    signal.SIGUSR1: "SIGUSR1",
    signal.SIGUSR2: "KILLSIGNAL",
    signal.SIGHUP: "KILLSIGNAL",
    signal.SIGBUS: "SIGBUS",
}
"""Signals by which batch systems and wrappers end a slot, with the name of the error that a stopped job gets.
SIGUSR2 is LSF's run limit; it and SIGHUP have no number of their own on the wire."""

EXIT_BASE = 128
"""Exit code of a pilot ended by signal n: 128 + n, as the batch wrapper expects."""


def install(on_signal: Callable[[signal.Signals], None]) -> None:
    """Let each ending signal call `on_signal` in the running event loop."""
    loop = asyncio.get_running_loop()
    for number in ENDING:
        loop.add_signal_handler(number, on_signal, number)


def remove() -> None:
    """Undo `install`: the signals do again what they do by default."""
    loop = asyncio.get_running_loop()
    for number in ENDING:
        loop.remove_signal_handler(number)


def stop_for(number: signal.Signals, grace_s: float) -> Stop:
    """The stop that this signal means for a job."""
    says = f"the pilot received {number.name}, so the slot is ending"
    return Stop(
        kind=StopKind.SIGNAL,
        fault=fault(ENDING[number], says, rule="pilot.signals"),
        grace_s=grace_s,
    )
