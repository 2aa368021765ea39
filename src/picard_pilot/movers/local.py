"""The local mover: storage that is mounted on the node, addressed by `file://`.

Copies (or shares blocks by reflink and reads once to verify); links symbolically where the queue allows it. Never
a hard link: through it a payload could overwrite the storage.
"""

import errno
import os
import time
from pathlib import Path
from typing import ClassVar

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    FileFacts,
    How,
    Removed,
    RemoveRequest,
    Side,
    StatRequest,
    StoreRequest,
    TransferError,
    TransferFailure,
    Transferred,
)
from picard_pilot.movers.base import Progress, SiteMover
from picard_pilot.movers.file_url import path_of
from picard_pilot.movers.measure import compare, measure
from picard_pilot.movers.open_file import BLOCK_BYTES, OpenFile
from picard_pilot.movers.part_file import PartFile, part_name
from picard_pilot.movers.store_kit import another_file_stands
from picard_pilot.movers.troubles import Blaming
from picard_pilot.system.files import sync_directory

FLUSH_BYTES = 128 << 20
"""What is stored goes to the disk in such portions: a node buffers tens of gigabytes, and writing them all at the end
would take a slow storage longer than the minute after which a silent transfer is taken for a hanging one."""

FICLONE = 0x40049409
"""The ioctl that makes one file share another's blocks (linux/fs.h)."""

NO_REFLINK = frozenset({errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM})
"""How file systems say that they, or this pair of files, cannot share blocks."""


