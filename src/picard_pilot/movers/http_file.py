"""One file by http, verified: brought to the node, or looked at where it is. Shared by the movers that speak http.

How a file is stored is `http_store`; the bytes are `system.http_transfer`.
"""

import base64
import binascii
from typing import NamedTuple

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import FailureClass, FetchRequest, Remedy, Transferred
from picard_pilot.movers.arriving import arriving
from picard_pilot.movers.base import Progress
from picard_pilot.movers.http_address import HttpAddress
from picard_pilot.movers.http_failures import failed, no_answer, refused
from picard_pilot.movers.measure import measure
from picard_pilot.system.http_transfer import HttpTransfers
from picard_pilot.system.http_trip import Answer, TransferTrouble

PACKED = (".gz", ".tgz", ".bz2", ".tbz", ".xz", ".txz", ".zst", ".br", ".z")
"""How names of packed files end."""
FIRST_BYTES = 4096
"""What is read of a file to see that it can be opened."""
_DIGITS = {ChecksumKind.ADLER32: 8, ChecksumKind.MD5: 32}
"""How many hexadecimal digits a checksum has."""


class Facts(NamedTuple):
    """What a storage says of a file; None is unknown. `server` is what it calls itself, in lower case."""

    exists: bool
    size_bytes: int | None
    checksums: dict[ChecksumKind, str]
    server: str


def fetch_file(
    transfers: HttpTransfers, address: HttpAddress, request: FetchRequest, progress: Progress, mover: str
) -> Transferred:
    """GET the file to `request.target`, as `SiteMover.fetch` promises.

    The catalogue's checksum is the judge where it gives one. Where it gives none, the storage is asked for its own,
    with which the arrived bytes are compared.
    """
    doing = f"fetching {request.lfn}"
    said = request.checksum
    with arriving(request, surl=address.shown, where=f"at {address.host}", progress=progress) as file:

        def begin(answer: Answer) -> None:
            if answer.status != 200:
                raise refused(answer, address, doing=doing)
            file.announced(answer.size_bytes)
            if said is None and request.size_bytes is None:
                _must_be_plain(request.lfn, address, answer)

        def get(asked: dict[str, str]) -> Answer:
            return transfers.download(
                address.url,
                address.access,
                begin=begin,
                write=file.write,
                headers=asked,
                may_resume=said is not None,
                size_bytes=(request.size_bytes or 0) if asked else 0,
                waiting=progress,
            )

        try:
            answer = get({} if said else want_digest(request.measure))
            if said is None and not file.passed_bytes and may_be_the_question(answer):
                answer = get({})
        except TransferTrouble as trouble:
            raise no_answer(trouble, address, doing=doing) from None
        if answer.status not in (200, 206):
            raise refused(answer, address, doing=doing)
        found = file.judged()
        if said is None:
            _compare_with_storage(request.lfn, address, found, digests_in(answer))
        return file.commit(found, mover)


def look(
    transfers: HttpTransfers,
    address: HttpAddress,
    *kinds: ChecksumKind,
    url: str | None = None,
    size_bytes: int = 0,
    progress: Progress | None = None,
) -> Facts:
    """What the storage says of a file (`url`: of another one beside it).

    With `kinds` it is asked for a checksum of one of them, best first, which may make it read all `size_bytes`.
    """
    doing = f"looking at {address.name}"
    try:
        if address.is_signed:  # the signature permits nothing but the method that it was made for
            answer = transfers.ask("GET", address.url, address.access, headers={"Range": "bytes=0-0"})
        else:
            answer = transfers.ask(
                "HEAD",
                url or address.url,
                address.access,
                headers=want_digest(*kinds),
                size_bytes=size_bytes if kinds else 0,
                waiting=progress,
            )
            if kinds and may_be_the_question(answer):
                answer = transfers.ask("HEAD", url or address.url, address.access)
    except TransferTrouble as trouble:
        raise no_answer(trouble, address, doing=doing) from None
    server = answer.headers.get("server", "").lower()
    if answer.status in (404, 410):
        return Facts(False, None, {}, server)
    if answer.status not in (200, 204, 206, 416):
        raise refused(answer, address, doing=doing)
    return Facts(True, answer.size_bytes, digests_in(answer), server)


