"""The S3 mover: object stores, addressed by `s3://host[:port]/bucket/key`.

boto3 signs (`s3_sign`); the bytes go by http (`system.http_transfer`). S3 has no temporary names and no renaming: an
upload appears whole when it is committed, and the server itself compares it with the md5 that we send first.
Addresses that somebody else has signed are https ones, and another mover's.
"""

import base64
import errno
import hashlib
import os
import re
import time
from pathlib import Path
from typing import ClassVar, NamedTuple

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    FileFacts,
    How,
    Remedy,
    Removed,
    RemoveRequest,
    Side,
    StatRequest,
    StorageAccess,
    StoreRequest,
    TransferContext,
    TransferError,
    TransferFailure,
    Transferred,
)
from picard_pilot.model.version import VERSION
from picard_pilot.movers.base import Progress, SiteMover
from picard_pilot.movers.measure import Measure, compare, measure
from picard_pilot.movers.open_file import BLOCK_BYTES, OpenFile
from picard_pilot.movers.part_file import PartFile
from picard_pilot.movers.s3_sign import Place, Signer, place_of
from picard_pilot.movers.s3_troubles import broken, refusal
from picard_pilot.movers.troubles import Blaming
from picard_pilot.system.http_transfer import HttpTransfers
from picard_pilot.system.http_trip import Answer, TransferTrouble

LARGEST_PUT_BYTES = 5 << 30
"""What S3 takes in one request."""

SIGN_OF_LIFE_S = 10.0
"""While a file is read only to know its checksum, the pilot hears this often that we live."""

NOTE = "x-amz-meta-adler32"
"""S3 keeps this beside the object: it knows no adler32 itself, and catalogues know little else."""

ALREADY_THERE = 412
"""`If-None-Match: *` was not true."""
NOT_IMPLEMENTED = 501
"""Stores of before 2024 may say so to a condition on a PUT."""

