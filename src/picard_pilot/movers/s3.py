"""The S3 mover: object stores, addressed by `s3://host[:port]/bucket/key`.

boto3 signs (`s3_sign`); the bytes go by http (`system.http_transfer`). S3 has no temporary names and no renaming: an
upload appears whole when it is committed, and the server itself compares it with the md5 that we send first.
Addresses that somebody else has signed are https ones, and another mover's.
"""

import os
import time
from pathlib import Path
from typing import ClassVar

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import (
    FetchRequest,
    FileFacts,
    How,
    Removed,
    RemoveRequest,
    Side,
    StatRequest,
    StoreRequest,
    TransferContext,
    Transferred,
)
from picard_pilot.model.version import VERSION
from picard_pilot.movers.arriving import arriving
from picard_pilot.movers.base import Progress, SiteMover
from picard_pilot.movers.measure import measure
from picard_pilot.movers.open_file import OpenFile
from picard_pilot.movers.s3_object import StoredObject, adler32_of, md5_of, tag_of
from picard_pilot.movers.s3_sign import Signer
from picard_pilot.movers.s3_upload import Outgoing, read_through, upload
from picard_pilot.movers.store_kit import another_file_stands
from picard_pilot.system.http_transfer import HttpTransfers
from picard_pilot.system.http_trip import Answer


class S3Mover(SiteMover):
    """Moves files between the node and an object store."""

    name: ClassVar[str] = "s3"
    schemes: ClassVar[tuple[str, ...]] = ("s3",)

    def __init__(self) -> None:
        self._signer = Signer()
        self._http = HttpTransfers(user_agent=f"picard-pilot/{VERSION}", environment=os.environ)

    def close(self) -> None:
        """Close idle connections. The worker never does: it ends as a whole."""
        self._http.close()

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Bring one object to the node; resumed where it breaks, verified, and only then under its name."""
        source = self._object(request.surl, request.context)
        with arriving(request, surl=request.surl, where="on the storage", progress=progress) as file:
            source.read(
                f"fetching {request.lfn}",
                begin=lambda answer: file.announced(answer.size_bytes),
                write=file.write,
                may_resume=request.checksum is not None,
                progress=progress,
            )
            return file.commit(file.judged(), self.name)

    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """Put one file of the node into the store; what stands there with other bytes is never overwritten."""
        began = time.monotonic()
        target = self._object(request.surl, request.context)
        with OpenFile(Path(request.source), request.lfn, request.surl, Side.NODE) as source:
            out = read_through(source, request.measure, progress)
            there = target.look(f"looking for {request.lfn}")
            how = How.ALREADY_THERE
            if there is None:
                if upload(target, request.lfn, out, progress):
                    how = How.COPY
                else:  # somebody was faster; the same content is as good
                    there = target.look(f"looking for {request.lfn}")
            if how is How.ALREADY_THERE and not self._is_same(target, there, request, out, progress):
                raise another_file_stands(
                    request.lfn,
                    request.surl,
                    there_bytes=None if there is None else there.size_bytes,
                    here_bytes=source.size_bytes,
                )
        return Transferred(
            surl=request.surl,
            size_bytes=source.size_bytes,
            checksum=out.found,
            seconds=time.monotonic() - began,
            how=how,
            mover=self.name,
        )

    def stat(self, request: StatRequest) -> FileFacts:
        """Existence and size; the checksum where the store knows its md5, or whoever stored it left the other kind."""
        place = self._object(request.surl, request.context)
        answer = place.look(f"looking at {place.key}")
        if answer is None:
            return FileFacts(exists=False)
        known = md5_of(answer) if request.measure is ChecksumKind.MD5 else adler32_of(answer)
        checksum = Checksum(request.measure, known) if request.measure and known else None
        return FileFacts(exists=True, size_bytes=answer.size_bytes, checksum=checksum)

    def remove(self, request: RemoveRequest) -> Removed:
        """Remove one object. S3 does not say whether there was one, so it is looked for before."""
        place = self._object(request.surl, request.context)
        doing = f"removing {place.key}"
        was_there = place.look(doing) is not None
        answer = place.ask("DELETE", "delete_object", doing)
        if answer.status not in (200, 204, 404):
            raise place.refused(answer, doing, storing=True)
        return Removed(was_there=was_there)

    def _object(self, surl: str, context: TransferContext) -> StoredObject:
        return StoredObject(self._signer, self._http, surl, context)

    def _is_same(
        self,
        target: StoredObject,
        there: Answer | None,
        request: StoreRequest,
        out: Outgoing,
        progress: Progress,
    ) -> bool:
        """Whether the same bytes stand there; they are read where the tag does not tell."""
        if there is None or there.size_bytes != out.source.size_bytes:
            return False
        tag = tag_of(there)
        if tag is not None and ("-" in tag) == ("-" in out.tag):
            if tag == out.tag:
                return True
            if not out.in_parts:
                return False  # of parts the size may have been another, so that their tags say nothing
        running = measure(request.measure)

        def take(block: memoryview) -> None:
            running.update(block)
            progress(len(block))

        target.read(
            f"reading {request.lfn} back",
            begin=lambda answer: None,
            write=take,
            may_resume=False,
            progress=progress,
        )
        return running.result() == out.found
