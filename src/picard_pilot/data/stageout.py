"""Stage-out: every output of a job stored where it should go, measured on the way, never half.

Which destinations there are is `data.plan`; making the log archive is `data.logs`; the journal is the caller's.
"""

import os
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from picard_pilot.data.crew import for_each
from picard_pilot.data.plan import NoPlan, destinations
from picard_pilot.data.policy import STAGEOUT
from picard_pilot.data.stagein import context
from picard_pilot.data.verdicts import stageout_fault
from picard_pilot.data.walk import Attempt, Pace, many, walk
from picard_pilot.data.worker import TransferWorker
from picard_pilot.diagnosis.faults import fault
from picard_pilot.model.events import OutputStored
from picard_pilot.model.fault import Fault
from picard_pilot.model.files import FileSpec, StoredFile
from picard_pilot.model.job import Job
from picard_pilot.model.site import Activity, Endpoint, Site
from picard_pilot.model.states import Phase
from picard_pilot.model.transfer import Destination, StoreRequest, TransferFailure, Transferred

RULE = "data.stageout"

OUTPUT_SIZE_LIMIT_BYTES = 500_000_000_000
"""What today's pilots refuse to store as one file."""

OnStored = Callable[[OutputStored], Awaitable[None]]


class StageOutResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage-out came to: faults (none: everything wanted is stored), outputs that may be absent and are,
    and one line per decision and attempt."""

    faults: tuple[Fault, ...] = ()
    absent: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()


async def stage_out(
    *,
    job: Job,
    files: Sequence[FileSpec],
    site: Site,
    directory: Path,
    done: Mapping[str, StoredFile],
    worker: TransferWorker,
    on_stored: OnStored,
    guids: Mapping[str, str] | None = None,
    activity: str = Activity.WRITE,
    pace: Pace | None = None,
) -> StageOutResult:
    """Store `files` from `directory`; safe to repeat after a crash at any point.

    What `done` holds is not touched again. `guids` are those the payload wrote into its files, by LFN; they win
    over the job's. `on_stored` is awaited for each output after it stands complete under its name. An output that
    cannot be stored does not keep the others from being stored. Cancelling ends the transfers under way.
    """
    run = _Run(job, site, directory, worker, on_stored, guids or {}, activity, pace or Pace(limits=STAGEOUT))
    await for_each([file for file in files if file.lfn not in done], run.store, lambda: True)
    return StageOutResult(faults=tuple(run.faults), absent=tuple(run.absent), decisions=tuple(run.decisions))


class _Unfit(Exception):
    """What the payload left under an output's name cannot be stored."""

    def __init__(self, name: str, says: str) -> None:
        super().__init__(says)
        self.name = name
        self.says = says


