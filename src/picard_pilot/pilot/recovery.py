"""Taking up what earlier pilots left in the work directory: find the journals, take the leases, fold, ask the server.

What then happens to a job is the same as always: it goes on from its state. Whether it is still ours is judged by
`lifecycle.recovery`.
"""

import asyncio
import logging
import os
import random
from collections.abc import Iterable
from pathlib import Path

from picard_pilot.journal import file as journal_file
from picard_pilot.journal import lease
from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.fold import fold
from picard_pilot.lifecycle.recovery import Claim, Judgement, judge, rests
from picard_pilot.lifecycle.table import NoSuchTransition
from picard_pilot.model import events as ev
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.orders import ServerTrouble, Standing
from picard_pilot.payload import jobdir
from picard_pilot.pilot.faults import disowned
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.work import JobWork
from picard_pilot.system.backoff import Backoff

log = logging.getLogger("picard.recovery")

ASK_LIMIT_S = 20.0
"""How long the server may take to say what it knows of the jobs that were found; a pilot has other work to do."""


class NotTaken(Exception):
    """A directory is not taken up; the text is the reason, as the end of a sentence."""

    def __init__(self, why: str, level: int = logging.INFO) -> None:
        """`level` is how loud the log says so."""
        super().__init__(why)
        self.level = level


class NoJob(NotTaken):
    """A pilot made the directory and did not live to note its job; the server gives that up after half an hour."""


Reasons = dict[Path, str]
"""Why directories are not taken up."""


ASK_PAUSES = Backoff(first_s=5.0, longest_s=120.0)
"""Between two questions about a job that has something to store: a server that is back is met within two minutes."""


def take_up(
    parts: Parts,
    directories: Iterable[Path] | None = None,
    *,
    limit: int | None = None,
    passed_over: Reasons | None = None,
    resting: bool = False,
) -> list[JobWork]:
    """The jobs in the work directory, or in `directories`, that no living pilot works on and that are this queue's.

    At most `limit` of them, by default the pilot's own. What is left as it is goes into `passed_over` with the reason,
    and into the log where that is news. With `resting`, outputs that were tried a short while ago are left in peace.
    """
    limit = parts.settings.max_recoveries if limit is None else limit
    reasons: Reasons = {} if passed_over is None else passed_over
    works: list[JobWork] = []
    enough = logging.WARNING
    for directory in left_in(parts) if directories is None else directories:
        if len(works) >= limit:
            _pass_over(reasons, directory, NotTaken("this pilot took up enough, others may", enough))
            enough = logging.DEBUG  # said once
            continue
        try:
            work = _take_one(parts, directory, resting)
        except NotTaken as not_taken:
            _pass_over(reasons, directory, not_taken)
            continue
        works.append(work)
        log.info(
            "job %s was left by an earlier pilot in %s, in state %s", work.job_id, directory, work.case.state
        )
    return works


def left_in(parts: Parts) -> list[Path]:
    """The job directories in the pilot's work directory, oldest first. Raises OSError."""
    return jobdir.left_in(parts.workdir)


def place_of(parts: Parts, work: JobWork) -> str:
    """Host and directory of a job, as people are told where it waits."""
    return f"{parts.node.host}:{work.bundle.directory}"


def let_go(parts: Parts, work: JobWork) -> None:
    """Give up a job whose lease is ours, so that a later pilot can take it up. May be called twice."""
    work.journal.close()
    try:
        lease.release(Path(work.bundle.private), parts.owner)
    except OSError as error:
        log.warning("job %s: its lease cannot be given up: %s", work.job_id, error)


def _pass_over(reasons: Reasons, directory: Path, why: NotTaken) -> None:
    if reasons.get(directory) != str(why):
        log.log(why.level, "%s is left as it is: %s", directory, why)
    reasons[directory] = str(why)


async def judged(parts: Parts, works: list[JobWork]) -> list[tuple[JobWork, Judgement]]:
    """What is to become of each of these jobs: the server is asked once for all that are not over."""
    open_ids = tuple(work.job_id for work in works if not work.case.over)
    standings = await _ask(parts, open_ids) if open_ids else {}
    return [(work, _judged(parts, work, standings)) for work in works]


def _judged(parts: Parts, work: JobWork, standings: dict[int, Standing] | None) -> Judgement:
    work.unasked = standings is None and not work.case.over
    judgement = judge(
        work.case,
        None if standings is None else standings.get(work.job_id),
        asked=standings is not None,
        age_s=parts.job_time() - work.case.since,
        age_limit_s=parts.settings.recovery_age_s,
    )
    log.info("job %s: %s; %s", work.job_id, _DOING[judgement.claim], judgement.why)
    return judgement


