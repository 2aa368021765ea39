"""Taking up what earlier pilots left in the work directory: find the journals, take the leases, fold, ask the server.

What then happens to a job is the same as always: it goes on from its state. Whether it is still ours is judged by
`lifecycle.recovery`.
"""

import asyncio
import logging
import os
from pathlib import Path

from picard_pilot.journal import file as journal_file
from picard_pilot.journal import lease
from picard_pilot.lifecycle.fold import fold
from picard_pilot.lifecycle.recovery import Claim, Judgement, judge
from picard_pilot.lifecycle.table import NoSuchTransition
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.orders import ServerTrouble, Standing
from picard_pilot.payload import jobdir
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.work import JobWork

log = logging.getLogger("picard.recovery")

ASK_LIMIT_S = 20.0
"""How long the server may take to say what it knows of the jobs that were found; a pilot has other work to do."""


def take_up(parts: Parts) -> list[JobWork]:
    """The jobs in the work directory that no living pilot works on, and that are this queue's.

    A job that cannot be read is left as it is, with a line in the log that says where it lies and why.
    """
    works: list[JobWork] = []
    for directory in jobdir.left_in(parts.workdir):
        if len(works) == parts.settings.max_recoveries:
            log.warning(
                "%s and what comes after it is left to other pilots: this one took up enough", directory
            )
            break
        if (work := _take_one(parts, directory)) is not None:
            works.append(work)
            log.info(
                "job %s was left by an earlier pilot in %s, in state %s",
                work.job_id, directory, work.case.state,
            )  # fmt: skip
    return works


async def judged(parts: Parts, works: list[JobWork]) -> list[tuple[JobWork, Judgement]]:
    """What is to become of each of these jobs: the server is asked once for all that are not over."""
    open_ids = tuple(work.job_id for work in works if not work.case.over)
    standings = await _ask(parts, open_ids) if open_ids else {}
    found = []
    for work in works:
        standing = None if standings is None else standings.get(work.job_id)
        judgement = judge(
            work.case,
            standing,
            asked=standings is not None,
            age_s=parts.clock.now_utc() - work.case.since,
            age_limit_s=parts.settings.recovery_age_s,
        )
        log.info("job %s: %s; %s", work.job_id, _DOING[judgement.claim], judgement.why)
        found.append((work, judgement))
    return found


_DOING = {
    Claim.GO_ON: "this pilot goes on with it",
    Claim.LEAVE: "it stays on disk for a later pilot",
    Claim.DISOWN: "it is removed, and nothing of it is stored or told",
}


async def _ask(parts: Parts, job_ids: tuple[int, ...]) -> dict[int, Standing] | None:
    """What the server knows, by job; None where it cannot be asked."""
    try:
        async with asyncio.timeout(ASK_LIMIT_S):
            answer = await parts.dispatcher.status(job_ids)
    except TimeoutError:
        log.warning("the server did not say within %g s what it knows of jobs that were found", ASK_LIMIT_S)
        return None
    if isinstance(answer, ServerTrouble):
        log.warning("the server cannot be asked about jobs that were found: %s", answer.says)
        return None
    return {standing.job_id: standing for standing in answer}


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
