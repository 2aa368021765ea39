"""The instructions about a payload: launch it, watch it, stop it, read what it left.

The launcher that keeps it is `payload.launcher`; what its end means for the job is decided in `lifecycle`.
"""

import logging
from pathlib import Path

import msgspec

from picard_pilot.experiments.environment import payload_environment
from picard_pilot.experiments.hooks import HookFailed
from picard_pilot.model import events as ev
from picard_pilot.model.bundle import Bundle, Outcome
from picard_pilot.model.fault import Fault
from picard_pilot.model.states import Phase
from picard_pilot.payload import jobdir, launcher
from picard_pilot.payload.input_catalogues import write_catalogues
from picard_pilot.payload.launch import (
    Elsewhere,
    Exited,
    Found,
    LaunchFailed,
    LaunchHandle,
    LaunchSpec,
    Lost,
    NeverStarted,
    Running,
    UndeterminedLaunch,
)
from picard_pilot.pilot import faults, notice
from picard_pilot.pilot.confining import Confining, NotConfined
from picard_pilot.pilot.diagnosing import Left, explained
from picard_pilot.pilot.hooking import Hooks
from picard_pilot.pilot.noting import note_payload, tidy_after_payload
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.recipes import note_recipe
from picard_pilot.pilot.work import JobWork
from picard_pilot.system import disk

log = logging.getLogger("picard.payload")

LAUNCH_DIRECTORY = jobdir.LAUNCH_DIRECTORY


