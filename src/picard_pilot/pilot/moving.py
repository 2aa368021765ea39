"""A stage that moves files, as it is watched: its progress, told now and then, and a note of where each file went.

Moving them is `data`; how progress and notes travel is `wire`.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping

import msgspec

from picard_pilot.data.progress import Progress
from picard_pilot.data.walk import Attempt
from picard_pilot.model.file_note import FileNote, StageNote
from picard_pilot.model.files import FileSpec
from picard_pilot.model.progress import StageProgress
from picard_pilot.model.states import Phase
from picard_pilot.model.transfer import How, Opened, TransferFailure, Transferred
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.status import waiting, write_status
from picard_pilot.pilot.troubles import Troubles
from picard_pilot.pilot.work import JobWork

log = logging.getLogger("picard.staging")

NOT_MOVED = frozenset({How.SYMLINK, How.ALREADY_THERE, How.DIRECT})
"""Ways in which no byte of a file passes."""

NOTES_KEPT = 2000
"""Tries remembered for the note of a stage; far more than its text has room for, far less than ten thousand files
with all their tries."""


class Moving:
    """One stage under way. As an async context it stands at `work.moving`, so that every update carries it.

    Every `progress_s` it writes a line to the log and status.json anew, and has the server told if anything moved
    since, or goes wrong in another way. A stage that is over sooner costs none of that. Its end leaves the note for
    the next update.
    """

    def __init__(
        self,
        parts: Parts,
        work: JobWork,
        sizes: Mapping[str, int | None],
        tell: Callable[[JobWork], None],
        done: Collection[str] = (),
    ) -> None:
        """`sizes` in bytes by LFN of all files of the stage, `done` those that need not be moved any more."""
        self._parts = parts
        self._work = work
        self._tell = tell
        self._phase = work.case.phase
        self._troubles = Troubles(work.job_id, parts.clock.monotonic, self._clean)
        self._progress = Progress(sizes, parts.clock.monotonic, done)
        self._notes: list[FileNote] = []
        self._told: tuple[int, int, str | None] | None = None
        self._ticking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Moving":
        self._work.moving = self
        self._ticking = asyncio.get_running_loop().create_task(self._tick(), name="tell progress")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._ticking is not None
        self._ticking.cancel()
        if self._work.moving is self:
            self._work.moving = None
        if self._notes:
            self._work.notes.append(StageNote(phase=self._phase, files=tuple(self._notes)))

    def progress(self) -> StageProgress:
        """How far it is now, and what is in its way."""
        trouble, again_s = self._troubles.last()
        return msgspec.structs.replace(self._progress.view(), trouble=trouble, again_s=again_s)

    @property
    def logged(self) -> frozenset[str]:
        """Lines of tries that stand in the log already."""
        return frozenset(self._troubles.logged)

    def attempted(self, file: FileSpec, attempt: Attempt) -> None:
        """A try has ended: count it, note it, send its trace."""
        self._parts.on_attempt(self._work.case.job, file, attempt)
        match attempt.outcome:
            case Transferred(size_bytes=size_bytes, how=how, seconds=seconds):
                if how not in NOT_MOVED:
                    self._parts.rates.moved(size_bytes, seconds, stored=self._phase is not Phase.STAGEIN)
                self._progress.finished(file.lfn, size_bytes, moved=how not in NOT_MOVED)
            case Opened(size_bytes=size_bytes):
                self._progress.finished(file.lfn, size_bytes, moved=False)
            case TransferFailure() as failure:
                self._progress.failed(file.lfn)
                self._troubles.failed(file, attempt, failure)
        if not isinstance(attempt.outcome, TransferFailure):
            self._troubles.over(file)
        if len(self._notes) < NOTES_KEPT:
            self._notes.append(self._note(file, attempt))

    def passed(self, file: FileSpec, passed_bytes: int) -> None:
        """So many bytes of the file have passed in its present try."""
        self._progress.passed(file.lfn, passed_bytes)

    def waits(self, file: FileSpec, wait_s: float) -> None:
        """The next try of the file comes after so long."""
        self._troubles.waits(file, wait_s)

    def _clean(self, text: str) -> str:
        """What leaves the node: without the secrets in addresses and sentences of storages."""
        clean, _ = self._parts.log.redactor.line(text, False)
        return clean

    def _note(self, file: FileSpec, attempt: Attempt) -> FileNote:
        why, how, size_bytes, seconds = attempt.entry.reason, str(How.DIRECT), None, None
        match attempt.outcome:
            case TransferFailure(kind=kind, says=says):
                why, how = says, str(kind)
            case Transferred():
                how, size_bytes, seconds = (
                    str(attempt.outcome.how),
                    attempt.outcome.size_bytes,
                    attempt.outcome.seconds,
                )
            case Opened():
                size_bytes, seconds = attempt.outcome.size_bytes, attempt.outcome.seconds
        return FileNote(
            lfn=file.lfn,
            endpoint=attempt.entry.endpoint.name,
            how=how,
            ok=not isinstance(attempt.outcome, TransferFailure),
            why=self._clean(why),
            size_bytes=size_bytes,
            seconds=seconds,
        )

    async def _tick(self) -> None:
        while True:
            await self._parts.clock.sleep(self._parts.settings.progress_s)
            view = self.progress()
            case = self._work.case
            now = self._parts.clock.now_utc()
            log.info("job %s: %s", self._work.job_id, waiting(case, now, view))
            write_status(case, self._work.bundle, self._parts.owner.pilot, view, self._work.slot)
            moved = view.files_done, view.bytes_done, view.trouble
            if moved != self._told:
                self._told = moved
                self._tell(self._work)