def first_bytes(transfers: HttpTransfers, address: HttpAddress, lfn: str) -> int | None:
    """Read a file's first bytes and nothing more; its size, where the storage says it. Raises TransferError."""
    ranged = {"Range": f"bytes=0-{FIRST_BYTES - 1}"}
    try:
        answer = transfers.ask("GET", address.url, address.access, headers=ranged)
    except TransferTrouble as trouble:
        raise no_answer(trouble, address, doing=f"opening {lfn}") from None
    if answer.status == 416 and answer.size_bytes == 0:
        return 0
    if answer.status not in (200, 206):
        raise refused(answer, address, doing=f"opening {lfn}")
    return answer.size_bytes


def read_back(
    transfers: HttpTransfers, address: HttpAddress, url: str, kind: ChecksumKind, progress: Progress
) -> Checksum | None:
    """The checksum of what the storage gives back; None where it gives nothing. Raises TransferError."""
    running = measure(kind)
    begun: list[Answer] = []  # a resumed read ends with another answer than it began with

    def write(block: memoryview) -> None:
        running.update(block)
        progress(len(block))

    try:
        transfers.download(
            url, address.access, begin=begun.append, write=write, may_resume=False, waiting=progress
        )
    except TransferTrouble as trouble:
        raise no_answer(trouble, address, doing=f"reading back {address.name}") from None
    return running.result() if begun and begun[0].status == 200 else None


def want_digest(*kinds: ChecksumKind) -> dict[str, str]:
    """RFC 3230's question, which grid storages answer."""
    return {"Want-Digest": ",".join(kinds)} if kinds else {}


def may_be_the_question(answer: Answer) -> bool:
    """Whether it may be the question for a checksum that was refused, and not the file: it is to be asked for without.

    XRootD's door (5.5.3) says 500 to a GET with that question for a file that it does not have, and 405 to any where
    it has no checksums. 503 is a storage that is busy, which does not want to be asked twice.
    """
    return answer.status == 405 or (answer.status >= 500 and answer.status != 503)


def digests_in(answer: Answer) -> dict[ChecksumKind, str]:
    """The checksums of a Digest header, in lower-case hexadecimal."""
    found: dict[ChecksumKind, str] = {}
    for part in answer.headers.get("digest", "").split(","):
        name, _, value = part.strip().partition("=")
        try:
            kind = ChecksumKind(name.lower())
            found[kind] = _hexadecimal(kind, value.strip())
        except ValueError:
            continue  # a kind that no catalogue of ours knows, or no value
    return found


def _hexadecimal(kind: ChecksumKind, value: str) -> str:
    if kind is ChecksumKind.MD5 and len(value) != 32:  # RFC 3230 says base64; some storages do not
        try:
            value = base64.b64decode(value, validate=True).hex()
        except binascii.Error as error:
            raise ValueError(str(error)) from None
    int(value, 16)
    value = value.lower().zfill(_DIGITS[ChecksumKind.ADLER32])
    if (
        len(value) != _DIGITS[kind]
    ):  # XRootD's door (5.5.3) calls its only kind by whatever name was asked for
        raise ValueError(f"{len(value)} digits are no {kind}")
    return value


def _must_be_plain(lfn: str, address: HttpAddress, answer: Answer) -> None:
    """Refuse a file that comes coded where nobody could tell it from the file itself."""
    coding = answer.headers.get("content-encoding", "").lower()
    # A server that takes the end of a packed file's name for a coding of its own sends the file as it is.
    if coding not in ("", "identity") and not lfn.lower().endswith(PACKED):
        raise failed(
            address,
            FailureClass.CHECKSUM,
            Remedy.NEXT,
            f"{lfn} comes from {address.host} coded as {coding[:40]!r}, though it was asked for as it is, and "
            "no catalogue says what it should be",
        )


def _compare_with_storage(
    lfn: str, address: HttpAddress, found: Checksum, storage: dict[ChecksumKind, str]
) -> None:
    said = storage.get(found.kind)
    if said not in (None, found.value):
        raise failed(
            address,
            FailureClass.CHECKSUM,
            Remedy.REPEAT,
            f"{lfn} has {found.kind} {found.value}, {address.host} says {said}",
        )