async def permission(parts: Parts, work: JobWork) -> ev.Event | None:
    """For a job that was taken up while the server could not be asked, before anything of it is stored: ask until it
    answers. None where the job is ours, else the event that it leads to. Other jobs need none."""
    pauses = ASK_PAUSES.pauses(random.Random(parts.seed))
    while work.unasked:
        if (standings := await _ask(parts, (work.job_id,))) is None:
            await parts.clock.sleep(next(pauses))
            continue
        judgement = _judged(parts, work, standings)
        match judgement.claim:
            case Claim.LEAVE:
                return ev.Suspended(reason=judgement.why, where=place_of(parts, work))
            case Claim.DISOWN:
                me, now = parts.owner.pilot, parts.clock.now_utc()
                return ev.Resumed(pilot=me, stop=disowned(judgement.why), seen_alive_at=now)
    return None


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


def _take_one(parts: Parts, directory: Path, resting: bool) -> JobWork:
    """Raises NotTaken; then the directory is as it was."""
    bundle = jobdir.bundle_of(directory)
    private = Path(bundle.private)
    now = parts.job_time()
    try:
        if not os.path.lexists(private / journal_file.NAME) and not _was_claimed(private):
            raise NotTaken("it holds no journal", logging.DEBUG)
        if resting and (held := lease.holder(private, parts.owner, now, parts.is_alive)) is not None:
            raise lease.LeaseHeld(held)  # seen without writing, which on shared scratch is what costs
        last_sign_at = jobdir.last_sign(private, now)
        lease.take(private, parts.owner, now, parts.is_alive)
    except lease.LeaseHeld as held:
        raise NotTaken(str(held)) from held
    except OSError as error:
        raise NotTaken(f"it cannot be taken up: {error}", logging.ERROR) from error
    try:
        work = _followed(parts, bundle, resting)
        work.last_sign_at = last_sign_at
        return work
    except NotTaken as not_taken:
        if isinstance(not_taken, NoJob) and _is_bare(bundle):
            jobdir.remove(bundle, last=journal_file.NAME)
            raise NotTaken("its pilot was killed before it noted its job there; it is removed") from None
        try:
            lease.release(private, parts.owner)
        except OSError as error:
            log.warning("%s: its lease cannot be given up: %s", directory, error)
        raise


def _is_bare(bundle: Bundle) -> bool:
    """Whether there is nothing in the directory but the pilot's own records."""
    try:
        return [path.name for path in Path(bundle.directory).iterdir()] == [jobdir.PRIVATE]
    except OSError:
        return False


def _was_claimed(private: Path) -> bool:
    """Whether somebody had taken the lease there and did not give it up. Raises OSError."""
    return private.is_dir() and lease.read(private) is not None


def _followed(parts: Parts, bundle: Bundle, resting: bool) -> JobWork:
    """The job in this directory, whose lease is ours. Raises NotTaken where there is none for this pilot."""
    try:
        journal = journal_file.Journal(
            Path(bundle.private, journal_file.NAME), parts.owner.pilot, parts.job_time
        )
    except (journal_file.JournalDamaged, OSError) as error:
        raise NotTaken(f"its journal cannot be read: {error}", logging.ERROR) from error
    try:
        case = fold((record.event, record.at) for record in journal.records)
        if case is None:
            raise NoJob("its journal is empty, though files lie there", logging.ERROR)
        if case.queue != parts.site.queue.name:
            raise NotTaken(f"its job {case.job.job_id} is of queue {case.queue}, for whose pilots it waits")
        if case.over and not parts.settings.cleanup:
            raise NotTaken("its job is over and was kept", logging.DEBUG)
        if (host := _out_of_sight(case, bundle)) is not None:
            raise NotTaken(
                f"its payload still runs on {host}, where this pilot cannot see it: it is for pilots there"
            )
        if resting and rests(case, parts.job_time()):
            raise NotTaken("its outputs were tried a short while ago", logging.DEBUG)
    except NoSuchTransition as error:
        journal.close()
        raise NotTaken(f"its journal cannot be followed: {error}", logging.ERROR) from error
    except OSError as error:
        journal.close()
        raise NotTaken(f"what became of its payload cannot be told: {error}", logging.ERROR) from error
    except NotTaken:
        journal.close()
        raise
    return JobWork(case, bundle, journal)


def _out_of_sight(case: Case, bundle: Bundle) -> str | None:
    """Where the job's payload runs, if it does so where it can be neither watched nor ended from here: whoever took
    that for its end would report it lost and remove its directory. Raises OSError."""
    if case.over or case.exit is not None:
        return None
    from picard_pilot.payload import launcher  # with a job only

    return launcher.out_of_sight(Path(bundle.private, jobdir.LAUNCH_DIRECTORY))
