"""The base of movers that run a program: `argv` says what to run for a call, `read` what its end means.

Everything else is here, once for all of them: a private folder and a rename, verification, what stands at the
destination, signs of life. What a program prints and returns is `program_end`; how it runs is `program`.
"""

import abc
import errno
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from picard_pilot.model.command import CommandResult
from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import (
    FailureClass,
    FetchRequest,
    FileFacts,
    How,
    Remedy,
    Removed,
    RemoveRequest,
    Side,
    StatRequest,
    StoreRequest,
    TransferError,
    TransferFailure,
    Transferred,
)
from picard_pilot.movers.base import Progress, SiteMover
from picard_pilot.movers.call import Call, Meaning, Reading, Verb
from picard_pilot.movers.http_address import holds_signature
from picard_pilot.movers.measure import compare
from picard_pilot.movers.open_file import OpenFile
from picard_pilot.movers.part_folder import PartFolder, part_surl
from picard_pilot.movers.program import Life, Overrun, program_environment, run_program
from picard_pilot.movers.program_end import failure_of, must_not_be_cut, only_name, printed, unsaid_of
from picard_pilot.movers.store_kit import another_file_stands, must_be_stored
from picard_pilot.movers.troubles import Blaming

READ_BACK_BYTES = 64 << 20
"""Where a program cannot tell checksums, a stored file of up to this size is read back to be verified."""

NOISE_BYTES = 4096
"""Of what a program said on standard error, so much is kept in the worker's log."""


