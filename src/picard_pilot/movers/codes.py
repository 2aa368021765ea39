"""From every protocol's own error codes to a class and a remedy: one table for all movers.

Sentences about a single failure are the mover's; what the pilot does with a remedy is `data.policy`. Measured on real
servers (XRootD 5.5 with the 6.2 client, XrdHttp, S3) or taken from RFC 9110, RFC 4918 and XRootD's protocol.
"""

from typing import NamedTuple

from picard_pilot.model.transfer import FailureClass as Kind
from picard_pilot.model.transfer import Remedy


class Code(NamedTuple):
    """What one code means. `storing` is set where it means this only while storing (True) or reading (False)."""

    protocol: str
    """`http`, `xrootd` (the client's own code) or `xrootd server` (the number after the client's 400)."""
    code: int
    kind: Kind
    remedy: Remedy
    means: str
    storing: bool | None = None


CODES: tuple[Code, ...] = (
    Code("http", 400, Kind.SPECIFICATION, Remedy.MISTAKE, "the request is not understood"),
    Code("http", 401, Kind.AUTH, Remedy.RENEW, "no valid credential"),
    Code("http", 403, Kind.AUTH, Remedy.NEXT, "no permission, or the credential has expired"),
    Code("http", 404, Kind.MISSING, Remedy.NEXT, "no such file"),
    Code("http", 405, Kind.SPECIFICATION, Remedy.MISTAKE, "the method is not allowed here"),
    Code("http", 408, Kind.TIMEOUT, Remedy.BENCH, "the server waited too long for us"),
    Code("http", 409, Kind.SPECIFICATION, Remedy.NEXT, "something else stands there, or its folder is missing"),
    Code("http", 410, Kind.MISSING, Remedy.NEXT, "the file is gone for good"),
    Code("http", 411, Kind.SPECIFICATION, Remedy.MISTAKE, "the server wants the length"),
    Code("http", 412, Kind.SPECIFICATION, Remedy.NEXT, "another file stands there"),
    Code("http", 413, Kind.SPACE, Remedy.NEXT, "the file is larger than the server takes"),
    Code("http", 416, Kind.SPECIFICATION, Remedy.MISTAKE, "the file is shorter than the part asked for"),
    Code("http", 423, Kind.CONTACT, Remedy.BENCH, "the file is locked"),
    Code("http", 425, Kind.CONTACT, Remedy.BENCH, "too early"),
    Code("http", 429, Kind.CONTACT, Remedy.BENCH, "too many requests"),
    Code("http", 500, Kind.TRANSFER, Remedy.BENCH, "the server broke"),
    Code("http", 501, Kind.SPECIFICATION, Remedy.MISTAKE, "the server cannot do this"),
    Code("http", 502, Kind.CONTACT, Remedy.BENCH, "the server behind the door does not answer"),
    Code("http", 503, Kind.CONTACT, Remedy.BENCH, "the server is busy or down"),
    Code("http", 504, Kind.CONTACT, Remedy.BENCH, "the server behind the door is too slow"),
    Code("http", 507, Kind.SPACE, Remedy.NEXT, "the storage is full"),
    Code("xrootd", 3, Kind.SPECIFICATION, Remedy.MISTAKE, "the client does not take these arguments"),
    Code("xrootd", 9, Kind.SPECIFICATION, Remedy.MISTAKE, "the address is not valid"),
    Code("xrootd", 13, Kind.SPECIFICATION, Remedy.MISTAKE, "not supported"),
    Code("xrootd", 15, Kind.SPECIFICATION, Remedy.MISTAKE, "not supported by this server"),
    Code("xrootd", 101, Kind.RESOLVE, Remedy.BENCH, "the host has no address"),
    Code("xrootd", 102, Kind.CONTACT, Remedy.BENCH, "no socket"),
    Code("xrootd", 103, Kind.TIMEOUT, Remedy.BENCH, "the server does not answer"),
    Code("xrootd", 104, Kind.CONTACT, Remedy.BENCH, "the connection broke"),
    Code("xrootd", 105, Kind.CONTACT, Remedy.BENCH, "the connection could not be watched"),
    Code("xrootd", 107, Kind.CONTACT, Remedy.BENCH, "the connection was closed"),
    Code("xrootd", 108, Kind.CONTACT, Remedy.BENCH, "nobody listens there"),
    Code("xrootd", 110, Kind.CONTACT, Remedy.BENCH, "the connection broke again and again"),
    Code("xrootd", 203, Kind.AUTH, Remedy.RENEW, "the login was refused"),
    Code("xrootd", 204, Kind.AUTH, Remedy.RENEW, "the credential was refused"),
    Code("xrootd", 206, Kind.TIMEOUT, Remedy.BENCH, "an answer did not come in time"),
    Code("xrootd", 207, Kind.TIMEOUT, Remedy.NEXT, "the transfer was cancelled"),
    Code("xrootd", 301, Kind.TRANSFER, Remedy.BENCH, "the answer could not be understood"),
    Code("xrootd", 303, Kind.TRANSFER, Remedy.BENCH, "the answer was not valid"),
    Code("xrootd", 304, Kind.MISSING, Remedy.NEXT, "not found"),
    Code("xrootd", 305, Kind.CHECKSUM, Remedy.REPEAT, "the checksums differ"),
    Code("xrootd", 306, Kind.CONTACT, Remedy.BENCH, "too many redirections: all servers were tried"),
    Code("xrootd server", 3000, Kind.SPECIFICATION, Remedy.MISTAKE, "the arguments are not valid"),
    Code("xrootd server", 3001, Kind.SPECIFICATION, Remedy.MISTAKE, "an argument is missing"),
    Code("xrootd server", 3002, Kind.SPECIFICATION, Remedy.MISTAKE, "an argument is too long"),
    Code("xrootd server", 3003, Kind.CONTACT, Remedy.BENCH, "the file is locked"),
    Code("xrootd server", 3004, Kind.SPECIFICATION, Remedy.MISTAKE, "the file is not open"),
    Code("xrootd server", 3005, Kind.TRANSFER, Remedy.BENCH, "the server's file system failed"),
    Code("xrootd server", 3006, Kind.SPECIFICATION, Remedy.MISTAKE, "the request is not valid"),
    Code("xrootd server", 3007, Kind.TRANSFER, Remedy.BENCH, "the server could not read or write"),
    Code("xrootd server", 3008, Kind.TRANSFER, Remedy.BENCH, "the server is out of memory"),
    Code("xrootd server", 3009, Kind.SPACE, Remedy.NEXT, "the storage is full"),
    Code("xrootd server", 3010, Kind.AUTH, Remedy.NEXT, "no permission, or the credential has expired"),
    Code("xrootd server", 3011, Kind.MISSING, Remedy.NEXT, "no such file"),
    Code("xrootd server", 3012, Kind.TRANSFER, Remedy.BENCH, "the server broke"),
    Code("xrootd server", 3013, Kind.SPECIFICATION, Remedy.MISTAKE, "the server cannot do this"),
    Code("xrootd server", 3014, Kind.CONTACT, Remedy.BENCH, "the server's backend does not run"),
    Code("xrootd server", 3015, Kind.SPECIFICATION, Remedy.NEXT, "no regular file stands there"),
    Code("xrootd server", 3016, Kind.SPECIFICATION, Remedy.NEXT, "a directory stands there"),
    Code("xrootd server", 3018, Kind.SPECIFICATION, Remedy.NEXT, "another file stands there"),
    Code("xrootd server", 3019, Kind.CHECKSUM, Remedy.REPEAT, "the checksums differ"),
    Code("xrootd server", 3020, Kind.CONTACT, Remedy.BENCH, "the transfer is in progress elsewhere"),
    Code("xrootd server", 3021, Kind.SPACE, Remedy.NEXT, "the quota is used up"),
    Code("xrootd server", 3024, Kind.CONTACT, Remedy.BENCH, "the server is overloaded"),
    Code("xrootd server", 3025, Kind.SPACE, Remedy.NEXT, "the file system is read-only", True),
    Code("xrootd server", 3029, Kind.MISSING, Remedy.NEXT, "no replica is left"),
    Code("xrootd server", 3030, Kind.AUTH, Remedy.RENEW, "the login failed"),
    Code("xrootd server", 3031, Kind.SPECIFICATION, Remedy.MISTAKE, "the request cannot be fulfilled"),
    Code("xrootd server", 3034, Kind.TIMEOUT, Remedy.BENCH, "the server's own time limit was reached"),
    Code("xrootd server", 3035, Kind.TIMEOUT, Remedy.BENCH, "the server's timer expired"),
)  # fmt: skip

_BY_CODE = {(row.protocol, row.code): row for row in CODES}


def find(protocol: str, code: int, *, storing: bool) -> Code | None:
    """The row for a code; None where the table has none, or none for this direction."""
    row = _BY_CODE.get((protocol, code))
    return row if row is not None and row.storing in (None, storing) else None
