"""One line of a journal: sequence number, time, writer, event, checksum; to bytes and back.

The file is JSON Lines, readable with `less`; each record ends in a CRC-32 of all before it, so that a torn or
damaged line is known as such. Appending and reading files is `journal.file`.
"""

import binascii
import re

import msgspec

from picard_pilot.model.events import AnyEvent, Event

SCHEMA_VERSION = 1
"""Version of the record's form. A reader takes this one and, through `journal.upgrade` when there is one, older."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it was written down. `at` is seconds since 1970, UTC; `by` names the pilot that wrote it."""

    v: int
    seq: int
    at: float
    by: str
    event: AnyEvent


def record_of(event: Event, *, seq: int, at: float, by: str) -> Record:
    """A record in today's form."""
    assert isinstance(event, AnyEvent)
    return Record(v=SCHEMA_VERSION, seq=seq, at=at, by=by, event=event)


class DamagedRecord(ValueError):
    """The bytes are not a record: torn, or changed on disk."""


class UnknownRecord(DamagedRecord):
    """The bytes are as they were written, by a pilot that knows more than this one."""


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Record)
_TAIL = re.compile(rb',"crc":"([0-9a-f]{8})"\}$')


def to_line(record: Record) -> bytes:
    """The record as one line, newline included."""
    body = _ENCODER.encode(record)[:-1]
    return b'%s,"crc":"%08x"}\n' % (body, binascii.crc32(body))


def from_line(line: bytes) -> Record:
    """The record in a line without its newline. Raises DamagedRecord saying what is wrong with it."""
    match = _TAIL.search(line)
    if match is None:
        raise DamagedRecord("the line has no checksum at its end")
    body = line[: match.start()]
    if binascii.crc32(body) != int(match.group(1), 16):
        raise DamagedRecord("the line does not fit its checksum")
    return _record(body)


def from_copy(line: bytes) -> Record:
    """The record in a line of a log archive, where secrets were replaced: its checksum is that of the original.
    Raises DamagedRecord."""
    match = _TAIL.search(line)
    if match is None:
        raise DamagedRecord("the line has no checksum at its end")
    body = line[: match.start()]
    # Archives of early versions have bare words where secrets stood.
    return _record(body.replace(b":[redacted]", b':"[redacted]"'))


def _record(body: bytes) -> Record:
    try:
        record = _DECODER.decode(body + b"}")
    except (ValueError, RecursionError) as error:  # no JSON, not even text, or of another form
        raise UnknownRecord(f"the line is not a record: {error}") from None
    if record.v > SCHEMA_VERSION:
        raise UnknownRecord(f"the record has version {record.v}, written by a newer pilot")
    return record
