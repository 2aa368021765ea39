"""From S3's error codes, and the troubles of its connections, to classified failures.

Plain statuses are in the common table (`codes`), broken connections in that of http; S3's own words say more and win.
"""

import re
from typing import NamedTuple

from picard_pilot.model.transfer import FailureClass, Remedy, Side, TransferError, TransferFailure
from picard_pilot.movers.codes import find
from picard_pilot.movers.http_failures import TROUBLES
from picard_pilot.movers.refusals import PAUSES_S
from picard_pilot.system.http_trip import Answer, TransferTrouble


class Meaning(NamedTuple):
    """What a word of S3 means for us."""

    kind: FailureClass
    remedy: Remedy
    side: Side = Side.STORAGE


S3_CODES: dict[str, Meaning] = {
    "NoSuchKey": Meaning(FailureClass.MISSING, Remedy.NEXT),
    "NoSuchBucket": Meaning(FailureClass.RESOLVE, Remedy.NEXT),
    "InvalidObjectState": Meaning(FailureClass.SPECIFICATION, Remedy.NEXT),  # archived, not on disk
    "AccessDenied": Meaning(FailureClass.AUTH, Remedy.NEXT),
    "AccountProblem": Meaning(FailureClass.AUTH, Remedy.NEXT),
    "AllAccessDisabled": Meaning(FailureClass.AUTH, Remedy.NEXT),
    "ExpiredToken": Meaning(FailureClass.AUTH, Remedy.RENEW),
    "InvalidToken": Meaning(FailureClass.AUTH, Remedy.RENEW),
    "TokenRefreshRequired": Meaning(FailureClass.AUTH, Remedy.RENEW),
    "InvalidAccessKeyId": Meaning(FailureClass.AUTH, Remedy.RENEW),
    "SignatureDoesNotMatch": Meaning(FailureClass.AUTH, Remedy.RENEW),
    # The node's clock: no other place of this kind takes its signatures either.
    "RequestTimeTooSkewed": Meaning(FailureClass.AUTH, Remedy.NEXT, Side.NODE),
    "BadDigest": Meaning(FailureClass.CHECKSUM, Remedy.REPEAT),
    "IncompleteBody": Meaning(FailureClass.TRANSFER, Remedy.REPEAT),
    "EntityTooLarge": Meaning(FailureClass.SPACE, Remedy.NEXT),
    "QuotaExceeded": Meaning(FailureClass.SPACE, Remedy.NEXT),
    "XMinioStorageFull": Meaning(FailureClass.SPACE, Remedy.NEXT),
    "KeyTooLongError": Meaning(FailureClass.SPECIFICATION, Remedy.NEXT),
    "InvalidBucketName": Meaning(FailureClass.SPECIFICATION, Remedy.MISTAKE),
    "AuthorizationHeaderMalformed": Meaning(FailureClass.SPECIFICATION, Remedy.MISTAKE),  # another region
    "PermanentRedirect": Meaning(FailureClass.SPECIFICATION, Remedy.MISTAKE),  # another region
    "RequestTimeout": Meaning(FailureClass.TIMEOUT, Remedy.BENCH),
    "SlowDown": Meaning(FailureClass.CONTACT, Remedy.BENCH),
    "ServiceUnavailable": Meaning(FailureClass.CONTACT, Remedy.BENCH),
    "InternalError": Meaning(FailureClass.TRANSFER, Remedy.BENCH),
}
"""From the list of error responses in Amazon's API reference, MinIO's and Ceph's."""

EXPIRED = "has expired"
"""In the message of an AccessDenied: the signature's time is over, which happens where clocks differ."""

_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")


def code_of(answer: Answer) -> str | None:
    """S3's word in a refusal; None where there is none, as in every answer to a HEAD."""
    found = _CODE.search(answer.body)
    return found.group(1).decode() if found else None


def refusal(answer: Answer, *, doing: str, surl: str, storing: bool) -> TransferError:
    """The failure for an answer that is not what was asked for."""
    word = code_of(answer)
    row = find("http", answer.status, storing=storing)
    if word in S3_CODES:
        meaning = S3_CODES[word]
        if word == "AccessDenied" and EXPIRED in answer.says:
            meaning = Meaning(FailureClass.AUTH, Remedy.RENEW)
    elif row is not None:
        meaning = Meaning(row.kind, row.remedy)
    else:
        meaning = Meaning(FailureClass.TRANSFER, Remedy.NEXT)
    says = answer.says or (row.means if row is not None else f"status {answer.status}")
    return TransferError(
        TransferFailure(
            kind=meaning.kind,
            says=f"{doing}: {says}",
            side=meaning.side,
            remedy=meaning.remedy,
            code=f"s3 {word}" if word else f"http {answer.status}",
            surl=surl,
            retry_after_s=_pause_s(answer, meaning),
        )
    )


def broken(trouble: TransferTrouble, *, doing: str, surl: str) -> TransferError:
    """The failure where no usable answer came."""
    kind, remedy, means = TROUBLES.get(trouble.trouble, TROUBLES["protocol"])
    return TransferError(
        TransferFailure(
            kind=kind,
            says=f"{doing}: {means} ({trouble.evidence})",
            side=Side.NODE if trouble.trouble == "credential" else Side.STORAGE,
            remedy=remedy,
            code=f"http {trouble.trouble}",
            surl=surl,
            retry_after_s=PAUSES_S.get(remedy),
        )
    )


def _pause_s(answer: Answer, meaning: Meaning) -> float | None:
    """What the server asks for, in seconds; dates are not sent by any server of this kind."""
    said = answer.headers.get("retry-after", "")
    if said.isascii() and said.isdigit():
        return float(said)
    return PAUSES_S.get(meaning.remedy)
