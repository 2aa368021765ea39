"""The instructions that move files: stage-in, stage-out and the log archive, told to `data` and turned into events.

How a file travels is `data`; what an experiment allows is its policy hooks.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from picard_pilot.data import logs
from picard_pilot.data.stagein import stage_in
from picard_pilot.data.stageout import stage_out
from picard_pilot.diagnosis.faults import fault
from picard_pilot.experiments.hooks import HookFailed
from picard_pilot.model import events as ev
from picard_pilot.model.site import Activity
from picard_pilot.model.states import Phase
from picard_pilot.pilot.faults import hook_fault
from picard_pilot.pilot.hooking import Hooks
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.work import JobWork
from picard_pilot.system import disk

log = logging.getLogger("picard.staging")

ARCHIVE_DIRECTORY = "archive"
"""Where the log archive is made, inside the private directory."""

Post = Callable[[JobWork, int, ev.Event], None]


class Staging:
    """Performs StageIn, StageOut and StoreLog; each is safe to repeat."""

    def __init__(self, parts: Parts, hooks: Hooks, post: Post) -> None:
        """`hooks` calls the experiment; `post` takes the event of each single file."""
        self._parts = parts
        self._hooks = hooks
        self._post = post

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
        except HookFailed as failed:
            return ev.StageInFailed(faults=(hook_fault(failed, Phase.STAGEIN),))
        result = await stage_in(
            job=work.case.job,
            site=self._parts.site,
            local_files=local_files,
            allow_link=policy.allow_link,
            directory=Path(work.bundle.directory),
            done=work.case.staged,
            worker=self._parts.worker,
            on_staged=staged,
        )
        _log_decisions(work, result.decisions)
        return ev.StageInFailed(faults=result.faults) if result.faults else ev.InputsReady()

    async def stage_out(self, work: JobWork, generation: int) -> ev.Event:
        """Store the outputs that are not stored yet."""

        async def stored(event: ev.OutputStored) -> None:
            self._post(work, generation, event)

        result = await stage_out(
            job=work.case.job,
            files=work.case.job.outputs,
            site=self._parts.site,
            directory=Path(work.bundle.directory),
            done=work.case.stored,
            worker=self._parts.worker,
            on_stored=stored,
            guids=work.case.outcome.guids,
        )
        _log_decisions(work, result.decisions)
        return ev.StageOutFailed(faults=result.faults) if result.faults else ev.OutputsStored()

    async def store_log(self, work: JobWork) -> ev.Event:
        """Make the log archive in the private directory and store it."""
        file = work.case.job.log
        assert file is not None
        # In a folder of its own: a job may name its log like one of the pilot's records.
        folder = Path(work.bundle.private, ARCHIVE_DIRECTORY)
        work.make_room()
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            await logs.make_archive(
                work.case.job,
                self._parts.site.queue.name,
                work.bundle,
                folder / file.lfn,
                redactor=self._parts.log.redactor,
            )
        except OSError as error:
            says = f"the log archive {file.lfn} could not be made: {error.strerror}"
            return ev.LogFailed(
                fault=fault(
                    "NOLOCALSPACE" if disk.is_full_error(error) else "LOGFILECREATIONFAILURE",
                    says,
                    rule="data.logs",
                    evidence=(str(error),),
                    phase=Phase.FINISHING,
                )
            )
        kept: list[ev.OutputStored] = []

        async def stored(event: ev.OutputStored) -> None:
            kept.append(event)

        result = await stage_out(
            job=work.case.job,
            files=(file,),
            site=self._parts.site,
            directory=folder,
            done={},
            worker=self._parts.worker,
            on_stored=stored,
            activity=Activity.LOG,
        )
        _log_decisions(work, result.decisions)
        return ev.LogFailed(fault=result.faults[0]) if result.faults else ev.LogStored(file=kept[0].file)


def _log_decisions(work: JobWork, decisions: tuple[str, ...]) -> None:
    for line in decisions:
        log.info("job %s: %s", work.job_id, line)
