"""The output report of a final update: which files a job stored, where, and with which checksum.

JSON only; what the server concludes from it is the adder's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec

from picard_pilot.model.files import Checksum, ChecksumKind, StoredFile

MAX_SIZE_BYTES = 2**63 - 1
"""The largest size that a catalogue's column holds."""


class ReportedFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of the report, as it stands there. Outputs need `fsize` and one checksum; adler32 wins."""

    guid: str
    fsize: Annotated[int, msgspec.Meta(ge=0, le=MAX_SIZE_BYTES)] | None = None
    adler32: str | None = None
    md5sum: str | None = None
    surl: str | None = None
    full_lfn: str | None = None
    endpoint: str | None = None

    @property
    def checksum(self) -> Checksum | None:
        """The checksum that counts, or None."""
        if self.adler32:
            return Checksum(ChecksumKind.ADLER32, self.adler32)
        if self.md5sum:
            return Checksum(ChecksumKind.MD5, self.md5sum)
        return None


class ReportError(ValueError):
    """A report that cannot be read; the text says where."""


_decoder = msgspec.json.Decoder(dict[str, ReportedFile])


def build(files: Iterable[StoredFile]) -> str:
    """The JSON text for `job_output_report`; every stored output and the log belong into it."""
    return msgspec.json.encode({file.lfn: _reported(file) for file in files}).decode()


def parse(text: str) -> Mapping[str, ReportedFile]:
    """The report by LFN.

    Raises:
        ReportError: not JSON (an XML catalogue, say), or an entry without a GUID or with a wrong type.
    """
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise ReportError(str(error)) from error


def _reported(file: StoredFile) -> ReportedFile:
    is_adler32 = file.checksum.kind is ChecksumKind.ADLER32
    return ReportedFile(
        guid=file.guid,
        fsize=file.size_bytes,
        adler32=file.checksum.value if is_adler32 else None,
        md5sum=None if is_adler32 else file.checksum.value,
        surl=file.surl,
        endpoint=file.endpoint,
    )
