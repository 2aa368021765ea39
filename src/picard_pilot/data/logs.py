"""The log archive of a job: what people and the server need to understand it, without inputs, outputs or secrets.

Storing it is `data.stageout`. It is made without any program and in bounded time and memory.
"""

import asyncio
import io
import os
import stat
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple

from picard_pilot.data.log_text import (
    HEAD_BYTES,
    SMALL_HEAD_BYTES,
    SMALL_TAIL_BYTES,
    TAIL_BYTES,
    Excerpt,
    add_text,
)
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.job import Job
from picard_pilot.system.disk import is_full_error
from picard_pilot.system.redact import Redactor

PILOT_LOGS = ("pilotlog.txt", "transferlog.txt")
"""What the pilot writes: about this job in the job's directory, else about all its jobs beside that."""

PRIVATE_PATTERNS = ("*.json", "*.jsonl")
"""The pilot's records of the job: description without secrets, journal, status, report."""

PAYLOAD_PATTERNS = (
    "payload.stdout",
    "payload.stderr",
    "jobReport.json",
    "payload_error_report.json",
    "memory_monitor_summary.json",
    "*.log",
    "log.*",
    "stageinlog.txt",
    "stageoutlog.txt",
)
"""What payloads write about themselves, at the top of the job's directory."""

FILES_LIMIT = 200
"""A payload that writes one log per event shall not make an archive that nobody can open."""

ESSENTIAL = 5
"""So many of the patterns above are whole names, and never left out for their size."""

ARCHIVE_LIMIT_BYTES = 1_000_000_000
"""All files together, before compression: storages take log archives of hundreds of megabytes only with complaints, and
nobody has read a larger one. Today's pilots limit the time alone."""

SMALL_ARCHIVE_LIMIT_BYTES = 1_000_000
"""The same on a full disk."""

TIME_LIMIT_S = 900.0
"""More than the largest archive takes on a slow disk; the slot's end may come sooner."""

TEMPORARY_CHARACTERS = 40
"""Of the archive's name, in its temporary one: at most 160 of the 255 bytes that a file system takes."""


class _Member(NamedTuple):
    name: str
    path: Path
    essential: bool = True


async def make_archive(
    job: Job, queue_name: str, bundle: Bundle, target: Path, *, redactor: Redactor | None = None
) -> None:
    """Make the job's log archive at `target`, compressed unless its name ends in `.tar`.

    An archive that is already there is kept: it may have been stored before a crash, and a stored file is never
    replaced by another one. Raises OSError if it cannot be made, TimeoutError (one of them) if that takes too long.
    Cancelling leaves nothing at `target`.
    """
    if target.exists():
        return
    deadline = time.monotonic() + TIME_LIMIT_S
    maker = _Maker(job, queue_name, bundle, redactor or Redactor(), deadline)
    work = asyncio.create_task(asyncio.to_thread(maker.make, target))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        maker.deadline = 0.0
        await asyncio.wait([work])
        work.exception()  # it gave up, as it was told
        raise


