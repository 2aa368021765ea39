"""One input from one source: opened where it is or copied, and from the one to the other where that helps.

The rule that decides is `data.choice`; which sources there are, and in which order, is `data.sources`.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from picard_pilot.data.choice import Choice, Told, choose, may_be_direct, payload_address
from picard_pilot.data.policy import remedy_of
from picard_pilot.data.room import Room
from picard_pilot.data.worker import TransferWorker
from picard_pilot.model.address import without_query
from picard_pilot.model.events import InputStaged
from picard_pilot.model.files import FileSpec
from picard_pilot.model.job import Job
from picard_pilot.model.policy import InputPolicy
from picard_pilot.model.site import Activity, Endpoint, Site
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    How,
    Opened,
    OpenRequest,
    Remedy,
    Side,
    Source,
    SourceKind,
    TransferContext,
    TransferFailure,
    Transferred,
)

OnProgress = Callable[[FileSpec, int], None]

MAY_PASS = frozenset({Remedy.BENCH, Remedy.LATER, Remedy.RENEW})
"""After these an opening is not followed by a copy at once, which would meet the same; the next try copies."""

Outcome = Transferred | Opened | TransferFailure


class Bringer:
    """Brings inputs of one job. Keeps what it decided, for the journal."""

    def __init__(
        self,
        *,
        job: Job,
        site: Site,
        directory: Path,
        worker: TransferWorker,
        room: Room,
        policy: InputPolicy,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._job = job
        self._site = site
        self._queue = site.queue
        self._directory = directory
        self._worker = worker
        self._room = room
        self._policy = policy
        self._on_progress = on_progress
        self._not_opened: set[str] = set()
        self._why: dict[str, Choice] = {}
        federation = site.queue.federation
        self.federation_bytes_left = federation.max_bytes if federation else None
        """What the job may still fetch from the federation; None: no limit."""
        self.decisions: list[str] = []

    async def bring(self, file: FileSpec, source: Source) -> Outcome:
        """Try one source; never raises for what a storage did."""
        if source.kind is not SourceKind.FEDERATION:
            return await self._bring(file, source)
        size_bytes = file.size_bytes or 0
        left = self.federation_bytes_left
        if left is not None:
            if size_bytes > left:
                return _not_asked(
                    file, source, f"the job may fetch only {left} more bytes from the federation"
                )
            self.federation_bytes_left = left - size_bytes
        outcome = await self._bring(file, source)
        if isinstance(outcome, TransferFailure) and self.federation_bytes_left is not None:
            self.federation_bytes_left += size_bytes
        return outcome

    async def _bring(self, file: FileSpec, source: Source) -> Outcome:
        if source.kind is SourceKind.NODE:
            self._why.pop(file.lfn, None)
            return await self._copy(file, source, or_direct=False)
        choice = choose(file, source, self._job, self._queue, self._room.left_for(file.lfn), self._policy)
        self._why[file.lfn] = choice
        if not choice.direct:
            return await self._copy(file, source)
        if source.surl in self._not_opened:
            self._why[file.lfn] = _fell_back("copied: it could not be opened where it is")
            return await self._copy(file, source, or_direct=False)
        opened = await self._open(file, source)
        if isinstance(opened, Opened):
            self._room.give_back(file.lfn)
            return opened
        return await self._copy_instead(file, source, opened)

    async def _copy_instead(self, file: FileSpec, source: Source, failure: TransferFailure) -> Outcome:
        """What cannot be opened may still be fetched: at once, or when its storage is asked again."""
        self._not_opened.add(source.surl)
        if failure.kind is FailureClass.MISSING or remedy_of(failure) in MAY_PASS:
            return failure
        where = without_query(source.surl)
        said = f"{file.lfn} cannot be opened at {where} ({failure.kind}: {failure.says})"
        if not self._room.take(file.lfn, file.size_bytes):
            self.decisions.append(f"{said}, and there is no room for a copy")
            return failure
        self.decisions.append(f"{said}: copied instead")
        self._why[file.lfn] = _fell_back(f"copied: it could not be opened where it is ({failure.kind})")
        return await self._copy(file, source, or_direct=False)

    async def _copy(self, file: FileSpec, source: Source, or_direct: bool = True) -> Outcome:
        """Copy, or link where that is allowed; when the disk turns out to be full, open it where it is."""
        linked = self.links(source)
        if not linked and not self._room.take(file.lfn, file.size_bytes):
            failure = _no_room(file, source, self._room.left_bytes)
        else:
            fetched = await self._fetch(file, source)
            if isinstance(fetched, Transferred):
                return fetched
            failure = fetched
            self._room.give_back(file.lfn)
        full = failure.kind is FailureClass.SPACE and failure.side is Side.NODE
        if not (full and or_direct and may_be_direct(file, source, self._job, self._queue, self._policy)):
            return failure
        opened = await self._open(file, source)
        if isinstance(opened, TransferFailure):
            self.decisions.append(
                f"{file.lfn} does not fit on the disk and cannot be opened at {without_query(source.surl)} "
                f"({opened.kind}: {opened.says})"
            )
            return failure
        self._why[file.lfn] = _fell_back(f"read directly: the disk is full ({failure.says})")
        return opened

    def links(self, source: Source) -> bool:
        """Whether a file of this source is linked instead of copied, and takes no room."""
        allowed = self._queue.allow_symlink or source.kind is SourceKind.NODE
        return allowed and self._policy.allow_link and source.surl[:7].lower() == "file://"

    async def _fetch(self, file: FileSpec, source: Source) -> Transferred | TransferFailure:
        request = FetchRequest(
            lfn=file.lfn,
            scope=file.scope,
            surl=source.surl,
            target=str(self._directory / file.lfn),
            size_bytes=file.size_bytes,
            checksum=file.checksum,
            measure=source.endpoint.checksum,
            allow_symlink=self.links(source),
            movers=source.movers,
            context=context(self._job, self._site, source.endpoint, Activity.READ),
        )
        if self._on_progress is None:
            return await self._worker.transfer(request)
        on_progress = self._on_progress
        return await self._worker.transfer(request, lambda passed_bytes: on_progress(file, passed_bytes))

    async def _open(self, file: FileSpec, source: Source) -> Opened | TransferFailure:
        return await self._worker.open_check(
            OpenRequest(
                lfn=file.lfn,
                surl=source.surl,
                size_bytes=file.size_bytes,
                movers=source.movers,
                context=context(self._job, self._site, source.endpoint, Activity.READ),
            )
        )

    def explained(self, file: FileSpec, source: Source, outcome: Outcome) -> Source:
        """The source that was tried last for this file, for those who are told of it: its reason completed (copied or
        read directly, and why) where that helps, and its address without signatures."""
        choice = self._why.get(file.lfn)
        why = choice.reason if choice is not None and _helps(choice, outcome) else ""
        return msgspec.structs.replace(
            source,
            surl=without_query(source.surl),
            reason=f"{source.reason}; {why}" if why else source.reason,
        )

    def event(self, file: FileSpec, source: Source, done: Transferred | Opened) -> InputStaged:
        """What the journal is told of an input that `bring` brought; the source is `explained`."""
        reason = source.reason
        if isinstance(done, Opened):
            return InputStaged(
                lfn=file.lfn,
                size_bytes=done.size_bytes if file.size_bytes is None else file.size_bytes,
                how=How.DIRECT,
                turl=payload_address(done.surl),
                surl=without_query(done.surl),
                endpoint=source.endpoint.name,
                seconds=done.seconds,
                reason=reason,
            )
        if file.checksum is None:
            reason += (
                f"; the catalogue gives no checksum, measured {done.checksum.kind} {done.checksum.value}"
            )
        return InputStaged(
            lfn=file.lfn,
            size_bytes=done.size_bytes,
            how=done.how,
            surl=without_query(done.surl),
            endpoint=source.endpoint.name,
            seconds=done.seconds,
            reason=reason,
        )


def _fell_back(reason: str) -> Choice:
    """The other way than the one that was chosen first."""
    return Choice(reason.startswith("read directly"), reason, Told.ALWAYS)


def _helps(choice: Choice, outcome: Outcome) -> bool:
    """Whether the reader of a try with this end should hear why the file was copied or read directly."""
    if not isinstance(outcome, TransferFailure):
        return choice.told is not Told.NEVER
    no_room = outcome.kind is FailureClass.SPACE and outcome.side is Side.NODE
    return no_room or choice.direct or choice.told is Told.ALWAYS


def context(job: Job, site: Site, endpoint: Endpoint, activity: str) -> TransferContext:
    """What a mover is told about the site and the job."""
    queue = site.queue
    return TransferContext(
        endpoint=msgspec.structs.replace(endpoint, extra={}, origins={}),
        queue=queue.name,
        site=queue.site,
        activity=activity,
        experiment=queue.experiment,
        job_id=job.job_id,
        environment=queue.environment,
    )


def _no_room(file: FileSpec, source: Source, left_bytes: int | None) -> TransferFailure:
    return TransferFailure(
        kind=FailureClass.SPACE,
        says=f"{file.lfn} has {file.size_bytes} bytes, and there is room for {left_bytes} on scratch",
        side=Side.NODE,
        remedy=Remedy.NEXT,  # from another source it may be read directly
        endpoint=source.endpoint.name,
        surl=without_query(source.surl),
    )


def _not_asked(file: FileSpec, source: Source, says: str) -> TransferFailure:
    return TransferFailure(
        kind=FailureClass.SPECIFICATION,
        says=f"{file.lfn} was not asked for: {says}",
        remedy=Remedy.MISTAKE,
        endpoint=source.endpoint.name,
        surl=without_query(source.surl),
    )
