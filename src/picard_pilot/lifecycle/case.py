"""A case: one job's whole situation, as the fold of its events. Frozen.

How a case changes is `lifecycle.table`.
"""

import msgspec

from picard_pilot.model.bundle import Outcome
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.events import InputStaged, OutputsHeld, PayloadStarted
from picard_pilot.model.fault import Fault
from picard_pilot.model.files import FilePlace, StoredFile
from picard_pilot.model.job import Job
from picard_pilot.model.states import FINAL, PHASE_OF, Phase, State
from picard_pilot.model.stop import Stop, StopKind


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about one job. Times are seconds since 1970, UTC; what has not happened is None."""

    job: Job
    queue: str
    state: State
    since: float
    """When the present state began."""
    received_at: float
    ended_at: float | None = None
    """When nothing was left to do but to tell the server: the final report's end time."""
    staged: dict[str, InputStaged] = {}
    """The inputs that lie in the job's directory, by LFN."""
    payload: PayloadStarted | None = None
    exit: PayloadExit | None = None
    """What the payload did. No finding of the pilot overwrites it."""
    outcome: Outcome = Outcome()
    stored: dict[str, StoredFile] = {}
    """The outputs that are stored, by LFN."""
    touched: dict[str, tuple[FilePlace, ...]] = {}
    """For outputs that were tried at more than one place: where a copy may stand that is not the one that counts, or
    is not yet known to be, by LFN."""
    settled: dict[str, FilePlace] = {}
    """Outputs that a catalogue may already know, and a log whose other copies are being removed, with the only place
    where each may count, by LFN."""
    held: OutputsHeld | None = None
    """The latest reason to keep outputs on disk; None if there never was one."""
    held_since: float | None = None
    """When outputs had to be kept on disk for the first time."""
    log: StoredFile | None = None
    faults: tuple[Fault, ...] = ()
    """What went wrong, the cause before its symptoms."""
    stop: Stop | None = None
    """The request to stop that counts, of all that came."""
    answer: str | None = None
    """The server's word on the final report."""
    suspended_from: State | None = None
    """While HOLDING: the state that a later pilot goes on from."""
    suspended_because: str | None = None
    left_at: str | None = None
    """Where (host and directory) a pilot that had to leave put the job down; None if none ever had to."""
    resumed: int = 0
    """How many times a pilot took the job up from its journal."""
    crashes: int = 0
    """How many times in a row it was taken up from a pilot that had not put it down: since it last waited in order."""
    entered: dict[str, float] = {}
    """When each state was first entered, by state."""
    spent: dict[str, float] = {}
    """Seconds that pilots spent on each state so far, by state; the present state's running time is not in it, nor
    are the hours in which nobody had the job."""
    counted_from: float | None = None
    """From when the present state's time is not in `spent`, where a later pilot found the job in it; None: from the
    state's beginning."""
    spared: int = 0
    """Tries at sick storages that were not made."""

    @property
    def phase(self) -> Phase:
        """The brief's word for where the job is."""
        return PHASE_OF[self.state]

    @property
    def over(self) -> bool:
        """True when nothing will ever happen to the job again."""
        return self.state in FINAL

    @property
    def failed(self) -> bool:
        """True when the job will be reported as failed, as far as is known now."""
        return bool(self.faults)

    @property
    def waiting(self) -> bool:
        """True while outputs wait on disk because no storage takes them."""
        return self.state is State.HOLDING and self.held is not None and self.suspended_because is None

    @property
    def unwanted(self) -> bool:
        """True when the server does not want the job's outputs any more."""
        return self.stop is not None and self.stop.kind in (StopKind.SERVER_KILL, StopKind.DISOWNED)

    @property
    def disowned(self) -> bool:
        """True when nobody waits even for a word about the job."""
        return self.stop is not None and self.stop.kind is StopKind.DISOWNED
