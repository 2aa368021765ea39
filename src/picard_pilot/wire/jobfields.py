"""Reading single values of a job dictionary: absent values, numbers, texts, names, comma lists, checksums.

Which fields a job has, and what they mean together, is in `jobdict`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping

from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.job import InputAccess
from picard_pilot.model.policy import AltStageOut

NOT_DEFINED = 1311
NOT_SAME_LENGTH = 1312
CONVERSION_FAILURE = 1302
LFN_TOO_LONG = 1190
BAD_OUTPUT_NAME = 1371
UNKNOWN_CHECKSUM = 1314

MAX_NAME_BYTES = 255
"""The longest name that Linux file systems hold (NAME_MAX)."""

MAX_INTEGER = 2**63 - 1
"""The largest number a catalogue's column holds."""

_ABSENT = ("", "NULL", "None")
"""Texts by which servers say that there is no value."""

_EVIDENCE_LENGTH = 120
"""Characters of a bad value shown: enough to recognise it, short enough for the server's diag column."""


class JobSpecError(ValueError):
    """A job description that cannot be worked on: which field, why, and what stood there.

    `code` is the PanDA pilot error code to report the job failed with.
    """

    def __init__(self, field: str, why: str, evidence: str, code: int = CONVERSION_FAILURE) -> None:
        super().__init__(f"{field}: {why} ({evidence})")
        self.field = field
        self.why = why
        self.evidence = evidence
        self.code = code


def shown(value: object) -> str:
    """A value as evidence in a message: printable and short."""
    text = ascii(value[: 2 * _EVIDENCE_LENGTH]) if isinstance(value, str) else ascii(value)
    return text if len(text) <= _EVIDENCE_LENGTH else text[: _EVIDENCE_LENGTH - 3] + "..."