class _Run:
    """One stage-out under way."""

    def __init__(
        self,
        job: Job,
        site: Site,
        directory: Path,
        worker: TransferWorker,
        on_stored: OnStored,
        guids: Mapping[str, str],
        activity: str,
        pace: Pace,
    ) -> None:
        self._job = job
        self._site = site
        self._directory = directory
        self._worker = worker
        self._on_stored = on_stored
        self._guids = guids
        self._activity = activity
        self._pace = pace
        self.faults: list[Fault] = []
        self.absent: list[str] = []
        self.decisions: list[str] = []

    async def store(self, file: FileSpec) -> None:
        """Store one output at the first destination that takes it, or note the fault."""
        try:
            found = fit_output(self._directory, file.lfn)
        except FileNotFoundError:
            self._not_written(file)
            return
        except _Unfit as unfit:
            self._fail(unfit.name, unfit.says)
            return
        try:
            places = destinations(file, self._site, self._activity)
        except NoPlan as none:
            self._fail(none.fault, none.says)
            return
        guid = self._guids.get(file.lfn) or file.guid or new_guid()
        attempts = await walk(places, lambda place: self._send(file, found, guid, place), self._pace)
        self.decisions += [f"{file.lfn} to {attempt.says()}" for attempt in attempts]
        last = attempts[-1]
        if isinstance(last.outcome, Transferred):
            await self._on_stored(_event(file, guid, last.entry.endpoint, last.entry.reason, last.outcome))
        else:
            self._nobody_took_it(file, attempts)

    async def _send(
        self, file: FileSpec, found: "Fit", guid: str, place: Destination
    ) -> Transferred | TransferFailure:
        return await self._worker.transfer(
            StoreRequest(
                lfn=file.lfn,
                scope=file.scope,
                guid=guid,
                source=str(found.path),
                surl=place.surl,
                size_bytes=found.size_bytes,
                measure=place.endpoint.checksum,
                movers=place.movers,
                context=context(self._job, self._site, place.endpoint, self._activity),
            )
        )

    def _not_written(self, file: FileSpec) -> None:
        if file.may_be_absent:
            self.absent.append(file.lfn)
            self.decisions.append(f"{file.lfn}: the payload did not write it, which the job permits")
        else:
            self._fail("MISSINGOUTPUTFILE", f"the payload did not write its output {file.lfn}")

    def _nobody_took_it(self, file: FileSpec, attempts: list[Attempt]) -> None:
        failures = [attempt.outcome for attempt in attempts if isinstance(attempt.outcome, TransferFailure)]
        kind = attempts[-1].entry.endpoint.checksum
        self._fail(
            stageout_fault(failures, kind),
            f"output {file.lfn} cannot be stored" + many(attempts),
            tuple(attempt.says() for attempt in attempts),
        )

    def _fail(self, name: str, says: str, evidence: tuple[str, ...] = ()) -> None:
        self.faults.append(fault(name, says, rule=RULE, evidence=evidence, phase=Phase.STAGEOUT))
        if not evidence:
            self.decisions.append(says)


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """An output that can be stored: where its bytes really are, and how many."""

    path: Path
    size_bytes: int


def fit_output(directory: Path, lfn: str) -> Fit:
    """What lies under an output's name, if it can be stored.

    A symbolic link counts if it leads to a regular file inside `directory`. Raises FileNotFoundError if there is
    nothing, _Unfit for whatever must not be stored.
    """
    path = directory / lfn
    try:
        real = path.resolve(strict=True)
        found = real.stat()
    except FileNotFoundError:
        if os.path.lexists(path):
            raise _Unfit("FILEHANDLINGFAILURE", f"output {lfn} is a symbolic link to nothing") from None
        raise
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
        raise _Unfit("FILEHANDLINGFAILURE", f"output {lfn} cannot be read: {error}") from error
    if not real.is_relative_to(directory.resolve()):
        raise _Unfit("FILEHANDLINGFAILURE", f"output {lfn} is a symbolic link out of the job's directory")
    if not stat.S_ISREG(found.st_mode):
        raise _Unfit("FILEHANDLINGFAILURE", f"output {lfn} is {_kind(found.st_mode)}, not a regular file")
    if found.st_size == 0:
        raise _Unfit("ZEROFILESIZE", f"output {lfn} has no bytes")
    if found.st_size > OUTPUT_SIZE_LIMIT_BYTES:
        raise _Unfit(
            "OUTPUTFILETOOLARGE",
            f"output {lfn} has {found.st_size} bytes, more than {OUTPUT_SIZE_LIMIT_BYTES}",
        )
    return Fit(path=real, size_bytes=found.st_size)


def new_guid() -> str:
    """A fresh GUID as PanDA writes it: a random UUID in capitals."""
    import uuid

    return str(uuid.uuid4()).upper()


def _kind(mode: int) -> str:
    names = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return names.get(stat.S_IFMT(mode), "a device")


def _event(file: FileSpec, guid: str, endpoint: Endpoint, reason: str, done: Transferred) -> OutputStored:
    stored = StoredFile(
        lfn=file.lfn,
        guid=guid,
        size_bytes=done.size_bytes,
        checksum=done.checksum,
        surl=done.surl,
        endpoint=endpoint.name,
    )
    return OutputStored(file=stored, seconds=done.seconds, reason=f"{reason}; {done.how}")
