"""The limits of one job: from its own words, its queue's, and the defaults. Pure; what a limit is, is `model.limits`.

Whether one is broken is `judging`; what that does to the job is `table`, through the event StopRequested.
"""

import msgspec

from picard_pilot.model.job import Job
from picard_pilot.model.limits import GB, MIB, From, Limit, Measure
from picard_pilot.model.site import Queue

SPINNING_FACTOR = 6
"""CPU time alone may be honest work for long: six times the looping limit are the first pilot's 12 h for production."""


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What holds where neither job nor queue says anything; None: no such limit."""

    memory_factor: float = 2.0
    """Requests are estimates; pilots have ended jobs at twice the queue's maxrss for fifteen years."""
    directory_factor: float = 1.1
    """A tenth above maxwdir, as ever."""
    asked_directory_factor: float = 2.0
    """What a job asks for is an estimate, as with memory."""
    free_space_bytes: int | None = 1 * GB
    """Below it log, report and other jobs of the node are in danger."""
    output_file_bytes: int | None = 500 * GB
    """The largest file that the grid's storages are asked to take."""
    output_text_bytes: int | None = 2 << 30
    """The limit of pilots for stdout since ever."""
    quiet_s: float | None = 2 * 3600.0
    """No CPU, I/O or file for two hours."""
    processes_base: int | None = 500
    processes_per_core: int = 100
    """A job has a few per core. Where accounts are limited, it is to 4096 processes of all jobs of the node."""


DEFAULTS = Defaults()


def limits_for(job: Job, queue: Queue, defaults: Defaults = DEFAULTS) -> tuple[Limit, ...]:
    """The limits of one job. A limit that nobody sets is not among them: unknown is not zero."""
    found = (
        _memory(job, queue, defaults),
        _directory(job, queue, defaults),
        _wall_time(job, queue),
        _cpu_time(job, queue),
        *_activity(job, defaults),
        _processes(job, defaults),
        _default(Measure.OUTPUT_FILE, defaults.output_file_bytes, "largest file that storages take"),
        _default(Measure.OUTPUT_TEXT, defaults.output_text_bytes, "output limit"),
        _default(Measure.FREE_SPACE, defaults.free_space_bytes, "reserve of the node"),
    )
    return tuple(limit for limit in found if limit is not None)


# ---- where limits come from -------------------------------------------------------------------------------


def _memory(job: Job, queue: Queue, defaults: Defaults) -> Limit | None:
    """The queue's maxrss, for a job of fewer cores its part of it, else what the job asked for; with the grace."""
    grace = _percent(queue, "pilot_rss_grace")
    factor = defaults.memory_factor if grace is None else 1 + grace / 100
    mb, share = queue.limits.maxrss_mb, _share(job, queue)
    if mb is not None:
        part = "" if share == 1 else f" x {job.requirements.cores}/{queue.limits.corecount} cores"
        detail = f"maxrss {mb} MB{part} x {factor:g}"
        return Limit(
            measure=Measure.MEMORY, value=mb * MIB * share * factor, origin=From.QUEUE, detail=detail
        )
    mb = job.requirements.memory_mb
    if mb is None:
        return None
    detail = f"minRamCount {mb} MB x {factor:g}"
    return Limit(measure=Measure.MEMORY, value=mb * MIB * factor, origin=From.JOB, detail=detail)


def _directory(job: Job, queue: Queue, defaults: Defaults) -> Limit | None:
    """The queue's maxwdir, for a job of fewer cores its part of it, else what the job asked for; with the grace."""
    grace = _percent(queue, "pilot_maxwdir_grace")
    mb, share = queue.limits.maxwdir_mb, _share(job, queue)
    if mb is not None:
        factor = defaults.directory_factor if grace is None else 1 + grace / 100
        part = "" if share == 1 else f" x {job.requirements.cores}/{queue.limits.corecount} cores"
        detail = f"maxwdir {mb} MB{part} x {factor:g}"
        value = mb * MIB * share * factor
        return Limit(measure=Measure.DIRECTORY, value=value, origin=From.QUEUE, detail=detail)
    mb = job.requirements.disk_mb
    if mb is None:
        return None
    factor = defaults.asked_directory_factor if grace is None else 1 + grace / 100
    detail = f"maxDiskCount {mb} MB x {factor:g}"
    return Limit(measure=Measure.DIRECTORY, value=mb * MIB * factor, origin=From.JOB, detail=detail)


def _wall_time(job: Job, queue: Queue) -> Limit | None:
    """The queue's maxtime; the job's estimate counts only where the queue says with which grace."""
    found = []
    if queue.limits.maxtime_s is not None:
        detail = f"maxtime {queue.limits.maxtime_s} s"
        found.append((float(queue.limits.maxtime_s), From.QUEUE, detail))
    grace, asked = _percent(queue, "pilot_walltime_grace"), job.requirements.walltime_s
    if grace and asked is not None:
        detail = f"maxWalltime {asked} s + {grace:g} % (pilot_walltime_grace)"
        found.append((asked * (1 + grace / 100), From.JOB, detail))
    if not found:
        return None
    value, origin, detail = min(found)
    return Limit(measure=Measure.WALL_TIME, value=value, origin=origin, detail=detail)


def _cpu_time(job: Job, queue: Queue) -> Limit | None:
    """The job's estimate, where the queue wants estimates of time as limits: as with wall time, by the same grace."""
    grace, asked_s = _percent(queue, "pilot_walltime_grace"), job.requirements.cpu_time_s
    if not grace or asked_s is None:
        return None
    detail = f"maxCpuCount {asked_s} s + {grace:g} % (pilot_walltime_grace)"
    return Limit(measure=Measure.CPU_TIME, value=asked_s * (1 + grace / 100), origin=From.JOB, detail=detail)


def _activity(job: Job, defaults: Defaults) -> tuple[Limit | None, ...]:
    """None for a job that does not want to be watched for loops (`loopingCheck`)."""
    raw = job.extra.get("loopingCheck")
    if raw is not None and bytes(raw).strip(b'"').lower() in (b"false", b"f", b"0"):
        return ()
    spinning_s = None if defaults.quiet_s is None else SPINNING_FACTOR * defaults.quiet_s
    return (
        _default(Measure.QUIET_TIME, defaults.quiet_s, "looping limit"),
        _default(Measure.SPINNING_TIME, spinning_s, f"{SPINNING_FACTOR} x the looping limit"),
    )


def _processes(job: Job, defaults: Defaults) -> Limit | None:
    if defaults.processes_base is None:
        return None
    cores = max(1, job.requirements.cores)
    value = defaults.processes_base + defaults.processes_per_core * cores
    detail = f"{defaults.processes_base} + {defaults.processes_per_core} x {cores} cores"
    return _default(Measure.PROCESSES, value, detail)


def _default(measure: Measure, value: float | None, detail: str) -> Limit | None:
    if value is None:
        return None
    return Limit(measure=measure, value=value, origin=From.DEFAULT, detail=detail)


def _share(job: Job, queue: Queue) -> float:
    """The part of the queue's slot that a job of fewer cores may use."""
    slot, cores = queue.limits.corecount, job.requirements.cores
    return cores / slot if slot is not None and 0 < cores < slot else 1.0


def _percent(queue: Queue, name: str) -> float | None:
    """A number of the queue's `params`; None where there is none that makes sense."""
    value = queue.params.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 <= number < 1e6 else None