class _Maker:
    """Makes one archive, in a thread; it gives up at `deadline`, which may be moved from outside."""

    def __init__(
        self, job: Job, queue_name: str, bundle: Bundle, redactor: Redactor, deadline: float
    ) -> None:
        self._folder = f"tarball_PandaJob_{job.job_id}_{queue_name.replace('/', '_')}"
        self._not_logs = {file.lfn for file in (*job.inputs, *job.outputs)}
        self._bundle = bundle
        self._redactor = redactor
        self._notes: list[str] = []
        self._small = False
        self.deadline = deadline

    def make(self, target: Path) -> None:
        """Write the archive under a temporary name and commit it; a small one if the disk is full. Raises OSError."""
        # A name may be so long that not one character more fits.
        temporary = target.with_name(f".{target.name[:TEMPORARY_CHARACTERS]}.part")
        mode: Literal["w", "w:gz"] = "w" if target.suffix == ".tar" else "w:gz"
        try:
            try:
                self._write(temporary, mode)
            except OSError as error:
                if not is_full_error(error):
                    raise
                temporary.unlink(missing_ok=True)
                self._small = True
                self._notes = ["the disk is full: of long files only the beginning and the end are here"]
                self._write(temporary, mode)
            # An archive that stands is never made again, so that it must not be half of one after a power cut.
            _make_durable(temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def _write(self, temporary: Path, mode: Literal["w", "w:gz"]) -> None:
        import tarfile

        with tarfile.open(temporary, mode) as archive:
            for member in self._within_limit(self._members()):
                excerpt = self._excerpt(member)
                if excerpt is not None:
                    self._check_time()
                    with closing(excerpt):
                        name = f"{self._folder}/{member.name}"
                        add_text(archive, name, excerpt.size_bytes, excerpt.mtime, excerpt)
            if self._notes:
                # A payload's file may have a name that is no text.
                text = "".join(f"{note}\n" for note in self._notes).encode("utf-8", "backslashreplace")
                name = f"{self._folder}/archive_notes.txt"
                add_text(archive, name, len(text), time.time(), io.BytesIO(text))

    def _members(self) -> list[_Member]:
        """The archive's files, the most useful first."""
        directory, private = Path(self._bundle.directory), Path(self._bundle.private)
        pilots = [_Member(name, path) for name in PILOT_LOGS if (path := self._nearest(name)) is not None]
        own = [
            _Member(name, directory / name, name in PAYLOAD_PATTERNS[:ESSENTIAL])
            for name in self._matching(directory, PAYLOAD_PATTERNS)
        ]
        records = [
            _Member(f"{private.name}/{name}", private / name)
            for name in self._matching(private, PRIVATE_PATTERNS)
        ]
        names = {member.name for member in own}
        chosen = [*(member for member in pilots if member.name not in names), *records, *own]
        for member in chosen[FILES_LIMIT:]:
            self._notes.append(f"{member.name} is left out: more than {FILES_LIMIT} files")
        return chosen[:FILES_LIMIT]

    def _within_limit(self, members: list[_Member]) -> list[_Member]:
        """The members without the largest of the payload's own, as many as it takes to keep the limit."""
        limit_bytes = SMALL_ARCHIVE_LIMIT_BYTES if self._small else ARCHIVE_LIMIT_BYTES
        sizes = {member: self._kept_bytes(member) for member in members}
        total_bytes = sum(sizes.values())
        spare = [member for member in members if not member.essential]
        for member in sorted(spare, key=sizes.__getitem__, reverse=True):
            if total_bytes <= limit_bytes:
                break
            total_bytes -= sizes.pop(member)
            self._notes.append(
                f"{member.name} is left out: the archive would be larger than {limit_bytes} bytes"
            )
        return [member for member in members if member in sizes]

    def _kept_bytes(self, member: _Member) -> int:
        most = SMALL_HEAD_BYTES + SMALL_TAIL_BYTES if self._small else HEAD_BYTES + TAIL_BYTES
        try:
            return min(member.path.lstat().st_size, most)
        except OSError:
            return 0

    def _nearest(self, name: str) -> Path | None:
        """The pilot's log about this job alone, if it has one: other jobs' lines are not this job's business."""
        own = Path(self._bundle.directory, name)
        return next((path for path in (own, own.parent.parent / name) if os.path.lexists(path)), None)

    def _matching(self, directory: Path, patterns: Iterable[str]) -> list[str]:
        """Names in the order of the patterns; inputs and outputs are no logs, whatever they are called."""
        from fnmatch import fnmatchcase

        try:
            with os.scandir(directory) as entries:
                names = sorted(entry.name for entry in entries if entry.name not in self._not_logs)
        except OSError as error:
            self._notes.append(f"{directory.name} is left out: {error.strerror}")
            return []
        found = (name for pattern in patterns for name in names if fnmatchcase(name, pattern))
        return list(dict.fromkeys(found))

    def _excerpt(self, member: _Member) -> Excerpt | None:
        """The file's text to be archived; None, with a note, for whatever is no readable regular file."""
        try:
            found = member.path.lstat()
            if not stat.S_ISREG(found.st_mode):
                self._notes.append(f"{member.name} is left out: it is no regular file")
                return None
            excerpt = Excerpt(member.path, self._redactor, self._check_time, small=self._small)
        except FileNotFoundError:
            return None
        except (PermissionError, IsADirectoryError) as error:
            self._notes.append(f"{member.name} is left out: {error.strerror}")
            return None
        if excerpt.cut_bytes:
            self._notes.append(f"{member.name} is cut: {excerpt.cut_bytes} bytes in its middle are left out")
        return excerpt

    def _check_time(self) -> None:
        if time.monotonic() > self.deadline:
            raise TimeoutError(None, "making the log archive took too long")


def _make_durable(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
