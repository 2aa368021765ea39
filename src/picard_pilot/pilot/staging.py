"""The instructions that move files: stage-in, stage-out and the log archive, told to `data` and turned into events.

How a file travels is `data`; what an experiment allows is its policy hooks.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import msgspec

from picard_pilot.data import logs
from picard_pilot.data.node_files import KnownPatterns, NodeFiles
from picard_pilot.data.paces import paces
from picard_pilot.data.policy import RetryLimits
from picard_pilot.data.stagein import stage_in
from picard_pilot.data.stageout import Listeners, StageOutEvent, StageOutResult, stage_out
from picard_pilot.data.walk import Pace
from picard_pilot.diagnosis.faults import fault
from picard_pilot.experiments.hooks import HookFailed
from picard_pilot.model import events as ev
from picard_pilot.model.fault import Fault
from picard_pilot.model.files import FileSpec, StoredFile
from picard_pilot.model.site import Activity
from picard_pilot.model.states import Phase, State
from picard_pilot.pilot.ends import Until
from picard_pilot.pilot.faults import hook_fault
from picard_pilot.pilot.hooking import Hooks
from picard_pilot.pilot.keeping import Keeper
from picard_pilot.pilot.moving import Moving
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.work import JobWork
from picard_pilot.system import disk

log = logging.getLogger("picard.staging")

LOG_OF_FAILED = RetryLimits(longest_pause_s=60.0, tries=2)
"""A good job needs its log, or the server fails it; that of a failed one is worth a minute of the slot."""

LOG_WHILE_WAITING = RetryLimits(tries=1)
"""No storage took the outputs a moment ago."""

ARCHIVE_DIRECTORY = "archive"
"""Where the log archive is made, inside the private directory."""

Post = Callable[[JobWork, int, ev.Event], None]


class Staging:
    """Performs StageIn, StageOut and StoreLog; each is safe to repeat."""

    def __init__(
        self,
        parts: Parts,
        hooks: Hooks,
        post: Post,
        record: Post,
        tell: Callable[[JobWork], None],
        until: Callable[[], Until],
    ) -> None:
        """`hooks` calls the experiment; `post` takes the event of each staged input, and `record` those that must
        be in the journal before anything else is done; `tell` lets the server know of progress; `until` tells how
        much time there is."""
        self._parts = parts
        self._hooks = hooks
        self._post = post
        self._record = record
        self._tell = tell
        self._keeper = Keeper(parts, hooks, until)
        self._paces = paces(parts.settings, parts.clock, random.Random(parts.seed), None)
        self._until = until

    def get_ready(self, work: JobWork) -> None:
        """Start the transfer worker beside the job's setup: its start takes longer than most logs' transfer."""
        job = work.case.job
        if job.inputs or job.outputs or job.log:
            self._parts.worker.warm_up()

    async def stage_in(self, work: JobWork, generation: int) -> ev.Event:
        """Bring the inputs; those that the journal knows are only looked at."""

        async def staged(event: ev.InputStaged) -> None:
            self._post(work, generation, event)

        try:
            experiment = self._hooks.experiment
            policy = await self._hooks.call(experiment.input_policy, work.case.job, self._parts.site)
            local_files = await self._hooks.call(experiment.local_files, work.case.job)
            patterns = self._hooks.local_patterns()
        except HookFailed as failed:
            return ev.StageInFailed(faults=(hook_fault(failed, Phase.STAGEIN),))
        queue = self._parts.site.queue
        known = (
            KnownPatterns(f"queue {queue.name}", queue.local_files),
            KnownPatterns(f"experiment {experiment.name}", patterns),
        )
        sizes = {file.lfn: file.size_bytes for file in work.case.job.inputs}
        async with self._moving(work, sizes, work.case.staged) as moving:
            result = await stage_in(
                job=work.case.job,
                site=self._parts.site,
                node_files=NodeFiles(local_files, known),
                policy=policy,
                directory=Path(work.bundle.directory),
                done=work.case.staged,
                worker=self._parts.worker,
                on_staged=staged,
                pace=_ending(self._paces.stagein, self._until().outputs),
                max_alternative_replicas=self._parts.settings.max_alternative_replicas,
                on_attempt=moving.attempted,
                on_wait=moving.waits,
                on_progress=moving.passed,
            )
        _log_decisions(work, result.decisions, moving.logged)
        return ev.StageInFailed(faults=result.faults) if result.faults else ev.InputsReady()

    async def stage_out(self, work: JobWork, generation: int) -> ev.Event:
        """Store the outputs that are not stored yet; where nobody takes them now, they may wait."""

        async def happened(event: StageOutEvent) -> None:
            self._write_down(work, generation, event)

        directory = Path(work.bundle.directory)
        async with self._moving(work, _sizes(directory, work.case.job.outputs), work.case.stored) as moving:
            result = await stage_out(
                job=work.case.job,
                files=work.case.job.outputs,
                site=self._parts.site,
                directory=directory,
                done=work.case.stored,
                touched=work.case.touched,
                settled=work.case.settled,
                worker=self._parts.worker,
                listeners=Listeners(
                    on_event=happened,
                    on_attempt=moving.attempted,
                    on_wait=moving.waits,
                    on_progress=moving.passed,
                ),
                guids=work.case.outcome.guids,
                pace=_ending(self._paces.stageout, self._until().outputs),
            )
        _log_decisions(work, result.decisions, moving.logged)
        if not result.faults:
            return ev.OutputsStored()
        held = await self._keeper.held(work, result.faults) if result.can_wait else None
        return held or ev.StageOutFailed(faults=result.faults)

    def _write_down(self, work: JobWork, generation: int, event: StageOutEvent) -> None:
        """Before anything else is done: no storage is asked for a further copy, no catalogue told and no copy removed
        on the strength of what the journal does not know. Where it cannot be written, the stage ends here."""
        self._record(work, generation, event)
        if work.generation != generation:
            raise asyncio.CancelledError

    async def store_log(self, work: JobWork, generation: int) -> ev.Event:
        """Make the log archive in the private directory and store it."""
        file = work.case.job.log
        assert file is not None
        # In a folder of its own: a job may name its log like one of the pilot's records.
        folder = Path(work.bundle.private, ARCHIVE_DIRECTORY)
        work.make_room()
        is_new = not (folder / file.lfn).exists()
        try:
            await self._archive(work, folder, file)
        except OSError as error:
            # Others may make room on the disk.
            waits = StageOutResult(faults=(_no_archive(file, error),), can_wait=disk.is_full_error(error))
            return await self._without_log(work, waits)
        result, kept = await self._store_archive(work, generation, folder, file)
        if not result.faults:
            return ev.LogStored(file=kept[0])
        if result.certain and is_new:
            # No storage can have it: a later one can tell more.
            (folder / file.lfn).unlink(missing_ok=True)
        return await self._without_log(work, result)

    async def _without_log(self, work: JobWork, result: StageOutResult) -> ev.Event:
        """The log of a good job may wait: without it the server would call the job failed."""
        needed = work.case.state is State.ARCHIVING and result.can_wait
        held = await self._keeper.held(work, result.faults) if needed else None
        return held or ev.LogFailed(fault=result.faults[0])

    async def _archive(self, work: JobWork, folder: Path, file: FileSpec) -> None:
        """Make the archive, unless it is there; on a full disk, what is safe gives way to it. Raises OSError."""
        try:
            await self._try_to_archive(work, folder, file)
        except OSError as error:
            if not disk.is_full_error(error) or not work.remove_what_is_safe():
                raise
            await self._try_to_archive(work, folder, file)

    async def _try_to_archive(self, work: JobWork, folder: Path, file: FileSpec) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        await logs.make_archive(
            work.case.job,
            self._parts.site.queue.name,
            work.bundle,
            folder / file.lfn,
            redactor=self._parts.log.redactor,
        )

    async def _store_archive(
        self, work: JobWork, generation: int, folder: Path, file: FileSpec
    ) -> tuple[StageOutResult, list[StoredFile]]:
        """How it went, and where the archive now is, unless that failed."""
        kept: list[StoredFile] = []

        async def happened(event: StageOutEvent) -> None:
            if isinstance(event, ev.OutputStored):
                kept.append(event.file)
                if event.file.lfn not in work.case.touched:
                    return  # there is no other copy, and LogStored follows at once
            self._write_down(work, generation, event)

        async with self._moving(work, _sizes(folder, (file,)), ()) as moving:
            result = await stage_out(
                job=work.case.job,
                files=(file,),
                site=self._parts.site,
                directory=folder,
                done={},
                touched=work.case.touched,
                settled=work.case.settled,
                worker=self._parts.worker,
                listeners=Listeners(
                    on_event=happened,
                    on_attempt=moving.attempted,
                    on_wait=moving.waits,
                    on_progress=moving.passed,
                ),
                activity=Activity.LOG,
                pace=self._log_pace(work),
            )
        _log_decisions(work, result.decisions, moving.logged)
        return result, kept

    def _moving(self, work: JobWork, sizes: Mapping[str, int | None], done: Collection[str]) -> Moving:
        return Moving(self._parts, work, sizes, self._tell, done)

    def _log_pace(self, work: JobWork) -> Pace:
        pace = _ending(self._paces.stageout, self._until().log)
        if work.case.state is State.HOLDING:
            return msgspec.structs.replace(pace, limits=LOG_WHILE_WAITING)
        return msgspec.structs.replace(pace, limits=LOG_OF_FAILED) if work.case.failed else pace


def _ending(pace: Pace, at: float) -> Pace:
    return msgspec.structs.replace(pace, ends_at=at)


def _no_archive(file: FileSpec, error: OSError) -> Fault:
    return fault(
        "NOLOCALSPACE" if disk.is_full_error(error) else "LOGFILECREATIONFAILURE",
        f"the log archive {file.lfn} could not be made: {error.strerror}",
        rule="data.logs",
        evidence=(str(error),),
        phase=Phase.FINISHING,
    )


def _sizes(directory: Path, files: Collection[FileSpec]) -> dict[str, int | None]:
    """What there is to be stored, in bytes by LFN; what the payload did not write is no file of the stage."""
    sizes: dict[str, int | None] = {}
    for file in files:
        try:
            sizes[file.lfn] = (directory / file.lfn).stat().st_size
        except OSError:
            continue  # whether it may be absent is judged where it is stored
    return sizes


def _log_decisions(work: JobWork, decisions: tuple[str, ...], logged: Collection[str]) -> None:
    """What the log has not heard while the stage went on."""
    for line in decisions:
        if line not in logged:
            log.info("job %s: %s", work.job_id, line)
