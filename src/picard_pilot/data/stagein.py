"""Stage-in: every input of a job in its directory, verified, from the first source that gives it.

Which sources there are is `data.sources`; the journal is the caller's.
"""

import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from picard_pilot.data.crew import for_each
from picard_pilot.data.paths import NoPlan
from picard_pilot.data.sources import sources
from picard_pilot.data.verdicts import stagein_fault
from picard_pilot.data.walk import Attempt, Pace, many, walk
from picard_pilot.data.worker import TransferWorker
from picard_pilot.diagnosis.faults import fault
from picard_pilot.model.events import InputStaged
from picard_pilot.model.fault import Fault
from picard_pilot.model.files import ChecksumKind, FileSpec
from picard_pilot.model.job import Job
from picard_pilot.model.site import Activity, Endpoint, Site
from picard_pilot.model.states import Phase
from picard_pilot.model.transfer import FetchRequest, Source, TransferContext, TransferFailure, Transferred

RULE = "data.stagein"

LEFTOVER_PATTERN = ".*.part"
"""Names under which a mover writes a file before it is complete."""

OnStaged = Callable[[InputStaged], Awaitable[None]]


class StageInResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage-in came to: faults (none: all inputs are there) and one line per decision and attempt."""

    faults: tuple[Fault, ...] = ()
    decisions: tuple[str, ...] = ()


async def stage_in(
    *,
    job: Job,
    site: Site,
    directory: Path,
    done: Mapping[str, InputStaged],
    worker: TransferWorker,
    on_staged: OnStaged,
    local_files: Mapping[str, str] | None = None,
    allow_link: bool = True,
    pace: Pace | None = None,
) -> StageInResult:
    """Bring the job's inputs into `directory`; safe to repeat after a crash at any point.

    `done` holds what the journal knows to be staged: such a file is only looked at (it exists with its size) and
    fetched again if it is not so. `local_files` are copies that the experiment knows on the node, path by LFN: they
    come first. `on_staged` is awaited for each input, after it lies complete under its name.
    After a first input that cannot be had no further one is begun; those under way are finished.
    Cancelling ends the transfers under way and leaves no partial file's content under a final name.
    """
    _remove_leftovers(directory, job)
    run = _Run(job, site, directory, worker, on_staged, local_files or {}, allow_link, pace or Pace())
    missing = [file for file in job.inputs if not run.still_there(file, done.get(file.lfn))]
    await for_each(missing, run.stage, lambda: not run.faults)
    _remove_leftovers(directory, job)
    return StageInResult(faults=tuple(run.faults), decisions=tuple(run.decisions))


class _Run:
    """One stage-in under way."""

    def __init__(
        self,
        job: Job,
        site: Site,
        directory: Path,
        worker: TransferWorker,
        on_staged: OnStaged,
        local_files: Mapping[str, str],
        allow_link: bool,
        pace: Pace,
    ) -> None:
        self._job = job
        self._site = site
        self._directory = directory
        self._worker = worker
        self._on_staged = on_staged
        self._local_files = local_files
        self._allow_link = allow_link
        self._pace = pace
        self.faults: list[Fault] = []
        self.decisions: list[str] = []

    def still_there(self, file: FileSpec, staged: InputStaged | None) -> bool:
        """Whether an input that the journal calls staged really is, by its size."""
        if staged is None:
            return False
        size_bytes = _size_of_regular_file(self._directory / file.lfn)
        if size_bytes == staged.size_bytes:
            self.decisions.append(f"{file.lfn}: already staged, {size_bytes} bytes")
            return True
        self.decisions.append(
            f"{file.lfn}: staged earlier with {staged.size_bytes} bytes, now "
            f"{'missing' if size_bytes is None else f'{size_bytes} bytes'}: fetched again"
        )
        return False

    async def stage(self, file: FileSpec) -> None:
        """Bring one input from the first source that gives it, or note the fault."""
        if not _is_bare_name(file.lfn):
            self._fail("BADOUTPUTFILENAME", f"the input name {file.lfn!r} is not a bare file name")
            return
        try:
            places = sources(
                file,
                self._site,
                local_path=self._local_files.get(file.lfn),
                bad=self._pace.known.bad,
            )
        except NoPlan as none:
            self._fail(none.fault, none.says)
            return
        attempts = await walk(places, lambda source: self._fetch(file, source), self._pace)
        self.decisions += [f"{file.lfn} from {attempt.says()}" for attempt in attempts]
        last = attempts[-1]
        if isinstance(last.outcome, Transferred):
            await self._on_staged(_event(file, last.entry.endpoint, last.entry.reason, last.outcome))
        else:
            self._nobody_had_it(file, attempts)

    async def _fetch(self, file: FileSpec, source: Source) -> Transferred | TransferFailure:
        return await self._worker.transfer(
            FetchRequest(
                lfn=file.lfn,
                scope=file.scope,
                surl=source.surl,
                target=str(self._directory / file.lfn),
                size_bytes=file.size_bytes,
                checksum=file.checksum,
                measure=source.endpoint.checksum,
                allow_symlink=self._site.queue.allow_symlink and self._allow_link,
                movers=source.movers,
                context=context(self._job, self._site, source.endpoint, Activity.READ),
            )
        )

    def _nobody_had_it(self, file: FileSpec, attempts: list[Attempt]) -> None:
        failures = [attempt.outcome for attempt in attempts if isinstance(attempt.outcome, TransferFailure)]
        kind = file.checksum.kind if file.checksum else ChecksumKind.ADLER32
        self._fail(
            stagein_fault(failures, kind),
            f"input {file.lfn} cannot be had" + many(attempts),
            tuple(attempt.says() for attempt in attempts),
        )

    def _fail(self, name: str, says: str, evidence: tuple[str, ...] = ()) -> None:
        self.faults.append(fault(name, says, rule=RULE, evidence=evidence, phase=Phase.STAGEIN))
        if not evidence:
            self.decisions.append(says)


def context(job: Job, site: Site, endpoint: Endpoint, activity: str) -> TransferContext:
    """What a mover is told about the site and the job."""
    queue = site.queue
    return TransferContext(
        endpoint=msgspec.structs.replace(endpoint, extra={}, origins={}),
        queue=queue.name,
        site=queue.site,
        activity=activity,
        experiment=queue.experiment,
        job_id=job.job_id,
        environment=queue.environment,
    )


def _event(file: FileSpec, endpoint: Endpoint, reason: str, done: Transferred) -> InputStaged:
    if file.checksum is None:
        reason += f"; the catalogue gives no checksum, measured {done.checksum.kind} {done.checksum.value}"
    return InputStaged(
        lfn=file.lfn,
        size_bytes=done.size_bytes,
        how=done.how,
        surl=done.surl,
        endpoint=endpoint.name,
        seconds=done.seconds,
        reason=reason,
    )


def _is_bare_name(lfn: str) -> bool:
    """The border has checked it; nothing is written outside the directory even if it had not."""
    return bool(lfn) and lfn not in (".", "..") and "/" not in lfn and "\0" not in lfn


def _size_of_regular_file(path: Path) -> int | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _remove_leftovers(directory: Path, job: Job) -> None:
    """Partial files of transfers that died with their worker or pilot; only an input may have such a name."""
    names = {file.lfn for file in job.inputs}
    for path in directory.glob(LEFTOVER_PATTERN):
        if path.name not in names:
            path.unlink(missing_ok=True)
