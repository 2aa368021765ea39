"""Stage-out: every output of a job stored where it should go, measured on the way, never half.

Which destinations there are is `data.destinations`, what can be stored at all `data.outputs`; making the log archive
is `data.logs`; the journal is the caller's.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from picard_pilot.data.crew import for_each
from picard_pilot.data.destinations import destinations
from picard_pilot.data.outputs import Fit, Unfit, fit_output, output_guid
from picard_pilot.data.passing import EXISTS, can_pass
from picard_pilot.data.paths import NoPlan
from picard_pilot.data.policy import STAGEOUT
from picard_pilot.data.registrar import Registrar
from picard_pilot.data.stagein import context
from picard_pilot.data.strays import all_strays, clear
from picard_pilot.data.verdicts import stageout_verdict
from picard_pilot.data.walk import Attempt, Pace, evidence, many, walk
from picard_pilot.data.worker import TransferWorker
from picard_pilot.diagnosis.faults import fault
from picard_pilot.model.events import (
    OutputDiverted,
    OutputPlaceCleared,
    OutputRegistering,
    OutputStored,
)
from picard_pilot.model.fault import Fault
from picard_pilot.model.files import FilePlace, FileSpec, StoredFile
from picard_pilot.model.job import Job
from picard_pilot.model.site import Activity, Endpoint, Site
from picard_pilot.model.states import Phase
from picard_pilot.model.transfer import (
    Destination,
    FailureClass,
    Remedy,
    StoreRequest,
    TransferFailure,
    Transferred,
)

RULE = "data.stageout"

REFUSALS = frozenset({FailureClass.CONTACT, FailureClass.AUTH, FailureClass.SPACE, FailureClass.RESOLVE})
"""Failures after which a file surely is not there."""

UNCERTAIN = frozenset(
    {
        *("xrootd 104", "xrootd 107", "xrootd 108", "xrootd 110"),
        *("http reset", "http truncated", "http 502", "http 503", "http 504"),
    }
)
"""But for these: the connection may have been lost when all was done."""

StageOutEvent = OutputStored | OutputDiverted | OutputRegistering | OutputPlaceCleared
OnEvent = Callable[[StageOutEvent], Awaitable[None]]
OnAttempt = Callable[[FileSpec, Attempt], None]
OnWait = Callable[[FileSpec, float], None]
OnProgress = Callable[[FileSpec, int], None]


class StageOutResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage-out came to: faults (none: everything wanted is stored), outputs that may be absent and are,
    and one line per decision and attempt."""

    faults: tuple[Fault, ...] = ()
    can_wait: bool = False
    """Whether all of the faults are such that the same may succeed later, without anybody changing the job."""
    certain: bool = True
    """Whether it is certain that what was not stored is nowhere: all that refused it answered so."""
    absent: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()


class Listeners(msgspec.Struct, frozen=True, kw_only=True):
    """Who hears what happens during a stage-out.

    `on_event` is awaited for each event of the journal, which must hold it when that returns: OutputStored after the
    file stands complete under its name and before a copy elsewhere is removed, OutputDiverted before a byte goes
    elsewhere, OutputRegistering before a catalogue is told, OutputPlaceCleared afterwards. `on_attempt` gets each try
    of each file, `on_wait` the seconds of each pause before the next one, `on_progress` the bytes passed so far in the
    present one.
    """

    on_event: OnEvent
    on_attempt: OnAttempt | None = None
    on_wait: OnWait | None = None
    on_progress: OnProgress | None = None


async def stage_out(
    *,
    job: Job,
    files: Sequence[FileSpec],
    site: Site,
    directory: Path,
    done: Mapping[str, StoredFile],
    worker: TransferWorker,
    listeners: Listeners,
    touched: Mapping[str, tuple[FilePlace, ...]] | None = None,
    settled: Mapping[str, FilePlace] | None = None,
    guids: Mapping[str, str] | None = None,
    activity: str = Activity.WRITE,
    pace: Pace | None = None,
) -> StageOutResult:
    """Store `files` from `directory`; safe to repeat after a crash at any point.

    What `done` holds is not stored again. `touched` are the places of earlier OutputDiverted events, by LFN: once an
    output is stored, copies of it elsewhere are removed, so that never two of them count. `settled` are those of
    earlier OutputRegistering events: such an output goes nowhere else. `guids` are those the payload wrote into its
    files; they win over the job's. An output that cannot be stored does not keep the others
    from being stored. Cancelling ends the transfers under way.
    """
    run = _Run(job, site, directory, worker, listeners, guids or {}, activity, pace or Pace(limits=STAGEOUT))
    run.stored.update(done)
    run.touched.update(touched or {})
    run.settled.update(settled or {})
    await for_each([file for file in files if file.lfn not in done], run.store, lambda: True)
    await for_each(all_strays(run.stored, run.touched), run.clear, lambda: True)
    return StageOutResult(
        faults=tuple(run.faults),
        can_wait=bool(run.faults) and not run.hopeless,
        certain=run.certain,
        absent=tuple(run.absent),
        decisions=tuple(run.decisions),
    )


