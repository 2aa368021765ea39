"""Telling a payload that it will be stopped: a file whose path is in its environment, and a signal if one is named.

When that is due is decided by `lifecycle.deadline`.
"""

import logging
import os
import signal
from pathlib import Path

import msgspec

from picard_pilot.lifecycle.holding import moment
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.command import ProcessId
from picard_pilot.model.slot import SlotView
from picard_pilot.system import proc
from picard_pilot.system.files import write_durably

log = logging.getLogger("picard.slot")

VARIABLE = "PICARD_STOP_NOTICE"
"""In the payload's environment: the path of the file, which is there from the warning on."""

NAME = "stop_notice.json"
"""In the job's directory: the pilot's private one may be out of a payload's sight."""


class StopNotice(msgspec.Struct, frozen=True, kw_only=True):
    """The file's content. Times are seconds since 1970, UTC."""

    stopped_at: float
    """When the payload gets SIGTERM; SIGKILL follows after the grace."""
    stopped_at_text: str
    grace_s: float
    slot_ends_at: float
    because: str


def path_of(bundle: Bundle) -> Path:
    """Where the file is, once it is there."""
    return Path(bundle.directory, NAME)


def write(bundle: Bundle, slot: SlotView, grace_s: float) -> None:
    """Put the notice there, in place of an earlier one or of what a payload put in its place. Raises OSError."""
    notice = StopNotice(
        stopped_at=slot.stops_at,
        stopped_at_text=moment(slot.stops_at),
        grace_s=grace_s,
        slot_ends_at=slot.ends_at,
        because=f"{slot.by}: {slot.evidence}",
    )
    made = Path(bundle.private, NAME)
    # Whoever the payload runs as may read it; the directory says who may enter.
    write_durably(made, msgspec.json.format(msgspec.json.encode(notice), indent=1) + b"\n", mode=0o644)
    os.replace(made, path_of(bundle))  # noqa: PTH105 - as short, and says so


def withdraw(bundle: Bundle) -> None:
    """The slot lasts longer than was feared. Raises OSError."""
    path_of(bundle).unlink(missing_ok=True)


def signal_those_who_know(launcher: ProcessId, name: str) -> int:
    """Send the signal to the payload's processes that have a handler for it; how many. It would end all others."""
    number = signal.Signals[f"SIG{name}"]
    told = 0
    for process in proc.descendants(launcher.pid) if proc.is_running(launcher) else ():
        try:
            told += proc.catches(process.pid, number) and proc.send_signal(process, number)
        except PermissionError:
            continue  # another user's, as a way to confine may have it
    return told
