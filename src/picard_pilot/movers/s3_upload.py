"""Sending a file to an object store: in one request, or a large one in parts; it appears whole or not at all.

The server compares every request's bytes with the md5 that is announced. What stands there already, and what to make
of it, is `s3`.
"""

import base64
import hashlib
import os
import re
import time
from typing import NamedTuple

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import FailureClass, Remedy, TransferError, TransferFailure
from picard_pilot.movers.base import Progress
from picard_pilot.movers.measure import Measure, measure
from picard_pilot.movers.open_file import BLOCK_BYTES, OpenFile
from picard_pilot.movers.s3_object import NOTE, StoredObject, failed_late, tag_of
from picard_pilot.system.http_trip import Answer

LARGEST_PUT_BYTES = 5 << 30
"""What S3 takes in one request. Parts cost three requests more and leave a tag that is no md5, so not earlier."""

PART_BYTES = 512 << 20
"""Of a larger file: the 10,000 parts that S3 allows are then 5 TB, its largest object."""

SIGN_OF_LIFE_S = 10.0
"""While a file is read only to know its checksum, the pilot hears this often that we live."""

ALREADY_THERE = 412
"""`If-None-Match: *` was not true."""
CONFLICT = 409
"""Another upload to the same key was just being committed."""
NOT_IMPLEMENTED = 501
"""Stores of before 2024 may say so to a condition on a PUT."""

UNLESS_THERE = {"If-None-Match": "*"}

_UPLOAD_ID = re.compile(rb"<UploadId>([^<>]{1,1024})</UploadId>")


class Outgoing(NamedTuple):
    """A file of the node that was read once: what is known of it before the first byte is sent."""

    source: OpenFile
    found: Checksum
    """Of the kind that was asked for."""
    parts: tuple[bytes, ...]
    """The md5 of each part; of a file that goes in one request there is one."""
    part_bytes: int
    in_parts: bool

    @property
    def tag(self) -> str:
        """The ETag that a store gives to this file when it is sent so."""
        if not self.in_parts:
            return self.parts[0].hex()
        whole = hashlib.md5(b"".join(self.parts), usedforsecurity=False)
        return f"{whole.hexdigest()}-{len(self.parts)}"


def read_through(source: OpenFile, kind: ChecksumKind, progress: Progress) -> Outgoing:
    """The checksum of the asked kind and the md5s that S3 wants to know before, by one read."""
    in_parts = source.size_bytes > LARGEST_PUT_BYTES
    part_bytes = PART_BYTES if in_parts else max(source.size_bytes, 1)
    running: Measure | None = None if kind is ChecksumKind.MD5 and not in_parts else measure(kind)
    os.lseek(source.fd, 0, os.SEEK_SET)
    block = memoryview(bytearray(BLOCK_BYTES))
    parts: list[bytes] = []
    said_at = time.monotonic()
    while True:
        md5, left = hashlib.md5(usedforsecurity=False), part_bytes
        while left and (count := source.read_into(block[: min(left, BLOCK_BYTES)])):
            md5.update(block[:count])
            left -= count
            if running is not None:
                running.update(block[:count])
            if time.monotonic() - said_at > SIGN_OF_LIFE_S:
                said_at = time.monotonic()
                progress(0)
        if left == part_bytes and parts:
            break
        parts.append(md5.digest())
    source.must_be_unchanged()
    found = Checksum(ChecksumKind.MD5, parts[0].hex()) if running is None else running.result()
    return Outgoing(source, found, tuple(parts), part_bytes, in_parts)


def upload(target: StoredObject, lfn: str, out: Outgoing, progress: Progress) -> bool:
    """Send it; False where meanwhile another object stands there. Raises TransferError.

    A store that knows no condition on an upload gets it without: somebody has looked a moment ago.
    """
    doing = f"storing {lfn}"
    send = _in_parts if out.in_parts else _in_one
    answer = send(target, doing, out, progress, UNLESS_THERE)
    if answer.status == NOT_IMPLEMENTED:
        answer = send(target, doing, out, progress, {})
    if answer.status in (ALREADY_THERE, CONFLICT):
        return False
    if answer.status not in (200, 201, 204) or failed_late(answer):
        raise target.refused(answer, doing, storing=True)
    _must_be_there(target, lfn, out)
    return True