class _Run:
    """One stage-out under way."""

    def __init__(
        self,
        job: Job,
        site: Site,
        directory: Path,
        worker: TransferWorker,
        listeners: Listeners,
        guids: Mapping[str, str],
        activity: str,
        pace: Pace,
    ) -> None:
        self._job = job
        self._site = site
        self._directory = directory
        self._worker = worker
        self._listeners = listeners
        self._guids = guids
        self._activity = activity
        self._pace = pace
        self.stored: dict[str, StoredFile] = {}
        self.touched: dict[str, tuple[FilePlace, ...]] = {}
        self.settled: dict[str, FilePlace] = {}
        catalogues = site.queue.movers_for(activity) if site.queue.register_outputs else ()
        self._registrar = Registrar(worker, catalogues, pace.clock)
        self.faults: list[Fault] = []
        self.hopeless = False
        """Whether one of the faults is such that waiting cannot help."""
        self.certain = True
        self._unregistered: dict[str, TransferFailure] = {}
        self.absent: list[str] = []
        self.decisions: list[str] = []

    async def store(self, file: FileSpec) -> None:
        """Store one output at the first destination that takes it, or note the fault."""
        try:
            found = fit_output(self._directory, file.lfn)
        except FileNotFoundError:
            self._not_written(file)
            return
        except Unfit as unfit:
            self._fail(unfit.name, unfit.says)
            return
        try:
            places = self._places(file)
        except NoPlan as none:
            self._fail(none.fault, none.says)
            return
        guid = output_guid(self._job, file, self._guids)
        on_wait = self._listeners.on_wait
        attempts = await walk(
            places,
            lambda place: self._send(file, found, guid, place, _before(place, places)),
            self._pace,
            on_attempt=lambda attempt: self._attempted(file, attempt),
            on_wait=None if on_wait is None else partial(on_wait, file),
        )
        last = attempts[-1]
        if isinstance(last.entry, Destination) and isinstance(last.outcome, Transferred):
            event = _event(file, guid, last.entry, last.outcome, last.spared)
            self.stored[file.lfn] = event.file
            await self._listeners.on_event(event)
        else:
            self._nobody_took_it(file, attempts)

    def _places(self, file: FileSpec) -> tuple[Destination, ...]:
        """The destinations, best first. Raises NoPlan."""
        places = destinations(file, self._site, self._job, self._activity)
        if (only := self.settled.get(file.lfn)) is None:
            return places
        there = tuple(place for place in places if place.endpoint.name == only.endpoint)
        if not there:
            says = f"{file.lfn} is stored at {only.endpoint} ({only.surl}), which is no destination any more"
            raise NoPlan("NOSTORAGE", says)
        return there

    async def clear(self, stray: tuple[StoredFile, FilePlace]) -> None:
        """Look at one place that may hold a copy that does not count."""
        stored, place = stray
        endpoint = self._site.endpoints.get(place.endpoint) or Endpoint(name=place.endpoint)
        says = await clear(
            self._worker,
            stored,
            place,
            self._site.queue.movers_for(self._activity),
            context(self._job, self._site, endpoint, self._activity),
        )
        self.decisions.append(f"{stored.lfn}: {place.endpoint} ({place.surl}) {says}")
        await self._listeners.on_event(OutputPlaceCleared(lfn=stored.lfn, surl=place.surl, says=says))

    async def _send(
        self, file: FileSpec, found: Fit, guid: str, place: Destination, before: tuple[FilePlace, ...]
    ) -> Transferred | TransferFailure:
        here = FilePlace(place.surl, place.endpoint.name)
        if before and here not in self.touched.get(file.lfn, ()):
            await self._divert(file, here, before)
        on_progress = self._listeners.on_progress
        alone = await self._registrar.exists()
        request = StoreRequest(
            lfn=file.lfn,
            scope=file.scope,
            guid=guid,
            dataset=file.dataset,
            source=str(found.path),
            surl=place.surl,
            size_bytes=found.size_bytes,
            measure=place.endpoint.checksum,
            movers=place.movers,
            context=context(self._job, self._site, place.endpoint, self._activity),
            register=self._site.queue.register_outputs and not alone,
        )
        outcome = await self._worker.transfer(
            request,
            None if on_progress is None else lambda passed_bytes: on_progress(file, passed_bytes),
        )
        if isinstance(outcome, Transferred) and alone:
            return await self._register(file, here, request, outcome)
        if isinstance(outcome, TransferFailure) and outcome.fault == EXISTS:
            # Elsewhere it would be a second file of the same name with another content.
            return msgspec.structs.replace(outcome, remedy=Remedy.STOP)
        return outcome

    async def _register(
        self, file: FileSpec, here: FilePlace, request: StoreRequest, done: Transferred
    ) -> Transferred | TransferFailure:
        """Tell the catalogue that the file is here. Whether it heard or not, the file goes nowhere else from now on."""
        self.settled[file.lfn] = here
        await self._listeners.on_event(OutputRegistering(lfn=file.lfn, at=here))
        failure = await self._registrar.tell(request, done)
        if failure is None:
            return done
        self._unregistered[file.lfn] = failure
        return msgspec.structs.replace(failure, kind=FailureClass.REGISTER, remedy=Remedy.STOP)

    async def _divert(self, file: FileSpec, to: FilePlace, left: tuple[FilePlace, ...]) -> None:
        """Note that the output goes elsewhere: the journal must know before a byte does."""
        self.touched[file.lfn] = tuple(dict.fromkeys((*self.touched.get(file.lfn, ()), *left, to)))
        await self._listeners.on_event(OutputDiverted(lfn=file.lfn, to=to, left=left))

    def _attempted(self, file: FileSpec, attempt: Attempt) -> None:
        self.decisions.append(f"{file.lfn} to {attempt.says()}")
        if self._listeners.on_attempt is not None:
            self._listeners.on_attempt(file, attempt)

    def _not_written(self, file: FileSpec) -> None:
        if file.may_be_absent:
            self.absent.append(file.lfn)
            self.decisions.append(f"{file.lfn}: the payload did not write it, which the job permits")
        else:
            self._fail("MISSINGOUTPUTFILE", f"the payload did not write its output {file.lfn}")

    def _nobody_took_it(self, file: FileSpec, attempts: list[Attempt]) -> None:
        # What there was no time for is no try, and nobody has heard of it yet.
        self.decisions += [f"{file.lfn} to {attempt.says()}" for attempt in attempts if not attempt.number]
        failures = [attempt.outcome for attempt in attempts if isinstance(attempt.outcome, TransferFailure)]
        kind = attempts[-1].entry.endpoint.checksum
        why = stageout_verdict(failures, kind)
        found = fault(
            why.name,
            f"output {file.lfn} cannot be stored" + many(attempts),
            rule=RULE,
            evidence=evidence(attempts),
            phase=Phase.STAGEOUT,
            finer=why.finer,
            endpoint=why.endpoint,
        )
        if found.name == EXISTS and self._job.attempt_nr > 1:
            found = msgspec.structs.replace(found, next_step=self._other_attempt(file))
        self.faults.append(found)
        last = self._unregistered.get(file.lfn)
        self.hopeless = self.hopeless or not can_pass(failures if last is None else [last])
        self.certain = self.certain and all(map(_surely_refused, failures))

    def _other_attempt(self, file: FileSpec) -> str:
        return (
            f"This is attempt {self._job.attempt_nr}, and an earlier one probably left {file.lfn} there: remove that "
            "file if nothing uses it, or let the names of the job's outputs hold the number of the attempt."
        )

    def _fail(self, name: str, says: str) -> None:
        self.faults.append(fault(name, says, rule=RULE, phase=Phase.STAGEOUT))
        self.hopeless = True
        self.decisions.append(says)


def _before(place: Destination, places: Sequence[Destination]) -> tuple[FilePlace, ...]:
    """The places of other endpoints that come before this one: this or an earlier pilot may have tried them."""
    earlier = places[: places.index(place)]
    return tuple(
        FilePlace(other.surl, other.endpoint.name)
        for other in earlier
        if other.endpoint.name != place.endpoint.name
    )


def _surely_refused(failure: TransferFailure) -> bool:
    return failure.kind in REFUSALS and failure.code not in UNCERTAIN


def _event(file: FileSpec, guid: str, place: Destination, done: Transferred, spared: int) -> OutputStored:
    stored = StoredFile(
        lfn=file.lfn,
        guid=guid,
        size_bytes=done.size_bytes,
        checksum=done.checksum,
        surl=done.surl,
        endpoint=place.endpoint.name,
        alternative=place.alternative,
    )
    reason = f"{place.reason}; {done.how}"
    return OutputStored(file=stored, seconds=done.seconds, reason=reason, spared=spared)
