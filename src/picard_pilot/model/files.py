"""Files as a job names them: inputs, outputs and the log, with their checksums.

How a file travels (transfers, failures) lives in `model.transfer`.
"""

from enum import StrEnum

import msgspec


class ChecksumKind(StrEnum):
    """The two kinds of checksum that catalogues and PanDA's output report know."""

    ADLER32 = "adler32"
    MD5 = "md5"


class Checksum(msgspec.Struct, frozen=True):
    """A checksum: its kind and its value in lower-case hexadecimal (8 digits for adler32, 32 for md5)."""

    kind: ChecksumKind
    value: str


class FileRole(StrEnum):
    """What a file is to its job."""

    INPUT = "input"
    OUTPUT = "output"
    LOG = "log"


class FileSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a job, as the job's description gives it; what is unknown is None.

    `lfn` is a bare, checked name: it never holds a path separator. `endpoint` is the name of the
    storage endpoint (RSE) where an input is said to be or an output should go.
    """

    lfn: str
    role: FileRole
    scope: str | None = None
    guid: str | None = None
    dataset: str | None = None
    size_bytes: int | None = None
    checksum: Checksum | None = None
    endpoint: str | None = None
    token: str | None = None
    """Space or access token of the data block (`prodDBlockToken`, `destinationDBlockToken`)."""
    may_be_absent: bool = False
    """An output that the job may legitimately not produce (`allowNoOutput`)."""


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """Where an output or the log really is, with what was measured while its bytes passed."""

    lfn: str
    guid: str
    size_bytes: int
    checksum: Checksum
    surl: str
    endpoint: str
    alternative: bool = False
    """Not where the output was meant to go."""


class FilePlace(msgspec.Struct, frozen=True):
    """An address of a file, and the name of the endpoint to which it belongs."""

    surl: str
    endpoint: str