class CommandMover(SiteMover):
    """A mover that runs a program for each step."""

    advice: ClassVar[str] = "Install it, or name another mover for the queue."
    """What to do where the program is not there."""
    meanings: ClassVar[Mapping[int, Meaning]] = {}
    """What exit codes mean; others are `transfer` failures that may be repeated."""
    place: ClassVar[str | None] = None
    """What a queue wrote behind the mover's name and a colon: a program, or a folder of them."""

    @classmethod
    def at(cls, place: str) -> type[Self]:
        """The same mover for another place; called by the loader for a name like `lsm:/site/bin`."""
        return type(cls.__name__, (cls,), {"place": place, "__module__": cls.__module__})

    @abc.abstractmethod
    def argv(self, call: Call) -> Sequence[str] | None:
        """The program and its arguments, the program by path or by name in the PATH; None: it cannot do this.

        Called for every call anew, by several threads at once.
        """

    def read(self, call: Call, ended: CommandResult) -> Reading | None:
        """What the program's end says. By default: exit code 0 is success, all else by `meanings`.

        None: it turned out that it cannot do this here. Raises TransferError for a failure.
        """
        if not ended.ok:
            raise failure_of(call, ended, self.meanings, self.advice)
        return Reading()

    def variables(self, call: Call) -> Mapping[str, str]:
        """More variables for the program's environment. None by default."""
        return {}

    def fetch(self, request: FetchRequest, progress: Progress) -> Transferred:
        """Let the program write into a private folder beside the target; verify by one read; rename."""
        began = time.monotonic()
        target = Path(request.target)
        kind = request.checksum.kind if request.checksum else request.measure
        with (
            Blaming(f"writing {request.lfn} on the node", request.surl, Side.NODE),
            PartFolder(target) as part,
        ):
            call = Call(
                verb=Verb.FETCH,
                request=request,
                lfn=request.lfn,
                surl=request.surl,
                path=str(part.path),
                size_bytes=request.size_bytes,
                checksum=request.checksum,
            )
            life = Life(progress, part.folder, expected_bytes=request.size_bytes)
            try:
                reading = self.perform(call, life, progress)
            except Overrun:
                raise _overrun(call) from None
            if reading is None:
                raise self._cannot("fetch", request.surl)
            must_be_there(call, part.path)
            with OpenFile(part.path, request.lfn, request.surl, Side.NODE) as arrived:
                must_not_be_cut(call, arrived.size_bytes)
                found = arrived.read_through(kind, progress)
                compare(
                    lfn=request.lfn,
                    surl=request.surl,
                    size_bytes=arrived.passed_bytes,
                    found=found,
                    said_bytes=request.size_bytes,
                    said=request.checksum,
                )
                size_bytes = arrived.passed_bytes
            part.replace_target()
        return self._transferred(request, size_bytes, found, began, How.COPY)

    def store(self, request: StoreRequest, progress: Progress) -> Transferred:
        """Measure, look at the destination, let the program store under a temporary name, verify, rename."""
        began = time.monotonic()
        with OpenFile(Path(request.source), request.lfn, request.surl, Side.NODE) as source:
            found = source.read_through(request.measure, progress)
            call = Call(
                verb=Verb.STORE,
                request=request,
                lfn=request.lfn,
                surl=request.surl,
                path=request.source,
                size_bytes=source.passed_bytes,
                checksum=found,
            )
            how = How.ALREADY_THERE
            if not self._already_there(call, progress):
                how = self._put(call, progress)
            source.must_be_unchanged()
        return self._transferred(request, source.size_bytes, found, began, how)

    def _put(self, call: Call, progress: Progress) -> How:
        """Store under a temporary name and rename, where the program can; else under the name itself."""
        if not self.can(Verb.RENAME, call):
            return self._put_directly(call, progress)
        temporary = call.to(part_surl(call.surl))
        try:
            self._stored(temporary, progress)
            # A rename replaces what stands there without a word, on most storages.
            if self._already_there(call, progress):
                self._forget(temporary, progress)
                return How.ALREADY_THERE
            renamed = self.perform(temporary.as_(Verb.RENAME, new_surl=call.surl), Life(progress), progress)
        except TransferError:
            self._forget(temporary, progress)
            raise
        if renamed is None:  # this storage offers none, which only trying tells
            self._forget(temporary, progress)
            return self._put_directly(call, progress)
        return How.COPY

    def _put_directly(self, call: Call, progress: Progress) -> How:
        """Store under the final name; what a failure leaves is removed where it can only be ours."""
        try:
            reading = self._stored(call, progress)
        except TransferError as error:
            if error.failure.errno != errno.EEXIST and self.can(Verb.STAT, call):  # it was looked at before
                self._forget(call, progress)
            raise
        return How.ALREADY_THERE if reading.already_there else How.COPY

    def _stored(self, call: Call, progress: Progress) -> Reading:
        """The program's own word, and then what the storage says of the file where it can be asked."""
        life = Life(progress, size_bytes=call.size_bytes or 0)
        reading = self.perform(call, life, progress)
        if reading is None:
            raise self._cannot("store", call.surl)
        life.end()
        there = self._look(call, progress)
        if there is not None and not reading.already_there:
            must_be_stored(call, there, lambda: self._checksum(call, READ_BACK_BYTES, progress))
        return reading

    def _already_there(self, call: Call, progress: Progress) -> bool:
        """Whether the same file stands there. Raises TransferError (EEXIST) where another one does."""
        there = self._look(call, progress)
        if there is None or not there.exists:
            return False
        same_size = there.size_bytes in (None, call.size_bytes)
        if same_size and self._checksum(call, None, progress) == call.checksum:
            return True
        raise another_file_stands(
            call.lfn, call.surl, there_bytes=there.size_bytes, here_bytes=call.size_bytes
        )

    def _look(self, call: Call, progress: Progress) -> Reading | None:
        """What stands at the call's address; None where the program cannot look."""
        return self.perform(call.as_(Verb.STAT), Life(progress), progress)

    def _checksum(self, call: Call, limit_bytes: int | None, progress: Progress) -> Checksum | None:
        """The checksum of what stands at the call's address: asked for, else read back where it is not too large."""
        assert call.checksum is not None
        kind = call.checksum.kind
        told = self._told_checksum(call, kind, progress)
        if told is not None:
            return told
        if call.path is None or (limit_bytes is not None and (call.size_bytes or 0) > limit_bytes):
            return None
        with PartFolder(Path(call.path)) as back:
            fetch = call.as_(Verb.FETCH, path=str(back.path))
            if self.perform(fetch, Life(progress, back.folder), progress) is None:
                return None
            with OpenFile(back.path, call.lfn, call.surl, Side.NODE) as again:
                return again.read_through(kind, progress)

    def _told_checksum(self, call: Call, kind: ChecksumKind, progress: Progress) -> Checksum | None:
        """What the storage says; None where it does not: not every one computes every kind."""
        try:
            told = self.perform(call.as_(Verb.CHECKSUM, kind=kind), Life(progress), progress)
        except TransferError:
            return None
        if told is None or told.checksum is None or told.checksum.kind is not kind:
            return None
        return told.checksum

    def _forget(self, call: Call, progress: Progress) -> None:
        """Remove a temporary file of ours as well as it goes; the failure that led here is the one to tell."""
        try:
            self.perform(call.as_(Verb.REMOVE), Life(progress), progress)
        except TransferError:
            pass

    def stat(self, request: StatRequest) -> FileFacts:
        """Existence and size as the program says; the checksum where it was asked for and the storage tells."""
        call = Call(verb=Verb.STAT, request=request, lfn=only_name(request.surl), surl=request.surl)
        there = self.perform(call, Life(_ignore), _ignore)
        if there is None:
            raise self._cannot("look at", request.surl)
        checksum = there.checksum
        if there.exists and request.measure is not None and checksum is None:
            checksum = self._told_checksum(call, request.measure, _ignore)
        return FileFacts(exists=there.exists, size_bytes=there.size_bytes, checksum=checksum)

    def remove(self, request: RemoveRequest) -> Removed:
        """Remove one file by the program."""
        call = Call(verb=Verb.REMOVE, request=request, lfn=only_name(request.surl), surl=request.surl)
        done = self.perform(call, Life(_ignore), _ignore)
        if done is None:
            raise self._cannot("remove", request.surl)
        return Removed(was_there=done.exists)

    def can(self, verb: Verb, call: Call) -> bool:
        """Whether the program has this verb at all."""
        return self.argv(call.as_(verb, new_surl=call.surl)) is not None

    def perform(self, call: Call, life: Life, progress: Progress) -> Reading | None:
        """Run the program for one call; None where it cannot do this. Raises TransferError."""
        argv = self.argv(call)
        if argv is None:
            return None
        if any(map(holds_signature, argv)):
            raise TransferError(
                TransferFailure(
                    kind=FailureClass.SPECIFICATION,
                    says=f"the address of {call.lfn} holds a signature, which every user of this node would see on "
                    "the command line of a program",
                    remedy=Remedy.MISTAKE,
                    surl=call.surl.partition("?")[0],
                )
            )
        context = call.request.context
        folder = Path(call.path).parent if call.verb is Verb.FETCH and call.path else Path("/")
        with program_environment(context, self.variables(call)) as environment:
            ended = run_program(argv, environment=environment, folder=folder, on_look=life.look)
        ended = printed(ended, unsaid_of([call]))
        log_noise(argv[0], call, ended)
        return self.read(call, ended)

    def _transferred(
        self, request: FetchRequest | StoreRequest, size_bytes: int, found: Checksum, began: float, how: How
    ) -> Transferred:
        return Transferred(
            surl=request.surl,
            size_bytes=size_bytes,
            checksum=found,
            seconds=time.monotonic() - began,
            how=how,
            mover=self.name,
        )


def _overrun(call: Call) -> TransferError:
    return TransferError(
        TransferFailure(
            kind=FailureClass.CHECKSUM,
            says=f"the program was ended: what it fetched as {call.lfn} went on far behind its "
            f"{call.size_bytes} bytes",
            remedy=Remedy.NEXT,
            surl=call.surl,
        )
    )


def must_be_there(call: Call, path: Path) -> None:
    """Refuse the success of a program that left no file."""
    if not path.is_symlink() and not path.exists():
        raise TransferError(
            TransferFailure(
                kind=FailureClass.TRANSFER,
                says=f"the program said that it fetched {call.lfn}, but it left no file",
                surl=call.surl,
                retry_after_s=0.0,
            )
        )


def log_noise(program: str, call: Call, ended: CommandResult) -> None:
    """Keep the end of what a program said, which is no failure by itself, in the worker's log."""
    if ended.stderr_tail:
        where = call.surl.partition("?")[0]
        sys.stderr.write(f"{program} ({call.verb} {where}): {ended.stderr_tail[-NOISE_BYTES:].rstrip()}\n")


def _ignore(count: int) -> None:
    """Progress that nobody waits for."""