_MD5_TAG = re.compile(r'"?([0-9a-f]{32})"?')
"""An ETag that is an md5; of an object that was sent in parts, or is encrypted by the server, it is something else."""
_ADLER32 = re.compile(r"[0-9a-f]{8}")


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
        began = time.monotonic()
        place = place_of(request.surl, request.context)
        running = measure(request.checksum.kind if request.checksum else request.measure)
        doing = f"fetching {request.lfn}"
        writing = Blaming(f"writing {request.lfn} on the node", request.surl, Side.NODE)
        with writing, PartFile(Path(request.target)) as part:

            def begin(answer: Answer) -> None:
                if None not in (answer.size_bytes, request.size_bytes):
                    _compare_size(request, answer.size_bytes or 0)

            def write(block: memoryview) -> None:
                with writing:
                    part.write(block)
                running.update(block)
                progress(len(block))

            try:
                answer = self._http.download(
                    self._signer.sign("get_object", place, request.surl),
                    _access(request.context),
                    begin=begin,
                    write=write,
                    may_resume=request.checksum is not None,
                    waiting=progress,
                )
            except TransferTrouble as trouble:
                raise broken(trouble, doing=doing, surl=request.surl) from None
            if answer.status not in (200, 206):
                raise self._refused(answer, doing, request.surl, place, storing=False)
            size_bytes = part.size_bytes()
            found = running.result()
            compare(
                lfn=request.lfn,
                surl=request.surl,
                size_bytes=size_bytes,
                found=found,
                said_bytes=request.size_bytes,
                said=request.checksum,
            )
            part.replace_target()
        return self._done(request.surl, size_bytes, found, began, How.COPY)

    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """Put one file of the node into the store; what stands there with other bytes is never overwritten."""
        began = time.monotonic()
        place = place_of(request.surl, request.context)
        with OpenFile(Path(request.source), request.lfn, request.surl, Side.NODE) as source:
            if source.size_bytes > LARGEST_PUT_BYTES:
                raise _too_large(request, source.size_bytes)
            out = _read_through(source, request.measure, progress)
            there = self._look(place, request.surl, request.context, f"looking for {request.lfn}")
            if there is None:
                how = self._put(request, place, out, progress)
            else:
                self._same_content(request, place, there, out, progress)
                how = How.ALREADY_THERE
        return self._done(request.surl, source.size_bytes, out.found, began, how)

    def stat(self, request: StatRequest) -> FileFacts:
        """Existence and size; the checksum where the store knows its md5, or whoever stored it left the other kind."""
        place = place_of(request.surl, request.context)
        answer = self._look(place, request.surl, request.context, f"looking at {place.key}")
        if answer is None:
            return FileFacts(exists=False)
        known = _md5_of(answer) if request.measure is ChecksumKind.MD5 else _noted(answer)
        checksum = Checksum(request.measure, known) if request.measure and known else None
        return FileFacts(exists=True, size_bytes=answer.size_bytes, checksum=checksum)

    def remove(self, request: RemoveRequest) -> Removed:
        """Remove one object. S3 does not say whether there was one, so it is looked for before."""
        place = place_of(request.surl, request.context)
        doing = f"removing {place.key}"
        was_there = self._look(place, request.surl, request.context, doing) is not None
        answer = self._ask("DELETE", "delete_object", place, request.surl, request.context, doing)
        if answer.status not in (200, 204, 404):
            raise self._refused(answer, doing, request.surl, place, storing=True)
        return Removed(was_there=was_there)

    def _put(self, request: StoreRequest, place: Place, out: "_Outgoing", progress: Progress) -> How:
        """Send it. A store that knows no condition on a PUT gets it without: it was looked for a moment ago."""
        doing = f"storing {request.lfn}"
        headers = {"Content-MD5": base64.b64encode(out.md5).decode()}
        if out.found.kind is ChecksumKind.ADLER32:
            headers[NOTE] = out.found.value
        answer = self._send(request, place, out, {**headers, "If-None-Match": "*"}, progress, doing)
        if answer.status == NOT_IMPLEMENTED:
            answer = self._send(request, place, out, headers, progress, doing)
        if answer.status == ALREADY_THERE:  # somebody was faster; the same content is as good
            there = self._look(place, request.surl, request.context, f"looking for {request.lfn}")
            if there is None:
                raise self._refused(answer, doing, request.surl, place, storing=True)
            self._same_content(request, place, there, out, progress)
            return How.ALREADY_THERE
        if answer.status not in (200, 201, 204):
            raise self._refused(answer, doing, request.surl, place, storing=True)
        there = self._look(place, request.surl, request.context, f"verifying {request.lfn}")
        if (
            there is None
            or there.size_bytes != out.source.size_bytes
            or _md5_of(there) not in (None, out.md5.hex())
        ):
            raise _not_what_was_sent(request)
        return How.COPY

    def _send(
        self,
        request: StoreRequest,
        place: Place,
        out: "_Outgoing",
        headers: dict[str, str],
        progress: Progress,
        doing: str,
    ) -> Answer:
        url = self._signer.sign("put_object", place, request.surl, headers)
        try:
            return self._http.upload(
                url,
                _access(request.context),
                _Sending(out.source, progress),
                headers=headers,
                waiting=progress,
            )
        except TransferTrouble as trouble:
            raise broken(trouble, doing=doing, surl=request.surl) from None

    def _same_content(
        self,
        request: StoreRequest,
        place: Place,
        there: Answer,
        out: "_Outgoing",
        progress: Progress,
    ) -> None:
        """Raise a `FILEEXISTS` failure where other bytes stand there; read them where the store knows no md5."""
        same = there.size_bytes == out.source.size_bytes
        if same:
            tag = _md5_of(there)
            same = tag == out.md5.hex() if tag else self._read_back(request, place, progress) == out.found
        if not same:
            raise TransferError(
                TransferFailure(
                    kind=FailureClass.SPECIFICATION,
                    says=f"another file stands where {request.lfn} should be stored "
                    f"({there.size_bytes} bytes there, {out.source.size_bytes} here); it was not overwritten",
                    surl=request.surl,
                    errno=errno.EEXIST,
                    fault="FILEEXISTS",
                )
            )

    def _read_back(self, request: StoreRequest, place: Place, progress: Progress) -> Checksum:
        running = measure(request.measure)
        doing = f"reading {request.lfn} back"

        def write(block: memoryview) -> None:
            running.update(block)
            progress(len(block))

        try:
            answer = self._http.download(
                self._signer.sign("get_object", place, request.surl),
                _access(request.context),
                begin=lambda answer: None,
                write=write,
                waiting=progress,
            )
        except TransferTrouble as trouble:
            raise broken(trouble, doing=doing, surl=request.surl) from None
        if answer.status not in (200, 206):
            raise self._refused(answer, doing, request.surl, place, storing=False)
        return running.result()

    def _look(self, place: Place, surl: str, context: TransferContext, doing: str) -> Answer | None:
        """The head of the object; None where there is none."""
        answer = self._ask("HEAD", "head_object", place, surl, context, doing)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self._refused(answer, doing, surl, place, storing=False)
        return answer

    def _ask(
        self, method: str, operation: str, place: Place, surl: str, context: TransferContext, doing: str
    ) -> Answer:
        try:
            return self._http.ask(method, self._signer.sign(operation, place, surl), _access(context))
        except TransferTrouble as trouble:
            raise broken(trouble, doing=doing, surl=surl) from None

    def _refused(
        self, answer: Answer, doing: str, surl: str, place: Place, *, storing: bool
    ) -> TransferError:
        error = refusal(answer, doing=doing, surl=surl, storing=storing)
        if error.failure.kind is FailureClass.AUTH:
            self._signer.forget(place)  # the next request signs with what the configuration then says
        return error

    def _done(self, surl: str, size_bytes: int, found: Checksum, began: float, how: How) -> Transferred:
        return Transferred(
            surl=surl,
            size_bytes=size_bytes,
            checksum=found,
            seconds=time.monotonic() - began,
            how=how,
            mover=self.name,
        )


