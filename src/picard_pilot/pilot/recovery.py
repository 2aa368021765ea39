"""Taking up what earlier pilots left in the work directory: find the journals, take the leases, fold.

What then happens to a job is the same as always: it goes on from its state. Which jobs are worth it, and on whose
behalf, is a matter of policy that does not live here.
"""

import logging
import os
from pathlib import Path

from picard_pilot.journal import file as journal_file
from picard_pilot.journal import lease
from picard_pilot.lifecycle.fold import fold
from picard_pilot.lifecycle.table import NoSuchTransition
from picard_pilot.model.bundle import Bundle
from picard_pilot.payload import jobdir
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.work import JobWork

log = logging.getLogger("picard.recovery")


def take_up(parts: Parts) -> list[JobWork]:
    """The jobs in the work directory that no living pilot works on, and that are this queue's.

    A job that cannot be read is left as it is, with a line in the log that says where it lies and why.
    """
    works = []
    for directory in jobdir.left_in(parts.workdir):
        if (work := _take_one(parts, directory)) is not None:
            works.append(work)
            log.info(
                "job %s was left by an earlier pilot in %s; going on from state %s",
                work.job_id, directory, work.case.state,
            )  # fmt: skip
    return works


def _take_one(parts: Parts, directory: Path) -> JobWork | None:
    bundle = jobdir.bundle_of(directory)
    private = Path(bundle.private)
    try:
        if not os.path.lexists(private / journal_file.NAME):
            return None
        lease.take(private, parts.owner, parts.clock.now_utc(), parts.is_alive)
    except lease.LeaseHeld as held:
        log.info("%s: %s", directory.name, held)
        return None
    except OSError as error:
        log.error("%s cannot be taken up: %s", directory, error)
        return None
    work = _followed(parts, bundle)
    if work is None:
        try:
            lease.release(private, parts.owner)
        except OSError as error:
            log.warning("%s: its lease cannot be given up: %s", directory, error)
    return work


def _followed(parts: Parts, bundle: Bundle) -> JobWork | None:
    """The job in this directory, whose lease is ours; None where there is none for this pilot."""
    try:
        journal = journal_file.Journal(
            Path(bundle.private, journal_file.NAME), parts.owner.pilot, parts.clock.now_utc
        )
    except (journal_file.JournalDamaged, OSError) as error:
        log.error("%s is left as it is, its journal cannot be read: %s", bundle.directory, error)
        return None
    try:
        case = fold((record.event, record.at) for record in journal.records)
    except NoSuchTransition as error:
        log.error("%s is left as it is, its journal cannot be followed: %s", bundle.directory, error)
        case = None
    # Without a first record there was no job yet; another queue's job needs another pilot; one that is over was kept.
    if case is None or case.queue != parts.site.queue.name or (case.over and not parts.settings.cleanup):
        journal.close()
        return None
    return JobWork(case, bundle, journal)
