"""One job in this pilot's hands: its directory, journal and case, and the tasks that work on it now.

What is decided about the job is `lifecycle`; what outlives this process is in the directory.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from picard_pilot.journal.file import Journal, JournalFull
from picard_pilot.journal.memory import MemoryJournal
from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.pilot import Leaving
from picard_pilot.lifecycle.table import step
from picard_pilot.model import instructions as do
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.command import ProcessId
from picard_pilot.model.events import Event
from picard_pilot.model.file_note import StageNote
from picard_pilot.model.isolation import Confined
from picard_pilot.model.progress import StageProgress
from picard_pilot.model.slot import SlotView
from picard_pilot.payload import jobdir
from picard_pilot.system import disk
from picard_pilot.system.clock import Clock

if TYPE_CHECKING:
    from picard_pilot.pilot.moving import Moving
    from picard_pilot.pilot.watching import Watching

log = logging.getLogger("picard.work")

ABANDONED = (
    *(do.Admit, do.Prepare, do.StageIn, do.Diagnose, do.StageOut, do.StoreLog, do.Report),
    *(do.AwaitBreak, do.LastWord),
)
"""What CancelWork ends. A launch or a payload is never abandoned: it is stopped, or left to a later pilot."""


def _nothing() -> None:
    """The end of a log that was never begun."""


class JobWork:
    """A job's runtime side. `case` is always the fold of `journal`."""

    def __init__(self, case: Case, bundle: Bundle, journal: Journal | MemoryJournal) -> None:
        """`journal` already holds what `case` is the fold of."""
        self.case = case
        self.bundle = bundle
        self.journal = journal
        self.tasks: dict[type[do.Instruction], asyncio.Task[None]] = {}
        self.generation = 0
        """Grows when work is cancelled; events of an earlier generation are no longer wanted."""
        self.disk_full = False
        self.unasked = False
        """Taken up while the server could not say whose the job is: it has to before anything is stored."""
        self.shown_at = 0.0
        """When status.json was last written, on the pilot's monotonic clock."""
        self.unhoused: Leaving | None = None
        """Set if no directory could be made for the job, for a reason that the next one would meet as well."""
        self.end_log: Callable[[], None] = _nothing
        """Ends the job's own copy of the pilot's log."""
        self.slot: SlotView | None = None
        """The end of the slot as it is known now."""
        self.launcher: ProcessId | None = None
        """The payload's launcher, once it is known to this pilot."""
        self.confined: Confined | None = None
        """How its payload is confined, once that is known to this pilot."""
        self.moving: Moving | None = None
        """The stage that moves files now, if any."""
        self.watching: Watching | None = None
        """What looks whether the job keeps to its limits, from its first stage on."""
        self.watch: asyncio.Task[None] | None = None
        self.notes: list[StageNote] = []
        """What is to be told, one with each update: where the files of a stage came from or went."""
        self.last_sign_at: float | None = None
        """When the pilot that had the job before was last at work on it (seconds since 1970, UTC)."""
        self._clocks_apart_s: float | None = None

    @property
    def job_id(self) -> int:
        """The job's PandaID."""
        return self.case.job.job_id

    @property
    def progress(self) -> StageProgress | None:
        """How far the stage is that moves files now; None while none does."""
        return None if self.moving is None else self.moving.progress()

    def now(self, clock: Clock) -> float:
        """UTC seconds, for how long the job's outputs wait: the wall clock counts when it is asked for the first time,
        the monotonic one from then on. A wall clock that somebody sets makes no wait longer and ends none."""
        if self._clocks_apart_s is None:
            self._clocks_apart_s = self.journal.next_time() - clock.monotonic()
        return self._clocks_apart_s + clock.monotonic()

    def record(self, event: Event) -> tuple[do.Instruction, ...]:
        """Write the event to the journal, then move the case. Returns what is to be done now.

        When the disk is full, the journal goes on in the job's reserve. Raises NoSuchTransition for an event
        that cannot happen now (nothing is written then), JournalFull when not even the reserve helped.
        """
        at = self.journal.next_time()
        case, then = step(self.case, event, at)
        if self.case.over:
            return then  # no event moves it any more, and its journal may be gone
        try:
            self.journal.append(event, at)
        except JournalFull:
            self.disk_full = True
            self._move_journal()
            self.journal.append(event, at)
        self.case = case
        return then

    def take_note(self) -> StageNote | None:
        """The note for one update; nobody gets it twice."""
        return self.notes.pop(0) if self.notes else None

    def _move_journal(self) -> None:
        """Use the reserve; where the journal is larger, its blocks are given back for whoever comes first."""
        reserve = jobdir.reserve_of(self.bundle)
        try:
            self.journal.move_into(reserve)
        except JournalFull:
            reserve.unlink(missing_ok=True)
        except OSError as error:
            log.error("the reserve of job %s cannot be used: %s", self.job_id, error)
            return
        log.error("the disk is full; the journal of job %s goes on in its reserve", self.job_id)

    def close_files(self) -> None:
        """Let go of the journal and of the job's log before their directory is removed: on NFS a file that is removed
        while it is open becomes another one, and the directory stays. May be called twice."""
        self.end_log()
        self.journal.close()

    def make_room(self) -> None:
        """Once the payload is over: give back what was set aside if the disk is full, for archive and report."""
        try:
            if disk.is_full(Path(self.bundle.private)):
                self.journal.give_back()
                jobdir.reserve_of(self.bundle).unlink()
                log.warning("job %s: the disk is full; what was set aside is used now", self.job_id)
        except FileNotFoundError:
            return  # the reserve was used before, or the payload took it away
        except OSError as error:
            log.warning("job %s: no room can be made: %s", self.job_id, error)

    def remove_what_is_safe(self) -> bool:
        """Once the payload is over, on a full disk: remove the inputs and the outputs that are stored. Whether there
        was anything to remove."""
        job, stored = self.case.job, self.case.stored
        # A payload may have written an output over an input of the same name.
        unsafe = {file.lfn for file in job.outputs} - stored.keys()
        removed = 0
        for name in {file.lfn for file in job.inputs} - unsafe | stored.keys():
            try:
                Path(self.bundle.directory, name).unlink()
                removed += 1
            except OSError:
                continue
        if removed:
            log.warning("job %s: the disk is full; %d files that are safe are removed", self.job_id, removed)
        return removed > 0

    def cancel(self) -> None:
        """Abandon what is under way, except what concerns a payload."""
        self.generation += 1
        for kind in ABANDONED:
            if (task := self.tasks.pop(kind, None)) is not None:
                task.cancel()

    def cancel_all(self) -> None:
        """Let go of the job altogether: the payload, if any, goes on under its launcher."""
        self.generation += 1
        for task in self.tasks.values():
            task.cancel()
        self.tasks.clear()
        self.unwatch()

    def unwatch(self) -> None:
        """The job's limits do not matter any more."""
        if self.watch is not None:
            self.watch.cancel()
            self.watch = None