class _Outgoing(NamedTuple):
    """A file of the node that was read once: what is known of it before the first byte is sent."""

    source: OpenFile
    found: Checksum
    """Of the kind that was asked for."""
    md5: bytes


class _Sending:
    """A file of the node on its way out, from its beginning each time."""

    def __init__(self, source: OpenFile, progress: Progress) -> None:
        self._source = source
        self._progress = progress
        self.size_bytes = source.size_bytes

    def rewind(self) -> None:
        """Begin again."""
        os.lseek(self._source.fd, 0, os.SEEK_SET)

    def read_into(self, block: memoryview, /) -> int:
        """The next bytes. They count as passed when they are asked for: the ones before were sent then."""
        count = self._source.read_into(block)
        self._progress(count)
        return count


def _read_through(source: OpenFile, kind: ChecksumKind, progress: Progress) -> _Outgoing:
    """The checksum of the asked kind and the md5 that S3 wants to know before, by one read."""
    os.lseek(source.fd, 0, os.SEEK_SET)
    md5 = hashlib.md5(usedforsecurity=False)
    running: Measure | None = None if kind is ChecksumKind.MD5 else measure(kind)
    block = memoryview(bytearray(BLOCK_BYTES))
    said_at = time.monotonic()
    while count := source.read_into(block):
        md5.update(block[:count])
        if running is not None:
            running.update(block[:count])
        if time.monotonic() - said_at > SIGN_OF_LIFE_S:
            said_at = time.monotonic()
            progress(0)
    found = Checksum(ChecksumKind.MD5, md5.hexdigest()) if running is None else running.result()
    source.must_be_unchanged()
    return _Outgoing(source, found, md5.digest())


def _access(context: TransferContext) -> StorageAccess:
    """Whom to trust. A token or a certificate is for others: S3 refuses a request with two kinds of credentials."""
    return StorageAccess(ca_file=context.access.ca_file, ca_dir=context.access.ca_dir)


def _md5_of(answer: Answer) -> str | None:
    found = _MD5_TAG.fullmatch(answer.headers.get("etag", ""))
    encrypted = answer.headers.get("x-amz-server-side-encryption", "AES256") != "AES256"
    return found.group(1) if found and not encrypted else None


def _noted(answer: Answer) -> str | None:
    """The adler32 that was left beside the object when it was stored."""
    said = answer.headers.get(NOTE, "").lower()
    return said if _ADLER32.fullmatch(said) else None


def _compare_size(request: FetchRequest, size_bytes: int) -> None:
    """Before any byte is moved."""
    if size_bytes != request.size_bytes:
        raise TransferError(
            TransferFailure(
                kind=FailureClass.CHECKSUM,
                says=f"{request.lfn} has {size_bytes} bytes on the storage, "
                f"its catalogue says {request.size_bytes}",
                surl=request.surl,
                remedy=Remedy.NEXT,
            )
        )


def _too_large(request: StoreRequest, size_bytes: int) -> TransferError:
    return TransferError(
        TransferFailure(
            kind=FailureClass.SPECIFICATION,
            says=f"{request.lfn} has {size_bytes} bytes; S3 takes {LARGEST_PUT_BYTES} in one request",
            remedy=Remedy.NEXT,
            surl=request.surl,
        )
    )


def _not_what_was_sent(request: StoreRequest) -> TransferError:
    return TransferError(
        TransferFailure(
            kind=FailureClass.CHECKSUM,
            says=f"{request.lfn} was taken by the store, which does not show it as it was sent",
            remedy=Remedy.REPEAT,
            retry_after_s=0.0,
            surl=request.surl,
        )
    )
