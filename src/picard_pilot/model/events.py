"""Everything that can happen to a job. An event is written to the journal before anything is done about it.

What follows from an event is `lifecycle.table`; how it lies on disk is `journal`.
"""

import msgspec

from picard_pilot.model.bundle import Outcome, Preparation
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.fault import Fault
from picard_pilot.model.files import FilePlace, StoredFile
from picard_pilot.model.job import Job
from picard_pilot.model.stop import Stop


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=True, omit_defaults=True):
    """Base of all events; the tag on disk is the class name."""


class JobReceived(Event, frozen=True, kw_only=True):
    """The server gave the job to this pilot, which now owes it a report.

    `queue` is the queue it was asked for; `refusal` is set when the description itself cannot be used.
    """

    job: Job
    queue: str
    refusal: Fault | None = None


class Resumed(Event, frozen=True, kw_only=True):
    """A pilot (the first one again, or a later one) took the job up from its journal.

    With `stop` the server does not want it any more: what runs is ended, and nothing is stored or told.
    """

    pilot: str
    stop: Stop | None = None
    seen_alive_at: float | None = None
    """When the pilot before it was last seen to be at work on the job (seconds since 1970, UTC)."""


class Admitted(Event, frozen=True, kw_only=True):
    """The job's directory stands and the experiment and the site accept the job."""


class Refused(Event, frozen=True, kw_only=True):
    """The job cannot be run here, or at all."""

    fault: Fault


class Prepared(Event, frozen=True, kw_only=True):
    """The experiment's setup is done."""

    preparation: Preparation = Preparation()


class SetupFailed(Event, frozen=True, kw_only=True):
    """The experiment's setup failed."""

    fault: Fault


class InputStaged(Event, frozen=True, kw_only=True):
    """One input lies in the job's directory, verified, or was opened where the payload will read it."""

    lfn: str
    size_bytes: int | None
    """None only for a file that is read directly and of which nobody told the size."""
    how: str
    """copy, reflink, symlink, already there or direct."""
    turl: str | None = None
    """Where the payload reads it, if not in its directory."""
    surl: str
    endpoint: str
    seconds: float
    reason: str
    """Why this source was taken."""
    spared: int = 0
    """Tries that were not made, since the storage was known to be sick."""


class InputsReady(Event, frozen=True, kw_only=True):
    """All inputs are there."""


class StageInFailed(Event, frozen=True, kw_only=True):
    """At least one input cannot be had."""

    faults: tuple[Fault, ...]


class PayloadStarted(Event, frozen=True, kw_only=True):
    """The payload runs under its launcher, able to outlive this pilot."""

    pid: int
    start_ticks: int
    """The process' start time in clock ticks since boot, so that the pid cannot be mistaken for another's."""
    started_at: float
    """Seconds since 1970, UTC."""


class LaunchFailed(Event, frozen=True, kw_only=True):
    """The payload could not be started."""

    fault: Fault


class PayloadExited(Event, frozen=True, kw_only=True):
    """The payload ended; this record is never overwritten by a finding of the pilot."""

    exit: PayloadExit


class PayloadLost(Event, frozen=True, kw_only=True):
    """The launcher is gone without a record: lost with the slot, which says nothing about the program."""

    fault: Fault


class StopRequested(Event, frozen=True, kw_only=True):
    """Somebody or something wants the job to end."""

    stop: Stop


class Diagnosed(Event, frozen=True, kw_only=True):
    """The evidence has been read: what the payload reports, and what went wrong (nothing, if empty)."""

    faults: tuple[Fault, ...] = ()
    outcome: Outcome = Outcome()
    keep_outputs: bool = False
    """Store the outputs although something went wrong: the experiment's policy."""


class OutputDiverted(Event, frozen=True, kw_only=True):
    """An output is about to go elsewhere than where it was tried before; written before a byte goes there.

    `left` are the places that come before: it may stand there all the same, since a storage may succeed late, and an
    earlier pilot may have died before it could say so.
    Whichever place an OutputStored names later is the one that counts; the file is removed from all others.
    """

    lfn: str
    to: FilePlace
    left: tuple[FilePlace, ...]


class OutputRegistering(Event, frozen=True, kw_only=True):
    """An output is stored, and the queue's catalogue is about to be told: from now on no other place may count."""

    lfn: str
    at: FilePlace


class OutputPlaceCleared(Event, frozen=True, kw_only=True):
    """A place that does not count holds no copy of the output any more, or was given up; `says` which."""

    lfn: str
    surl: str
    says: str


class OutputStored(Event, frozen=True, kw_only=True):
    """One output is where the report will say it is; written before copies of it elsewhere are removed.

    For the log it stands only where there may be such copies: LogStored follows when they are gone.
    """

    file: StoredFile
    seconds: float
    reason: str
    spared: int = 0
    """Tries that were not made, since the storage was known to be sick."""


class OutputsStored(Event, frozen=True, kw_only=True):
    """All outputs that the policy wants are stored."""


class StageOutFailed(Event, frozen=True, kw_only=True):
    """At least one output could not be stored."""

    faults: tuple[Fault, ...]


class OutputsHeld(Event, frozen=True, kw_only=True):
    """No storage takes the outputs, or the log of a good job, now, and waiting can help: they stay in its directory.

    Times are seconds since 1970, UTC. `until` is when the server gives the job up; `again_at` when this pilot tries
    again, None where that is left to a later one.
    """

    faults: tuple[Fault, ...]
    where: str
    """Host and directory where the outputs lie, for people."""
    why: str = "no result is lost"
    """Which rule says that this job is worth a wait."""
    until: float
    again_at: float | None = None


class BreakOver(Event, frozen=True, kw_only=True):
    """The pilot that kept a job's outputs tries to store them again."""


class LogStored(Event, frozen=True, kw_only=True):
    """The log archive is stored."""

    file: StoredFile


class LogFailed(Event, frozen=True, kw_only=True):
    """The log archive could not be made or stored."""

    fault: Fault


class ReportAccepted(Event, frozen=True, kw_only=True):
    """The server has the final report; `answer` is its word (0, alreadydone, tobekilled)."""

    answer: str


class Suspended(Event, frozen=True, kw_only=True):
    """The pilot must leave before the job is done; the job waits on disk for a later pilot."""

    reason: str
    where: str | None = None
    """Host and directory where it waits, for people; not in journals of the first versions."""


AnyEvent = (
    JobReceived
    | Resumed
    | Admitted
    | Refused
    | Prepared
    | SetupFailed
    | InputStaged
    | InputsReady
    | StageInFailed
    | PayloadStarted
    | LaunchFailed
    | PayloadExited
    | PayloadLost
    | StopRequested
    | Diagnosed
    | OutputDiverted
    | OutputRegistering
    | OutputStored
    | OutputPlaceCleared
    | OutputsStored
    | OutputsHeld
    | BreakOver
    | StageOutFailed
    | LogStored
    | LogFailed
    | ReportAccepted
    | Suspended
)
