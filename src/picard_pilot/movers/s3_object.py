"""One object in a store, and the requests about it: signed, sent, and refusals classified.

What is done with the answers is `s3` and, for an upload, `s3_upload`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from picard_pilot.model.transfer import FailureClass, StorageAccess, TransferContext, TransferError
from picard_pilot.movers.base import Progress
from picard_pilot.movers.s3_sign import Signer, place_of
from picard_pilot.movers.s3_troubles import broken, code_of, refusal
from picard_pilot.system.http_transfer import HttpTransfers
from picard_pilot.system.http_trip import Answer, Body, TransferTrouble

NOTE = "x-amz-meta-adler32"
"""S3 keeps this beside the object: it knows no adler32 itself, and catalogues know little else."""

_TAG = re.compile(r'"?([0-9a-f]{32}(?:-[0-9]{1,5})?)"?')
_ADLER32 = re.compile(r"[0-9a-f]{8}")


class StoredObject:
    """Where an object is or will be. Raises TransferError where the address is refused."""

    def __init__(self, signer: Signer, http: HttpTransfers, surl: str, context: TransferContext) -> None:
        self._signer = signer
        self._http = http
        self._access = _access(context)
        self._place = place_of(surl, context)
        self.surl = surl

    @property
    def key(self) -> str:
        """Its name in the bucket."""
        return self._place.key

    def look(self, doing: str) -> Answer | None:
        """Its head; None where there is no such object."""
        answer = self.ask("HEAD", "head_object", doing)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self.refused(answer, doing, storing=False)
        return answer

    def read(
        self,
        doing: str,
        *,
        begin: Callable[[Answer], None],
        write: Callable[[memoryview], None],
        may_resume: bool,
        progress: Progress,
    ) -> None:
        """Read it through; `begin` sees its head before the first byte."""
        try:
            answer = self._http.download(
                self._signer.sign("get_object", self._place, self.surl),
                self._access,
                begin=begin,
                write=write,
                may_resume=may_resume,
                waiting=progress,
            )
        except TransferTrouble as trouble:
            raise broken(trouble, doing=doing, surl=self.surl) from None
        if answer.status not in (200, 206):
            raise self.refused(answer, doing, storing=False)

    def ask(
        self,
        method: str,
        operation: str,
        doing: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        waiting: Progress | None = None,
        **parameters: Any,
    ) -> Answer:
        """One short request, whatever its answer. `operation` and `parameters` are boto3's words for it."""
        url = self._signer.sign(operation, self._place, self.surl, headers, **parameters)
        try:
            return self._http.ask(method, url, self._access, headers=headers, body=body, waiting=waiting)
        except TransferTrouble as trouble:
            raise broken(trouble, doing=doing, surl=self.surl) from None

    def send(
        self,
        operation: str,
        doing: str,
        body: Body,
        headers: Mapping[str, str],
        progress: Progress,
        **parameters: Any,
    ) -> Answer:
        """One upload, whatever its answer."""
        url = self._signer.sign(operation, self._place, self.surl, headers, **parameters)
        try:
            return self._http.upload(url, self._access, body, headers=headers, waiting=progress)
        except TransferTrouble as trouble:
            raise broken(trouble, doing=doing, surl=self.surl) from None

    def refused(self, answer: Answer, doing: str, *, storing: bool) -> TransferError:
        """The failure for an answer that is not what was asked for."""
        error = refusal(answer, doing=doing, surl=self.surl, storing=storing)
        if error.failure.kind is FailureClass.AUTH:
            self._signer.forget(self._place)  # the next request signs with what the configuration then says
        return error


def tag_of(answer: Answer) -> str | None:
    """The object's ETag where it tells its bytes: an md5, or for one sent in parts that of their md5s and their number.

    None where it is something else, as with objects that the server encrypts with a key of its own.
    """
    found = _TAG.fullmatch(answer.headers.get("etag", ""))
    encrypted = answer.headers.get("x-amz-server-side-encryption", "AES256") != "AES256"
    return found.group(1) if found and not encrypted else None


def md5_of(answer: Answer) -> str | None:
    """The md5 of the object, where its tag is one."""
    tag = tag_of(answer)
    return tag if tag and "-" not in tag else None


def adler32_of(answer: Answer) -> str | None:
    """The adler32 that was left beside the object when it was stored."""
    said = answer.headers.get(NOTE, "").lower()
    return said if _ADLER32.fullmatch(said) else None


def failed_late(answer: Answer) -> bool:
    """Whether an answer of status 200 tells of a failure all the same, as the end of a long request may."""
    return code_of(answer) is not None


def _access(context: TransferContext) -> StorageAccess:
    """Whom to trust. A token or a certificate is for others: S3 refuses a request with two kinds of credentials."""
    return StorageAccess(ca_file=context.access.ca_file, ca_dir=context.access.ca_dir)
