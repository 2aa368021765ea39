"""Stage-in: every input of a job in its directory, verified, or opened where it is, from the first source that
gives it.

Which sources there are is `data.sources`, one input from one source is `data.bringing`, room is `data.room`; the
journal is the caller's.
"""

import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from picard_pilot.data.bringing import Bringer, OnProgress, context
from picard_pilot.data.choice import choose, may_be_direct
from picard_pilot.data.crew import for_each
from picard_pilot.data.lookup import Lookup, completed
from picard_pilot.data.node_files import NodeFiles
from picard_pilot.data.paths import NoPlan
from picard_pilot.data.policy import RetryLimits
from picard_pilot.data.room import NoRoom, Room, Wanted
from picard_pilot.data.sources import MAX_ALTERNATIVE_REPLICAS, SourceList, sources
from picard_pilot.data.verdicts import stagein_verdict
from picard_pilot.data.walk import Attempt, Pace, evidence, many, walk
from picard_pilot.data.worker import TransferWorker
from picard_pilot.diagnosis.faults import fault
from picard_pilot.model.address import without_query
from picard_pilot.model.events import InputStaged
from picard_pilot.model.fault import Fault
from picard_pilot.model.files import ChecksumKind, FileSpec
from picard_pilot.model.job import Job
from picard_pilot.model.policy import InputPolicy
from picard_pilot.model.site import Activity, Endpoint, Site
from picard_pilot.model.states import Phase
from picard_pilot.model.transfer import How, Source, SourceKind, TransferFailure
from picard_pilot.system import disk

__all__ = ["StageInResult", "context", "stage_in"]  # `context` serves stage-out as well

RULE = "data.stagein"

LEFTOVER_PATTERN = ".*.part"
"""Names under which a mover writes a file before it is complete."""

BYTES_PER_MB = 1 << 20

ON_NODE = RetryLimits(longest_pause_s=0.0, patience_s=5.0, tries=1)
"""A copy on the node saves time or is no use: it is never waited for, nor tried while its file system is known to
hang."""

NOWHERE = Endpoint(name="nowhere")

OnStaged = Callable[[InputStaged], Awaitable[None]]
OnAttempt = Callable[[FileSpec, Attempt], None]
OnWait = Callable[[FileSpec, float], None]


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
    node_files: NodeFiles | None = None,
    policy: InputPolicy | None = None,
    pace: Pace | None = None,
    max_alternative_replicas: int = MAX_ALTERNATIVE_REPLICAS,
    on_attempt: OnAttempt | None = None,
    on_wait: OnWait | None = None,
    on_progress: OnProgress | None = None,
) -> StageInResult:
    """Bring the job's inputs into `directory`, or open them where the payload will read them; safe to repeat after a
    crash at any point.

    `done` holds what the journal knows to be staged: a copy is looked at (it exists with its size) and fetched again
    if it is not so; what was opened is not opened again. `node_files` knows copies that lie on the node anyway: they
    come first. `policy` is the experiment's. `on_staged` is awaited for each input, after it lies complete under its
    name or was opened; `on_attempt` gets each try of each file, `on_wait` the
    seconds of each pause before the next one, `on_progress` the bytes passed so far in it.

    Nothing is begun when the inputs cannot fit. After a first input that cannot be had no further one is begun;
    those under way are finished. Cancelling ends the transfers under way and leaves no partial file's content under
    a final name.
    """
    _remove_leftovers(directory, job)
    run = _Run(
        job=job,
        site=site,
        directory=directory,
        worker=worker,
        on_staged=on_staged,
        node_files=node_files or NodeFiles({}),
        policy=policy or InputPolicy(),
        pace=pace or Pace(),
        max_alternative_replicas=max_alternative_replicas,
        on_attempt=on_attempt,
        on_wait=on_wait,
        on_progress=on_progress,
        done=done,
    )
    await run.all()
    _remove_leftovers(directory, job)
    return StageInResult(faults=tuple(run.faults), decisions=tuple(run.decisions))


