"""The lines of the external mover's protocol: the question, and what a program prints, followed while it runs.

What is asked when, and what an answer means for a transfer, is `external`.
"""

import os
from collections.abc import Sequence

import msgspec

from picard_pilot.model.files import Checksum
from picard_pilot.model.transfer import FailureClass, Remedy, Side, TransferError, TransferFailure
from picard_pilot.movers.base import Progress
from picard_pilot.movers.call import Call
from picard_pilot.movers.program import Life
from picard_pilot.system.typed import ready
from picard_pilot.system.unsaid import Unsaid

LINE_BYTES = 64 << 10
"""The longest line that a program may write: far more than any answer needs."""

READ_BYTES = 256 << 10
"""Of the program's output, read at once."""

EXCERPT_CHARACTERS = 120
"""Of a line that breaks the protocol, for people."""


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line to the program; names and meanings are those of `call.Call` and the pilot's own requests."""

    api: int
    number: int
    verb: str
    lfn: str | None = None
    surl: str | None = None
    path: str | None = None
    new_surl: str | None = None
    size_bytes: int | None = None
    checksum: Checksum | None = None
    kind: str | None = None
    scope: str | None = None
    guid: str | None = None
    dataset: str | None = None
    endpoint: str | None = None
    queue: str | None = None
    site: str | None = None
    activity: str | None = None
    experiment: str | None = None
    job_id: int | None = None


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
Final = Done | Failed | Cannot
ready(Line)
_DECODER = msgspec.json.Decoder(Line)


class BrokenProtocol(Exception):
    """The program wrote what it must not; the text says what, with the beginning of the line."""


class Asked:
    """One question to the program, from the thread that waits for its answer."""

    def __init__(self, call: Call, question: Question, life: Life, progress: Progress) -> None:
        self.call = call
        self.question = question
        self.life = life
        self.progress = progress
        self.passed_bytes = 0
        self.overran = False
        """Its file was larger than it may be: its program was ended."""
        self.final: Final | None = None
        self.error: TransferError | None = None
        """Set instead of, or in spite of, an answer where the program's end counts more."""

    def cut_short(self) -> TransferError:
        """The failure for a program that was ended because of another question of the same run."""
        return TransferError(
            TransferFailure(
                kind=FailureClass.TRANSFER,
                says=f"the {self.call.verb} of {self.call.lfn} was cut short: its program had to be ended",
                side=Side.NODE,
                remedy=Remedy.REPEAT,
                retry_after_s=0.0,
                surl=self.call.surl,
            )
        )

    def lie(self, program: str, what: str) -> TransferError:
        """The failure for a program that breaks the protocol: its own fault, another way may work at once."""
        return TransferError(
            TransferFailure(
                kind=FailureClass.TRANSFER,
                says=f"the {self.call.verb} of {self.call.lfn} failed: "
                f"the program {program} broke the mover protocol: {what}",
                side=Side.NODE,
                remedy=Remedy.MISTAKE,
                code="protocol",
                surl=self.call.surl,
            )
        )


class Answers:
    """Follows the output of one program, from a descriptor on the file that it goes to."""

    def __init__(self, fd: int, asked: Sequence[Asked], unsaid: Unsaid) -> None:
        self._fd = fd
        self._unsaid = unsaid
        self._asked = {one.question.number: one for one in asked}
        self._offset = 0
        self._rest = b""

    def look(self) -> None:
        """Take in what was written since the last look. Raises BrokenProtocol."""
        while data := os.pread(self._fd, READ_BYTES, self._offset):
            self._offset += len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._take(line)
            if len(self._rest) > LINE_BYTES:
                raise self._broken("it wrote a line that does not end", self._rest)

    def end(self) -> None:
        """The program has ended: its last line may lack its end. Raises BrokenProtocol."""
        rest, self._rest = self._rest, b""
        self._take(rest)

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        if len(line) > LINE_BYTES:
            raise self._broken(f"it wrote a line of {len(line)} bytes", line)
        try:
            said = _DECODER.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self._broken(f"it wrote what is no answer ({error})", line) from None
        asked = self._asked.get(said.number)
        if asked is None:
            numbers = ", ".join(str(number) for number in self._asked)
            raise self._broken(f"it answered number {said.number} where {numbers} was asked", line)
        if asked.final is not None:
            raise self._broken("it went on after its answer", line)
        if isinstance(said, Passed):
            asked.progress(max(0, said.passed_bytes - asked.passed_bytes))
            asked.passed_bytes = max(asked.passed_bytes, said.passed_bytes)
        elif isinstance(said, Failed):
            # Hidden with the secrets of all questions of this start: it may quote another one's.
            code = None if said.code is None else self._unsaid.text(said.code)
            asked.final = msgspec.structs.replace(said, says=self._unsaid.text(said.says), code=code)
        else:
            asked.final = said

    def _broken(self, what: str, line: bytes) -> BrokenProtocol:
        # First the secrets, then the cut: a piece of one is no longer known as such.
        shown = self._unsaid.text(line[:LINE_BYTES].decode("utf-8", "backslashreplace"))
        return BrokenProtocol(f"{self._unsaid.text(what)}: {shown[:EXCERPT_CHARACTERS]!r}")
