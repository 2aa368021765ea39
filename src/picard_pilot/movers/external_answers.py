"""What an external mover's program prints, line by line while it runs; a program that breaks the protocol is named.

The protocol's other half, and what an answer means for a transfer, is `external`.
"""

import os

import msgspec

from picard_pilot.model.files import Checksum
from picard_pilot.model.transfer import FailureClass, Remedy, Side, TransferError, TransferFailure
from picard_pilot.movers.base import Progress
from picard_pilot.movers.call import Call
from picard_pilot.system.typed import ready

LINE_BYTES = 64 << 10
"""The longest line that a program may write: far more than any answer needs."""

READ_BYTES = 256 << 10

EXCERPT_BYTES = 120
"""Of a line that breaks the protocol, for people."""


class Passed(msgspec.Struct, frozen=True, kw_only=True, tag_field="result", tag="passed"):
    """The request goes on: so many bytes have passed so far. The same number again: it waits, and lives."""

    number: int
    passed_bytes: int


class Done(msgspec.Struct, frozen=True, kw_only=True, tag_field="result", tag="done"):
    """The request is fulfilled, with what a question asked for."""

    number: int
    exists: bool = True
    size_bytes: int | None = None
    checksum: Checksum | None = None
    already_there: bool = False
    verbs: tuple[str, ...] = ()


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag_field="result", tag="failed"):
    """The request failed. `retry_after_s`: never (null, or left out), now (0), or seconds."""

    number: int
    kind: FailureClass
    says: str
    side: Side = Side.STORAGE
    remedy: Remedy | None = None
    retry_after_s: float | None = None
    errno: int | None = None
    code: str | None = None


class Cannot(msgspec.Struct, frozen=True, kw_only=True, tag_field="result", tag="cannot"):
    """The program does not know this verb."""

    number: int


Line = Passed | Done | Failed | Cannot
ready(Line)
_DECODER = msgspec.json.Decoder(Line)


class Answers:
    """Follows the output of one program, from a descriptor on the file that it goes to."""

    def __init__(self, fd: int, program: str, call: Call, number: int, progress: Progress) -> None:
        self._fd = fd
        self._program = program
        self._call = call
        self._number = number
        self._progress = progress
        self._offset = 0
        self._rest = b""
        self._passed_bytes = 0
        self.final: Done | Failed | Cannot | None = None

    def look(self) -> None:
        """Take in what was written since the last look. Raises TransferError for what breaks the protocol."""
        while data := os.pread(self._fd, READ_BYTES, self._offset):
            self._offset += len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._take(line)
            if len(self._rest) > LINE_BYTES:
                raise self._lie("it wrote a line that does not end", self._rest)

    def the_last(self) -> Done | Failed | Cannot:
        """The answer of a program that has ended. Raises TransferError where there is none."""
        if self._rest.strip():
            self._take(self._rest)  # the last line may lack its end
            self._rest = b""
        if self.final is None:
            raise self._lie("it ended with exit code 0 without an answer")
        return self.final

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        if len(line) > LINE_BYTES:
            raise self._lie(f"it wrote a line of {len(line)} bytes", line)
        try:
            said = _DECODER.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._lie(f"it wrote what is no answer ({error})", line) from None
        if said.number != self._number:
            raise self._lie(f"it answered number {said.number} where {self._number} was asked", line)
        if self.final is not None:
            raise self._lie("it went on after its answer", line)
        if isinstance(said, Passed):
            self._progress(max(0, said.passed_bytes - self._passed_bytes))
            self._passed_bytes = max(self._passed_bytes, said.passed_bytes)
        else:
            self.final = said

    def _lie(self, what: str, line: bytes = b"") -> TransferError:
        """The program's own fault: another way may work, and no storage is to blame."""
        excerpt = f": {line[:EXCERPT_BYTES].decode('utf-8', 'backslashreplace')!r}" if line else ""
        token = self._call.request.context.access.token
        if token:
            excerpt = excerpt.replace(token, "<token>")
        return TransferError(
            TransferFailure(
                kind=FailureClass.TRANSFER,
                says=f"the {self._call.verb} of {self._call.lfn} failed: "
                f"the program {self._program} broke the mover protocol: {what}{excerpt}",
                side=Side.NODE,
                remedy=Remedy.MISTAKE,
                code="protocol",
                surl=self._call.surl,
            )
        )