class Payloads:
    """Performs Launch, Watch, StopPayload and Diagnose; each is safe to repeat."""

    def __init__(self, parts: Parts, hooks: Hooks) -> None:
        """`hooks` calls the experiment."""
        self._parts = parts
        self._hooks = hooks
        self.confining = Confining(parts)

    async def launch(self, work: JobWork) -> ev.Event:
        """Start the payload, or find that it was started before: the launch directory knows."""
        directory = _launch_directory(work)
        try:
            found = await launcher.find(directory)
            if isinstance(found, Running | Exited | Lost):
                return self._started(work, found.handle)
            spec = await self._spec(work, directory)
            return self._started(work, await launcher.launch(spec))
        except NotConfined as not_confined:
            return ev.LaunchFailed(fault=not_confined.fault)
        except HookFailed as failed:
            return ev.LaunchFailed(fault=faults.hook_fault(failed, Phase.RUNNING))
        except LaunchFailed as failed:
            return ev.LaunchFailed(fault=faults.start_fault(failed.error))
        except (UndeterminedLaunch, OSError) as error:
            return ev.LaunchFailed(fault=faults.launch_directory_fault(error))

    async def _spec(self, work: JobWork, directory: Path) -> LaunchSpec:
        job, site = work.case.job, self._parts.site
        bundle, catalogues = _with_inputs(work)
        experiment = self._hooks.experiment
        variables = await self._hooks.call(experiment.environment, job, site, bundle)
        needs = await self._hooks.call(experiment.credentials, job)
        container = await self._hooks.call(experiment.container, job, site)
        command = await self._hooks.call(experiment.command, job, site, bundle)
        environment = payload_environment(
            self._parts.environ,
            jobdir.temporary(bundle),
            site.queue.environment,
            catalogues,
            variables,
            {notice.VARIABLE: str(notice.path_of(bundle))},
            command.environment,
            keep=needs.variables,
        )
        plain = LaunchSpec(
            directory=str(directory),
            argv=command.argv,
            cwd=bundle.directory,
            env=environment,
            stdout=bundle.stdout,
            stderr=bundle.stderr,
            output_limit_bytes=self._parts.settings.output_limit_bytes,
        )
        note_recipe(self._parts, work, plain, container, needs.variables)
        return await self.confining.confine(work, plain, container, needs)

    def _started(self, work: JobWork, handle: LaunchHandle) -> ev.Event:
        """The payload's identity, as the launch directory holds it."""
        self._note(work, handle)
        return ev.PayloadStarted(
            pid=handle.main.pid, start_ticks=handle.main.start_ticks, started_at=handle.started_at
        )

    def _note(self, work: JobWork, handle: LaunchHandle) -> None:
        """A payload is there, whoever started it."""
        work.launcher = handle.launcher
        self.confining.started(work)
        group = None if work.confined is None else work.confined.group
        launch_mark = f"{launcher.MARK_NAME}={handle.launch_id}"
        note_payload(self._parts.ledger, work.job_id, handle.main, handle.launcher, launch_mark, group)

    async def watch(self, work: JobWork) -> ev.Event:
        """Wait for the payload, whoever started it, and remove what it made elsewhere."""
        ended = await self._ended(work)
        directory, switch = _launch_directory(work), self.confining.switch_of(work)
        await tidy_after_payload(self._parts.ledger, work.bundle, directory, work.job_id, switch)
        return ended

    async def _ended(self, work: JobWork) -> ev.Event:
        directory = _launch_directory(work)
        try:
            found = await self._end(work, directory)
        except (UndeterminedLaunch, OSError) as error:
            return ev.PayloadLost(fault=faults.no_record_fault(str(error)))
        match found:
            case Exited(exit=ended):
                await self.confining.ended(work, leftovers=ended.survivors > 0)
                return ev.PayloadExited(exit=ended)
            case Lost():
                return await self._lost(work, found)
            case Elsewhere(handle=handle):
                why = f"it was started elsewhere, on {handle.host}"
                return ev.PayloadLost(fault=faults.lost_fault(why))
            case _:
                return ev.PayloadLost(fault=faults.no_record_fault(f"{directory} holds none"))

    async def _lost(self, work: JobWork, lost: Lost) -> ev.Event:
        """End what lives on without its launcher, and say whether the launcher is gone or only its records."""
        self.confining.kill_group(work)
        killed, withstand = await launcher.kill_leftovers(lost)
        log.warning("job %s: %s; %d leftovers killed", work.job_id, lost.says, killed)
        if withstand:
            log.error("job %s: %d of its processes cannot be killed", work.job_id, withstand)
        await self.confining.ended(work, leftovers=True)
        directory = Path(lost.handle.directory)
        if isinstance(await launcher.find(directory), NeverStarted):
            return ev.PayloadLost(fault=faults.no_record_fault(f"{directory} holds none"))
        return ev.PayloadLost(fault=faults.lost_fault(lost.reason.replace("_", " ")))

    async def _end(self, work: JobWork, directory: Path) -> Found:
        """How the payload ended. Raises OSError, UndeterminedLaunch when its records cannot be read."""
        jobdir.reopen(work.bundle)
        found = await launcher.find(directory)
        while isinstance(found, Running):
            self._note(work, found.handle)
            try:
                found = await launcher.wait(found.handle)
            except PermissionError:
                # The payload may have locked its own directory; it is ours as well.
                jobdir.reopen(work.bundle)
                found = await launcher.find(directory)
        jobdir.reopen(work.bundle)
        return found

    async def stop(self, work: JobWork, grace_s: float) -> None:
        """Ask the launcher to end the payload's whole tree; the end arrives through `watch`."""
        jobdir.reopen(work.bundle)
        try:
            found = await launcher.find(_launch_directory(work))
        except (UndeterminedLaunch, OSError) as error:
            log.error("job %s: its payload cannot be stopped: %s", work.job_id, error)
            return
        if isinstance(found, Running):
            why = work.case.stop.kind.value if work.case.stop else "stop"
            launcher.stop(found.handle, grace_s, why)
            await self.confining.stop(work, found.handle, grace_s)

    async def diagnose(self, work: JobWork) -> ev.Event:
        """What the payload reports about itself and, where it did not end well, what went wrong."""
        case = work.case
        jobdir.reopen(work.bundle)
        if case.exit is None:
            return ev.Diagnosed()
        watched = () if work.watching is None else work.watching.payload_ended(case.exit)
        experiment = self._hooks.experiment
        try:
            outcome = self._hidden(
                await self._hooks.call(experiment.outcome, case.job, work.bundle, case.exit)
            )
            found = await self._faults(work, outcome, watched)
            policy = await self._hooks.call(experiment.output_policy, case.job, self._parts.site)
        except HookFailed as failed:
            return ev.Diagnosed(faults=(faults.hook_fault(failed, Phase.STAGEOUT),))
        return ev.Diagnosed(faults=found, outcome=outcome, keep_outputs=policy.store_of_failed)

    def _hidden(self, outcome: Outcome) -> Outcome:
        """The outcome without secrets in the payload's own words, which go to the journal and the server."""
        diag = outcome.exe_error_diag
        hidden = None if diag is None else self._parts.log.redactor.text(diag)
        return msgspec.structs.replace(outcome, exe_error_diag=hidden)

    async def _faults(self, work: JobWork, outcome: Outcome, watched: tuple[Fault, ...]) -> tuple[Fault, ...]:
        """What is wrong with how the payload ended: the cause, and then its bad end, which is the symptom."""
        ended = work.case.exit
        assert ended is not None
        left = Left(
            ended=ended,
            bundle=work.bundle,
            outcome=outcome,
            died_of=self.confining.signal_of(work, ended),
            disk_full=str(self._parts.workdir) if _is_full(self._parts.workdir) else None,
            kernel=tuple(
                text for seen in watched for text in (seen.says, *(one.text for one in seen.evidence))
            ),
            watched=work.case.faults,
            known=_known(self._parts),
        )
        if left.ended_well:
            return ()
        redactor = self._parts.log.redactor
        if unconfined := self.confining.faults(work, ended):
            more = await explained(left, (), redactor)
            return (*unconfined, *(one for one in more if one.name not in {one.name for one in unconfined}))
        rules = await self._hooks.call(self._hooks.experiment.rules)
        told = explained(left, rules, redactor)
        return await (self._hooks.within("rules", told) if rules else told)


def _known(parts: Parts) -> dict[str, str]:
    """Names of this node that say nothing about an error."""
    host = parts.node.host
    names = {host: "<host>", host.partition(".")[0]: "<host>", parts.environ.get("USER", ""): "<user>"}
    return {name: word for name, word in names.items() if name}


def _is_full(workdir: Path) -> bool:
    """Whether there is no room left, as far as can be told: the payload may have removed the directory itself."""
    try:
        return disk.is_full(workdir)
    except OSError:
        return False


def _launch_directory(work: JobWork) -> Path:
    return Path(work.bundle.private, LAUNCH_DIRECTORY)


def _with_inputs(work: JobWork) -> tuple[Bundle, dict[str, str]]:
    """The bundle with the addresses of inputs that are read directly, and the variables that name the files with all
    inputs, which are written now. A job without inputs has none. Raises OSError."""
    job = work.case.job
    if not job.inputs:
        return work.bundle, {}
    turls = {lfn: staged.turl for lfn, staged in work.case.staged.items() if staged.turl is not None}
    outputs = (*job.outputs, *((job.log,) if job.log else ()))
    taken = {file.lfn for file in (*job.inputs, *outputs)}
    written = write_catalogues(work.bundle, job.inputs, turls, taken)
    return msgspec.structs.replace(work.bundle, turls=turls), written.variables()