def text(raw: Mapping[str, object], name: str) -> str | None:
    """A free text (new lines allowed), or None where absent, null, empty or "NULL"."""
    value = raw.get(name)
    if value is None or value in _ABSENT:
        return None
    if not isinstance(value, str):
        raise JobSpecError(name, f"must be text, got {type(value).__name__}", shown(value))
    if "\0" in value:
        raise JobSpecError(name, "holds a NUL character", f"at position {value.index(chr(0))}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            evidence = f"at position {error.start}"
            raise JobSpecError(name, "holds half of a character (lone surrogate)", evidence) from None
    return value


def word(raw: Mapping[str, object], name: str) -> str | None:
    """A text on one line, without control characters; numbers are taken as their digits."""
    value = raw.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    found = text(raw, name)
    if found is not None:
        _refuse_control_characters(name, found)
    return found


def integer(raw: Mapping[str, object], name: str, *, at_least: int = 0) -> int | None:
    """A whole number, as JSON number or as text; None where absent."""
    value = raw.get(name)
    if value is None or value in _ABSENT:
        return None
    return _whole_number(name, value, at_least)


def limit(raw: Mapping[str, object], name: str) -> int | None:
    """A whole number of which 0 means no limit, so None."""
    return integer(raw, name) or None


def flag(raw: Mapping[str, object], name: str) -> bool:
    """A switch: "True" or true; absent is off."""
    value = raw.get(name)
    if isinstance(value, bool):
        return value
    found = text(raw, name)
    if found is None or found in ("False", "false"):
        return False
    if found in ("True", "true"):
        return True
    raise JobSpecError(name, 'must be "True" or absent', shown(found))


def alternative(raw: Mapping[str, object], name: str) -> AltStageOut | None:
    """One of on, off and force; None where absent."""
    found = word(raw, name)
    if found is None:
        return None
    try:
        return AltStageOut(found.strip().lower())
    except ValueError:
        raise JobSpecError(name, "must be on, off or force", shown(found)) from None


def input_access(parameters: str) -> InputAccess | None:
    """What a line of parameters asks for its inputs; of several words the last one counts, but copies come first.

    A program that was told to read local files (`--useLocalIO`) may not be able to do anything else.
    """
    modes = _ACCESS_MODE.findall(parameters)
    if _LOCAL_IO.search(parameters):
        return InputAccess.COPY
    return InputAccess(modes[-1]) if modes else None


def wants_recovery(parameters: str) -> bool:
    """Whether a line of parameters asks for its outputs to be kept when no storage takes them."""
    return _RECOVERY.search(parameters) is not None


_ACCESS_MODE = re.compile(r"""(?<![^\s"'])--accessmode[=\s]["']?(direct|copy)(?![^\s"'])""")
_LOCAL_IO = re.compile(r"""(?<![^\s"'])--useLocalIO(?![^\s"'])""")
_RECOVERY = re.compile(r"""(?<![^\s"'])--useJobRecovery(?![^\s"'])""")
"""As words of a line that is quoted in one way or another."""


def names(raw: Mapping[str, object], name: str) -> list[str]:
    """A comma list of file names; leading empty elements were swallowed by the server and are none."""
    found = text(raw, name)
    return [] if found is None else found.split(",")


def exact_list(raw: Mapping[str, object], name: str, count: int) -> list[str | None]:
    """A comma list that the server writes with one element per file, empty ones included."""
    elements = _elements(raw, name, count)
    if len(elements) != count:
        raise _different_length(name, len(elements), count)
    return elements


def padded_list(raw: Mapping[str, object], name: str, count: int) -> list[str | None]:
    """A comma list whose leading empty elements the server writes without their comma."""
    elements = _elements(raw, name, count)
    if len(elements) > count:
        raise _different_length(name, len(elements), count)
    return [None] * (count - len(elements)) + elements


def file_name(field: str, name: str, *, code: int = CONVERSION_FAILURE) -> str:
    """The name of a file, safe to use inside the job's directory.

    Raises:
        JobSpecError: empty, longer than 255 bytes, `.` or `..`, with a path separator or a control character.
    """
    if not name:
        raise JobSpecError(field, "holds an empty file name", "nothing between two commas", code)
    if name in (".", ".."):
        raise JobSpecError(field, "names a directory, not a file", shown(name), code)
    if "/" in name or "\\" in name:
        raise JobSpecError(field, "holds a path separator", shown(name), code)
    _refuse_control_characters(field, name, code)
    if len(name.encode()) > MAX_NAME_BYTES:
        why = f"is longer than {MAX_NAME_BYTES} bytes"
        raise JobSpecError(field, why, f"{len(name.encode())} bytes: {shown(name)}", LFN_TOO_LONG)
    return name


def size_bytes(field: str, element: str | None) -> int | None:
    """A file size in bytes. The catalogue writes 0 where it does not know, so 0 is None."""
    return None if element is None else _whole_number(field, element, 0) or None


def checksum(field: str, element: str | None) -> Checksum | None:
    """A checksum such as `ad:0a1b2c3d`, `md5:<32 digits>`, or without a prefix, told by its length."""
    if element is None:
        return None
    prefix, separator, digits = element.rpartition(":")
    digits = digits.lower()
    kind = _CHECKSUM_PREFIX.get(prefix.lower()) if separator else _CHECKSUM_LENGTH.get(len(digits))
    if kind is None or not digits or not all(digit in string.hexdigits for digit in digits):
        raise JobSpecError(field, "is neither adler32 nor md5", shown(element), UNKNOWN_CHECKSUM)
    length = _CHECKSUM_DIGITS[kind]
    if kind is ChecksumKind.ADLER32:
        # Some catalogues drop leading zeros of an adler32.
        digits = digits.rjust(length, "0")
    if len(digits) != length:
        why = f"{kind.value} needs {length} digits"
        raise JobSpecError(field, why, shown(element), UNKNOWN_CHECKSUM)
    return Checksum(kind, digits)


_CHECKSUM_PREFIX = {
    "ad": ChecksumKind.ADLER32,
    "adler32": ChecksumKind.ADLER32,
    "md": ChecksumKind.MD5,
    "md5": ChecksumKind.MD5,
}
_CHECKSUM_DIGITS = {ChecksumKind.ADLER32: 8, ChecksumKind.MD5: 32}
_CHECKSUM_LENGTH = {length: kind for kind, length in _CHECKSUM_DIGITS.items()}


def _elements(raw: Mapping[str, object], name: str, count: int) -> list[str | None]:
    value = raw.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        # One file's size may come as a number.
        value = str(value)
    if value is None or value in _ABSENT:
        return [None] * count
    if not isinstance(value, str):
        why = f"must be a comma list in a text, got {type(value).__name__}"
        raise JobSpecError(name, why, shown(value))
    _refuse_control_characters(name, value)
    return [None if element in _ABSENT else element for element in value.split(",")]


def _whole_number(field: str, value: object, at_least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise JobSpecError(field, f"must be a whole number, got {type(value).__name__}", shown(value))
    if isinstance(value, str):
        digits = value.strip()
        if not digits.removeprefix("-").isdecimal() or not digits.isascii() or len(digits) > 20:
            raise JobSpecError(field, "must be a whole number", shown(value))
        value = int(digits)
    if value < at_least:
        why = "is negative" if value < 0 else f"must be at least {at_least}"
        raise JobSpecError(field, why, shown(value))
    if value > MAX_INTEGER:
        raise JobSpecError(field, "is larger than 63 bits", shown(value))
    return value


def _refuse_control_characters(field: str, value: str, code: int = CONVERSION_FAILURE) -> None:
    if not value.isprintable():
        for position, character in enumerate(value):
            if ord(character) < 32 or 127 <= ord(character) < 160 or 0xD800 <= ord(character) < 0xE000:
                evidence = f"{character!a} at position {position}"
                raise JobSpecError(field, "holds a control character", evidence, code)


def _different_length(name: str, found: int, expected: int) -> JobSpecError:
    why = "has a different number of elements than there are files"
    return JobSpecError(name, why, f"{found} elements for {expected} files", NOT_SAME_LENGTH)
