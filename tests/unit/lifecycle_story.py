"""Ready-made events for lifecycle tests: the good story of a job with two inputs and one output, and its pieces."""

from picard_pilot.diagnosis.faults import fault
from picard_pilot.model import events as ev
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.files import Checksum, ChecksumKind, FileRole, FileSpec, StoredFile
from picard_pilot.model.job import Job
from picard_pilot.model.stop import Stop, StopKind

START = 1_800_000_000.0


def a_job(inputs: int = 2, outputs: int = 1, log: bool = True) -> Job:
    return Job(
        job_id=4711,
        attempt_nr=2,
        transformation="analyse",
        parameters="--fast",
        inputs=tuple(FileSpec(lfn=f"in{n}.root", role=FileRole.INPUT) for n in range(inputs)),
        outputs=tuple(FileSpec(lfn=f"out{n}.root", role=FileRole.OUTPUT) for n in range(outputs)),
        log=FileSpec(lfn="log.tgz", role=FileRole.LOG) if log else None,
    )


def stored(lfn: str) -> StoredFile:
    return StoredFile(
        lfn=lfn,
        guid=f"guid-{lfn}",
        size_bytes=17,
        checksum=Checksum(kind=ChecksumKind.ADLER32, value="00000001"),
        surl=f"file:///store/{lfn}",
        endpoint="LOCAL",
    )


def exited(code: int | None = 0, signal: int | None = None) -> ev.PayloadExited:
    return ev.PayloadExited(
        exit=PayloadExit(
            exit_code=code,
            signal=signal,
            cpu_user_s=2.5,
            cpu_system_s=0.5,
            max_rss_bytes=10_000_000,
            started_at=START,
            ended_at=START + 4,
            wall_s=4.0,
        )
    )


def stop(kind: StopKind = StopKind.SIGNAL, grace_s: float = 5.0) -> ev.StopRequested:
    name = {StopKind.SERVER_KILL: "PANDAKILL", StopKind.LIFETIME: "REACHEDMAXTIME"}.get(kind, "SIGTERM")
    return ev.StopRequested(
        stop=Stop(kind=kind, fault=fault(name, "told to stop", rule="test"), grace_s=grace_s)
    )


STAGED = tuple(
    ev.InputStaged(
        lfn=f"in{n}.root",
        size_bytes=1,
        how="copy",
        surl=f"file:///store/in{n}.root",
        endpoint="LOCAL",
        seconds=0.1,
        reason="the only replica",
    )
    for n in range(2)
)
STARTED = ev.PayloadStarted(pid=4242, start_ticks=99, started_at=START)
BAD_EXIT = fault("PAYLOADEXECUTIONFAILURE", "the payload exited with 7", rule="test")


def good_story(job: Job | None = None) -> list[ev.Event]:
    """Every event of a job that goes well, in order."""
    job = job or a_job()
    story: list[ev.Event] = [ev.JobReceived(job=job, queue="TEST"), ev.Admitted(), ev.Prepared()]
    if job.inputs:
        story += [*STAGED[: len(job.inputs)], ev.InputsReady()]
    story += [STARTED, exited(), ev.Diagnosed()]
    if job.outputs:
        story += [
            ev.OutputStored(file=stored(f.lfn), seconds=0.2, reason="the queue's endpoint")
            for f in job.outputs
        ]
        story += [ev.OutputsStored()]
    if job.log:
        story += [ev.LogStored(file=stored(job.log.lfn))]
    return [*story, ev.ReportAccepted(answer="0")]