class _Run:
    """One stage-in under way."""

    def __init__(
        self,
        *,
        job: Job,
        site: Site,
        directory: Path,
        worker: TransferWorker,
        on_staged: OnStaged,
        node_files: NodeFiles,
        policy: InputPolicy,
        pace: Pace,
        max_alternative_replicas: int,
        on_attempt: OnAttempt | None,
        on_wait: OnWait | None,
        on_progress: OnProgress | None,
        done: Mapping[str, InputStaged],
    ) -> None:
        self._job = job
        self._site = site
        self._directory = directory
        self._on_staged = on_staged
        self._node_files = node_files
        self._policy = policy
        self._pace = pace
        self._max_alternative_replicas = max_alternative_replicas
        self._on_attempt = on_attempt
        self._on_wait = on_wait
        self.faults: list[Fault] = []
        self.decisions: list[str] = []
        self._missing = [file for file in job.inputs if not self._still_there(file, done.get(file.lfn))]
        there = len(job.inputs) - len(self._missing)
        self._room = self._measured(done if there else {})
        movers = site.queue.movers_for(Activity.READ)
        asked = context(job, site, NOWHERE, Activity.READ)
        self._lookup = Lookup(worker, self._missing, movers, msgspec.structs.replace(asked, endpoint=None))
        self._bringer = Bringer(
            job=job,
            site=site,
            directory=directory,
            worker=worker,
            room=self._room,
            policy=policy,
            on_progress=on_progress,
        )

    async def all(self) -> None:
        """Bring what is missing."""
        if any(not self._node_files.copies_of(file.lfn).places for file in self._missing):
            await self._lookup.ask()
        if self._plan():
            await for_each(self._missing, self._stage, lambda: not self.faults)
        self.decisions += self._lookup.decisions

    def _still_there(self, file: FileSpec, staged: InputStaged | None) -> bool:
        """Whether an input that the journal calls staged really is, by its size."""
        if staged is None:
            return False
        if staged.how == How.DIRECT:
            self.decisions.append(f"{file.lfn}: opened before, read directly at {staged.turl}")
            return True
        size_bytes = _size_of_regular_file(self._directory / file.lfn)
        if size_bytes == staged.size_bytes:
            self.decisions.append(f"{file.lfn}: already staged, {size_bytes} bytes")
            return True
        self.decisions.append(
            f"{file.lfn}: staged earlier with {staged.size_bytes} bytes, now "
            f"{'missing' if size_bytes is None else f'{size_bytes} bytes'}: fetched again"
        )
        return False

    def _measured(self, done: Mapping[str, InputStaged]) -> Room:
        """The room on scratch and what the queue permits. A disk that cannot be asked sets no bound."""
        try:
            free_bytes = disk.free_bytes(self._directory)
        except OSError:
            free_bytes = None
        limit_mb = self._site.queue.limits.maxinputsize_mb
        copied = sum(one.size_bytes or 0 for one in done.values() if one.how in (How.COPY, How.REFLINK))
        return Room(free_bytes, None if limit_mb is None else limit_mb * BYTES_PER_MB, copied)

    def _plan(self) -> bool:
        """Reserve room for all copies, as far as sizes are known; whether the stage-in may begin."""
        everything = [
            Wanted(file.lfn, file.size_bytes, False)
            for file in (completed(file, self._lookup.of(file))[0] for file in self._missing)
            if file.size_bytes is not None
        ]
        if self._room.holds(sum(one.size_bytes for one in everything)):
            # The usual case: whatever is decided later, there is room for it.
            self._room.plan(everything)
            return True
        wanted = [one for one in map(self._wanted, self._missing) if one is not None]
        try:
            spared = self._room.plan(wanted)
        except NoRoom as none:
            self._fail(none.fault, none.says)
            return False
        if spared:
            self.decisions.append(
                f"{len(spared)} inputs are read directly, since there is no room for copies"
            )
        return True

    def _wanted(self, file: FileSpec) -> Wanted | None:
        """What a copy of the file would take; None where it is linked, read directly, or nothing is known."""
        file, _ = completed(file, self._lookup.of(file))
        if file.size_bytes is None or self._node_files.copies_of(file.lfn).places:
            return None
        try:
            places = self._places(file).found
        except NoPlan:
            return None  # its own fault, which comes with its own words
        queue = self._site.queue
        if self._bringer.links(places[0]):
            return None
        if choose(file, places[0], self._job, queue, None, self._policy).direct:
            return None
        direct = any(may_be_direct(file, place, self._job, queue, self._policy) for place in places)
        return Wanted(file.lfn, file.size_bytes, direct)

    def _places(self, file: FileSpec) -> SourceList:
        return sources(
            file,
            self._site,
            replicas=self._lookup.of(file),
            bad=self._pace.known.bad,
            max_alternative_replicas=self._max_alternative_replicas,
            federation_bytes_left=self._bringer.federation_bytes_left,
        )

    async def _stage(self, file: FileSpec) -> None:
        """Bring one input from the first source that gives it, or note the fault."""
        if not _is_bare_name(file.lfn):
            self._fail("BADOUTPUTFILENAME", f"the input name {file.lfn!r} is not a bare file name")
            return
        copies = self._node_files.copies_of(file.lfn)
        self.decisions += [f"{file.lfn}: {says}" for says in copies.refused]
        attempts: list[Attempt] = []
        quick = msgspec.structs.replace(self._pace, limits=ON_NODE)
        if copies.places and await self._walked(file, copies.places, quick, attempts):
            return
        await self._lookup.ask()
        file, differences = completed(file, self._lookup.of(file))
        self.decisions += differences
        try:
            places = self._places(file)
        except NoPlan as none:
            self._fail(none.fault, none.says, evidence(attempts))
            return
        if not await self._walked(file, places.found, self._pace, attempts):
            self._nobody_had_it(file, attempts, places.left_out)

    async def _walked(
        self, file: FileSpec, places: Sequence[Source], pace: Pace, before: list[Attempt]
    ) -> bool:
        """Whether one of the places gave the file; the attempts are added to `before`."""
        explained: dict[int, Attempt] = {}

        def hear(attempt: Attempt) -> None:
            assert isinstance(attempt.entry, Source)
            attempt = attempt._replace(entry=self._bringer.explained(file, attempt.entry, attempt.outcome))
            explained[attempt.number] = attempt
            if self._on_attempt is not None:
                self._on_attempt(file, attempt)

        walked = await walk(
            places,
            lambda source: self._bringer.bring(file, source),
            pace,
            on_attempt=hear,
            on_wait=None if self._on_wait is None else partial(self._on_wait, file),
        )
        attempts = [explained.get(attempt.number) or _untried(attempt) for attempt in walked]
        before += attempts
        self.decisions += self._bringer.decisions
        self._bringer.decisions.clear()
        self.decisions += [f"{file.lfn} from {attempt.says()}" for attempt in attempts]
        last = attempts[-1]
        if isinstance(last.outcome, TransferFailure):
            return False
        assert isinstance(last.entry, Source)
        event = self._bringer.event(file, last.entry, last.outcome)
        await self._on_staged(msgspec.structs.replace(event, spared=walked[-1].spared))
        return True

    def _nobody_had_it(self, file: FileSpec, attempts: Sequence[Attempt], left_out: Sequence[str]) -> None:
        failures = [
            (attempt.entry, attempt.outcome)
            for attempt in attempts
            if isinstance(attempt.outcome, TransferFailure)
        ]
        # A copy on the node that was not there says nothing about the file.
        elsewhere = [failure for entry, failure in failures if not _is_on_node(entry)]
        kind = file.checksum.kind if file.checksum else ChecksumKind.ADLER32
        why = stagein_verdict(elsewhere or [failure for _, failure in failures], kind)
        self.faults.append(
            fault(
                why.name,
                f"input {file.lfn} cannot be had" + many(attempts),
                rule=RULE,
                evidence=(*evidence(attempts), *(f"not tried: {place}" for place in left_out)),
                phase=Phase.STAGEIN,
                finer=why.finer,
                endpoint=why.endpoint,
            )
        )

    def _fail(self, name: str, says: str, evidence: tuple[str, ...] = ()) -> None:
        self.faults.append(fault(name, says, rule=RULE, evidence=evidence, phase=Phase.STAGEIN))
        if not evidence:
            self.decisions.append(says)


def _untried(attempt: Attempt) -> Attempt:
    """What would have been next, without signatures in its address."""
    surl = without_query(attempt.entry.surl)
    return attempt._replace(entry=msgspec.structs.replace(attempt.entry, surl=surl))


def _is_on_node(entry: object) -> bool:
    return isinstance(entry, Source) and entry.kind is SourceKind.NODE


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
    """Partial files of transfers that died with their worker or pilot, and the folders of programs that died with them;
    only an input may have such a name. What cannot be removed takes room and does no other harm."""
    names = {file.lfn for file in job.inputs}
    for path in directory.glob(LEFTOVER_PATTERN):
        if path.name in names:
            continue
        try:
            path.unlink(missing_ok=True)
        except OSError:  # a folder, as a rule
            import shutil

            shutil.rmtree(path, ignore_errors=True)