class LocalMover(SiteMover):
    """Moves files between the node and a storage that the node has mounted."""

    name: ClassVar[str] = "local"
    schemes: ClassVar[tuple[str, ...]] = ("file",)

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Copy, reflink or link one file to the node, verified; what stood at the target is replaced."""
        began = time.monotonic()
        path = Path(path_of(request.surl, request.context.endpoint))
        kind = request.checksum.kind if request.checksum else request.measure
        with OpenFile(path, request.lfn, request.surl, Side.STORAGE) as source:
            if request.size_bytes is not None:
                _same_size(request, source)  # before any byte is moved
            if request.allow_symlink:
                found = source.read_through(kind, progress)
                _compare(request, source.passed_bytes, found)
                with _writing(request, Side.NODE):
                    _link(path, Path(request.target))
                how = How.SYMLINK
            else:
                with _writing(request, Side.NODE), PartFile(Path(request.target)) as part:
                    how, found = _fill(part, source, kind, progress)
                    _compare(request, part.size_bytes(), found)
                    part.replace_target()
        return Transferred(
            surl=request.surl,
            size_bytes=source.passed_bytes,
            checksum=found,
            seconds=time.monotonic() - began,
            how=how,
            mover=self.name,
        )

    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """Copy or reflink one file of the node to the storage; durable before it appears under its name."""
        began = time.monotonic()
        target = Path(path_of(request.surl, request.context.endpoint))
        with OpenFile(Path(request.source), request.lfn, request.surl, Side.NODE) as source:
            with _writing(request, Side.STORAGE):
                how, found = self._commit(request, source, target, progress)
        return Transferred(
            surl=request.surl,
            size_bytes=source.size_bytes,
            checksum=found,
            seconds=time.monotonic() - began,
            how=how,
            mover=self.name,
        )

    def _commit(
        self, request: StoreRequest, source: "OpenFile", target: Path, progress: Progress
    ) -> tuple[How, Checksum]:
        if os.path.lexists(target):
            found = _same_content(request, source, target, progress)
            sync_directory(target.parent)  # a crash may have come between its appearing and this
            return How.ALREADY_THERE, found
        target.parent.mkdir(parents=True, exist_ok=True)
        with PartFile(target) as part:
            how, found = _fill(part, source, request.measure, progress, flush_bytes=FLUSH_BYTES)
            source.must_be_unchanged()
            part.sync()
            compare(
                lfn=request.lfn,
                surl=request.surl,
                size_bytes=part.size_bytes(),
                found=found,
                said_bytes=source.size_bytes,
                said=None,
            )
            try:
                part.become_target()
            except FileExistsError:  # another attempt was faster; the same content is as good
                return How.ALREADY_THERE, _same_content(request, source, target, progress)
        sync_directory(target.parent)
        return how, found

    def stat(self, request: StatRequest) -> FileFacts:
        """Existence and size; with `measure` the checksum, which reads the whole file."""
        path = Path(path_of(request.surl, request.context.endpoint))
        try:
            with OpenFile(path, path.name, request.surl, Side.STORAGE) as found:
                checksum = found.read_through(request.measure, _nobody) if request.measure else None
                return FileFacts(exists=True, size_bytes=found.size_bytes, checksum=checksum)
        except TransferError as error:
            if error.failure.kind is FailureClass.MISSING:
                return FileFacts(exists=False)
            raise

    def remove(self, request: RemoveRequest) -> Removed:
        """Remove one file; a directory is refused."""
        path = Path(path_of(request.surl, request.context.endpoint))
        with Blaming(f"removing {path.name}", request.surl, Side.STORAGE):
            try:
                path.unlink()
            except FileNotFoundError:
                return Removed(was_there=False)
        return Removed(was_there=True)


def _fill(
    part: PartFile, source: OpenFile, kind: ChecksumKind, progress: Progress, flush_bytes: int | None = None
) -> tuple[How, Checksum]:
    """All of `source` in `part`, by shared blocks where the file system can; measured either way.

    With `flush_bytes` what was written goes to the disk whenever that much has come together.
    """
    if _reflinked(source.fd, part.fd):
        return How.REFLINK, source.read_through(kind, progress)
    running = measure(kind)
    block = memoryview(bytearray(BLOCK_BYTES))
    waiting_bytes = 0
    while count := source.read_into(block):
        source.must_not_outgrow()
        part.write(block[:count])
        running.update(block[:count])
        progress(count)
        waiting_bytes += count
        if flush_bytes is not None and waiting_bytes >= flush_bytes:
            waiting_bytes = 0
            part.sync()
            progress(0)
    return How.COPY, running.result()


def _reflinked(source_fd: int, target_fd: int) -> bool:
    import fcntl

    try:
        fcntl.ioctl(target_fd, FICLONE, source_fd)
    except OSError as error:
        if error.errno in NO_REFLINK:
            return False
        raise
    return True


def _link(source: Path, target: Path) -> None:
    temporary = target.with_name(part_name(target.name))
    temporary.symlink_to(source)
    try:
        temporary.replace(target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _same_content(request: StoreRequest, source: OpenFile, target: Path, progress: Progress) -> Checksum:
    """The common checksum of source and target; a `FILEEXISTS` failure where they differ."""
    found = source.read_through(request.measure, progress)
    with OpenFile(target, request.lfn, request.surl, Side.STORAGE) as there:
        same = there.size_bytes == source.size_bytes
        if same and there.read_through(request.measure, progress) == found:
            return found
        raise another_file_stands(
            request.lfn, request.surl, there_bytes=there.size_bytes, here_bytes=source.size_bytes
        )


def _same_size(request: FetchRequest, source: OpenFile) -> None:
    if source.size_bytes != request.size_bytes:
        raise TransferError(
            TransferFailure(
                kind=FailureClass.CHECKSUM,
                says=f"{request.lfn} has {source.size_bytes} bytes on the storage, "
                f"its catalogue says {request.size_bytes}",
                surl=request.surl,
            )
        )


def _compare(request: FetchRequest, size_bytes: int, found: Checksum) -> None:
    compare(
        lfn=request.lfn,
        surl=request.surl,
        size_bytes=size_bytes,
        found=found,
        said_bytes=request.size_bytes,
        said=request.checksum,
    )


def _writing(request: FetchRequest | StoreRequest, side: Side) -> Blaming:
    return Blaming(f"writing {request.lfn} on the {side}", request.surl, side)


def _nobody(count: int) -> None:
    """Progress that nobody listens to."""
