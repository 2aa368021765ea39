"""Giving a job that has just come its directory, its lease and the first record of its journal.

From that record on a later pilot finds the job: nothing that can wait stands before it, not even the loading of what
works on jobs, which is `pilot.perform`.
"""

import logging
from pathlib import Path

import msgspec

from picard_pilot.journal import file as journal_file
from picard_pilot.journal import lease
from picard_pilot.journal.memory import MemoryJournal
from picard_pilot.lifecycle.pilot import Leaving
from picard_pilot.lifecycle.table import step
from picard_pilot.model import events as ev
from picard_pilot.payload import jobdir
from picard_pilot.pilot import faults
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.work import JobWork

log = logging.getLogger("picard.perform")


def open_job(parts: Parts, arrived: ev.JobReceived) -> JobWork:
    """Make the job's directory and write its first record: from here on it cannot be forgotten.

    Where no directory can be made, the job lives in memory alone, to be reported failed at once.
    """
    bundle = None
    try:
        bundle = jobdir.make(parts.workdir, arrived.job.job_id, arrived.job.attempt_nr)
        lease.take(Path(bundle.private), parts.owner, parts.job_time(), parts.is_alive)
        journal = journal_file.Journal(
            Path(bundle.private, journal_file.NAME), parts.owner.pilot, parts.job_time
        )
        record = journal.append(arrived)
    except (OSError, journal_file.JournalFull) as error:
        if bundle is not None:
            jobdir.remove(bundle)
        return _in_memory(parts, arrived, error)
    case, _ = step(None, record.event, record.at)
    return JobWork(case, bundle, journal)


def _in_memory(parts: Parts, arrived: ev.JobReceived, error: Exception) -> JobWork:
    log.error("job %s: no directory for it: %s", arrived.job.job_id, error)
    refused = msgspec.structs.replace(
        arrived, refusal=arrived.refusal or faults.directory_fault(error, parts.workdir)
    )
    journal = MemoryJournal(parts.owner.pilot, parts.job_time)
    record = journal.append(refused)
    case, _ = step(None, refused, record.at)
    nowhere = parts.workdir / f"{jobdir.PREFIX}{arrived.job.job_id}.none"
    work = JobWork(case, jobdir.bundle_of(nowhere), journal)
    if not isinstance(error, FileExistsError):
        full = faults.is_full(error)
        work.unhoused = Leaving.NO_SPACE if full else Leaving.NO_DIRECTORY
    return work