def _must_be_there(target: StoredObject, lfn: str, out: Outgoing) -> None:
    there = target.look(f"verifying {lfn}")
    if there is not None and there.size_bytes == out.source.size_bytes:
        tag = tag_of(there)
        # A tag of the other form says nothing: some stores put parts together and count again.
        if tag is None or tag == out.tag or ("-" in tag) != out.in_parts:
            return
    raise _differs(target, f"{lfn} was taken by the store, which does not show it as it was sent")


def _differs(target: StoredObject, says: str) -> TransferError:
    return TransferError(
        TransferFailure(
            kind=FailureClass.CHECKSUM,
            says=says,
            remedy=Remedy.REPEAT,
            retry_after_s=0.0,
            surl=target.surl,
        )
    )


def _in_one(
    target: StoredObject, doing: str, out: Outgoing, progress: Progress, condition: dict[str, str]
) -> Answer:
    headers = {"Content-MD5": _announced(out.parts[0]), **_note(out), **condition}
    return target.send("put_object", doing, _Part(out, 0, progress), headers, progress)


def _in_parts(
    target: StoredObject, doing: str, out: Outgoing, progress: Progress, condition: dict[str, str]
) -> Answer:
    """The answer to the commit, or the first refusal; after one nothing stays in the store."""
    answer = target.ask("POST", "create_multipart_upload", doing, headers=_note(out))
    began = _UPLOAD_ID.search(answer.body)
    if answer.status != 200 or began is None:
        return answer
    upload_id = began.group(1).decode()
    committed = False
    try:
        tags: list[str] = []
        for index, md5 in enumerate(out.parts):
            answer = target.send(
                "upload_part",
                doing,
                _Part(out, index, progress),
                {"Content-MD5": _announced(md5)},
                progress,
                UploadId=upload_id,
                PartNumber=index + 1,
            )
            if answer.status != 200:
                return answer
            if tag_of(answer) not in (None, md5.hex()):  # a store that does not obey Content-MD5
                raise _differs(target, f"{doing}: part {index + 1} did not arrive as it was sent")
            tags.append(answer.headers.get("etag", f'"{md5.hex()}"'))
        answer = target.ask(
            "POST",
            "complete_multipart_upload",
            doing,
            headers=condition,
            body=_list_of(tags),
            waiting=progress,
            UploadId=upload_id,
        )
        committed = answer.status == 200 and not failed_late(answer)
        return answer
    finally:
        if not committed:
            _forget_parts(target, upload_id)


def _forget_parts(target: StoredObject, upload_id: str) -> None:
    """Parts cost space until somebody removes them; where that fails, the bucket's own rules will."""
    try:
        target.ask("DELETE", "abort_multipart_upload", "removing parts", UploadId=upload_id)
    except TransferError:
        pass


def _list_of(tags: list[str]) -> bytes:
    rows = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{tag.replace('&', '&amp;').replace('<', '&lt;')}</ETag></Part>"
        for number, tag in enumerate(tags, start=1)
    )
    return f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()


def _announced(md5: bytes) -> str:
    return base64.b64encode(md5).decode()


def _note(out: Outgoing) -> dict[str, str]:
    return {NOTE: out.found.value} if out.found.kind is ChecksumKind.ADLER32 else {}


class _Part:
    """A stretch of a file on its way out, from its beginning each time."""

    def __init__(self, out: Outgoing, index: int, progress: Progress) -> None:
        self._source = out.source
        self._progress = progress
        self._from = index * out.part_bytes
        self.size_bytes = min(out.part_bytes, out.source.size_bytes - self._from)
        self._left = 0

    def rewind(self) -> None:
        """Begin again."""
        os.lseek(self._source.fd, self._from, os.SEEK_SET)
        self._left = self.size_bytes

    def read_into(self, block: memoryview, /) -> int:
        """The next bytes. They count as passed when the next are asked for: they have been sent then."""
        count = self._source.read_into(block[: self._left])
        self._left -= count
        self._progress(count)
        return count
