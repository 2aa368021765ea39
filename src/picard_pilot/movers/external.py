"""The external mover: any program of a site that speaks a small protocol, one JSON object per line.

`docs/write-a-mover.md` is the protocol's page for its authors. A queue names the program: `external:/path/to/it`.
What the program prints is read by `external_answers`.
"""

import itertools
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import msgspec

from picard_pilot.model.transfer import (
    ANY_SCHEME,
    FailureClass,
    FetchRequest,
    Remedy,
    Side,
    StoreRequest,
    TransferError,
    TransferFailure,
)
from picard_pilot.movers.base import Progress
from picard_pilot.movers.call import Call, Reading, Verb
from picard_pilot.movers.command import CommandMover, log_noise
from picard_pilot.movers.external_answers import (
    Answers,
    Asked,
    BrokenProtocol,
    Cannot,
    Done,
    Failed,
    Final,
    Question,
)
from picard_pilot.movers.external_turns import Turns
from picard_pilot.movers.program import Life, Overrun, program_environment, run_program
from picard_pilot.movers.program_end import failure_of, on_a_full_node, printed, unsaid_of

API = 1
"""The version of the protocol; it comes with every request."""

DESCRIBE = "describe"
"""What a program is asked first: which verbs it knows."""

ALWAYS_KNOWN = frozenset({Verb.FETCH, Verb.STORE})
"""The verbs of a program that does not answer that question."""


class ExternalMover(CommandMover):
    """Asks a site's program, one process for a question or for as many as are waiting."""

    name: ClassVar[str] = "external"
    schemes: ClassVar[tuple[str, ...]] = (ANY_SCHEME,)
    advice: ClassVar[str] = (
        "Check the path in the queue's movers, and that the file is executable on the nodes."
    )

    def __init__(self) -> None:
        self._verbs: frozenset[str] | None = None
        self._learning = threading.Lock()
        self._numbers = itertools.count(1)
        self._turns = Turns(self._run)

    def argv(self, call: Call) -> Sequence[str]:
        """The program, without arguments: everything is said on standard input."""
        if self.place is None:
            raise TransferError(
                TransferFailure(
                    kind=FailureClass.SPECIFICATION,
                    says="the queue names the mover `external` without a program; write `external:/path/to/program`",
                    side=Side.NODE,
                    remedy=Remedy.MISTAKE,
                    surl=call.surl,
                )
            )
        return [self.place]

    def can(self, verb: Verb, call: Call) -> bool:
        """Whether the program knows the verb; it is asked once for all. Raises TransferError where it cannot run."""
        with self._learning:
            if self._verbs is None:
                asked = Asked(call, Question(api=API, number=0, verb=DESCRIBE), Life(_ignore), _ignore)
                self._run([asked])
                answer = _answer(asked)
                told = frozenset(answer.verbs) if isinstance(answer, Done) else frozenset()
                self._verbs = told | ALWAYS_KNOWN
        return verb in self._verbs

    def perform(self, call: Call, life: Life, progress: Progress) -> Reading | None:
        """Ask the program; None where it does not know the verb. Raises TransferError for what it says or does."""
        if not self.can(call.verb, call):
            return None
        asked = Asked(call, _question(call, next(self._numbers)), life, progress)
        self._turns.perform(asked)
        match _answer(asked):
            case Cannot():
                return None
            case Failed() as failed:
                raise _as_told(call, failed)
            case Done() as done:
                return Reading(
                    exists=done.exists,
                    size_bytes=done.size_bytes,
                    checksum=done.checksum,
                    already_there=done.already_there,
                )

    def _run(self, asked: Sequence[Asked]) -> None:
        """Run the program once for these questions, which are of one context. Each gets its answer or its error."""
        call = asked[0].call
        context = call.request.context
        folder = Path(call.path).parent if call.verb is Verb.FETCH and call.path else Path("/")
        fd = os.memfd_create("answers")
        try:
            program = self.argv(call)[0]
            unsaid = unsaid_of([one.call for one in asked])
            answers = Answers(fd, asked, unsaid)

            def look(launcher: int | None) -> None:
                answers.look()
                for one in asked:
                    try:
                        # Of several it does not show whose reads and writes they are.
                        one.life.look(launcher if one is asked[0] else None)
                    except Overrun:
                        one.overran = True
                        raise

            with program_environment(context, self.variables(call)) as environment:
                ended = run_program(
                    [program],
                    environment=environment,
                    folder=folder,
                    on_look=look,
                    stdin=b"".join(msgspec.json.encode(one.question) + b"\n" for one in asked),
                    stdout=Path(f"/proc/self/fd/{fd}"),
                )
            ended = printed(ended, unsaid)
            log_noise(program, call, ended)
            answers.end()
            for one in asked:
                if not ended.ok and not isinstance(one.final, Failed):
                    one.error = failure_of(one.call, ended, self.meanings, self.advice)
                elif one.final is None:
                    one.error = one.lie(program, "it ended with exit code 0 without an answer")
        except BrokenProtocol as error:
            for one in asked:
                one.error = one.lie(program, str(error))
        except Overrun:
            for one in asked:
                one.error = one.error or one.cut_short()
        except TransferError as error:
            for one in asked:
                one.error = error
        finally:
            os.close(fd)


def _answer(asked: Asked) -> Final:
    """What came of a question. Raises TransferError and Overrun."""
    if asked.overran:
        raise Overrun
    if asked.error is not None:
        raise asked.error
    assert asked.final is not None
    return asked.final


def _question(call: Call, number: int) -> Question:
    request, context = call.request, call.request.context
    of_a_file = request if isinstance(request, FetchRequest | StoreRequest) else None
    stored = request if isinstance(request, StoreRequest) else None
    return Question(
        api=API,
        number=number,
        verb=call.verb,
        lfn=call.lfn,
        surl=call.surl,
        path=call.path if call.verb in (Verb.FETCH, Verb.STORE) else None,
        new_surl=call.new_surl if call.verb is Verb.RENAME else None,
        size_bytes=call.size_bytes,
        checksum=call.checksum,
        kind=call.kind,
        scope=of_a_file.scope if of_a_file else None,
        guid=stored.guid if stored else None,
        dataset=stored.dataset if stored else None,
        endpoint=context.endpoint.name if context.endpoint else None,
        queue=context.queue,
        site=context.site,
        activity=context.activity,
        experiment=context.experiment,
        job_id=context.job_id,
    )


def _as_told(call: Call, failed: Failed) -> TransferError:
    """The program's own classification, with the file's name in the sentence."""
    named = call.lfn in failed.says
    says = failed.says if named else f"the {call.verb} of {call.lfn} failed: {failed.says}"
    failure = TransferFailure(
        kind=failed.kind,
        says=says,
        side=failed.side,
        remedy=failed.remedy,
        code=failed.code,
        surl=call.surl,
        errno=failed.errno,
        retry_after_s=failed.retry_after_s,
    )
    return TransferError(on_a_full_node(call, failure))


def _ignore(count: int) -> None:
    """Progress that nobody waits for."""
