"""The external mover: any program of a site that speaks a small protocol, one JSON object per line.

`docs/write-a-mover.md` is the protocol's page for its authors. A queue names the program: `external:/path/to/it`.
What the program prints is read by `external_answers`.
"""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import msgspec

from picard_pilot.model.files import Checksum
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
from picard_pilot.movers.external_answers import Answers, Cannot, Done, Failed
from picard_pilot.movers.program import Life, program_environment, run_program
from picard_pilot.movers.program_end import HIDDEN, failure_of, on_a_full_node, printed

API = 1
"""The version of the protocol; it comes with every request."""

DESCRIBE = "describe"
"""What a program is asked first: which verbs it knows."""

ALWAYS_KNOWN = frozenset({Verb.FETCH, Verb.STORE})
"""The verbs of a program that does not answer that question."""


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


class ExternalMover(CommandMover):
    """Asks a site's program, one process per request."""

    name: ClassVar[str] = "external"
    schemes: ClassVar[tuple[str, ...]] = (ANY_SCHEME,)
    advice: ClassVar[str] = (
        "Check the path in the queue's movers, and that the file is executable on the nodes."
    )

    def __init__(self) -> None:
        self._verbs: frozenset[str] | None = None
        self._learning = threading.Lock()

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
                answer = self._ask(call, Question(api=API, number=0, verb=DESCRIBE), Life(_ignore), _ignore)
                told = frozenset(answer.verbs) if isinstance(answer, Done) else frozenset()
                self._verbs = told | ALWAYS_KNOWN
        return verb in self._verbs

    def perform(self, call: Call, life: Life, progress: Progress) -> Reading | None:
        """Ask the program; None where it does not know the verb. Raises TransferError for what it says or does."""
        if not self.can(call.verb, call):
            return None
        answer = self._ask(call, _question(call), life, progress)
        match answer:
            case Cannot():
                return None
            case Failed():
                raise _as_told(call, answer)
            case Done():
                return Reading(
                    exists=answer.exists,
                    size_bytes=answer.size_bytes,
                    checksum=answer.checksum,
                    already_there=answer.already_there,
                )

    def _ask(self, call: Call, question: Question, life: Life, progress: Progress) -> Done | Failed | Cannot:
        """Run the program with one question. Its words count where it ended well; else how it ended counts."""
        context = call.request.context
        argv = self.argv(call)
        folder = Path(call.path).parent if call.verb is Verb.FETCH and call.path else Path("/")
        fd = os.memfd_create("answers")
        try:
            answers = Answers(fd, argv[0], call, question.number, progress)

            def look(launcher: int | None) -> None:
                answers.look()
                life.look(launcher)

            with program_environment(context, self.variables(call)) as environment:
                ended = run_program(
                    argv,
                    environment=environment,
                    folder=folder,
                    on_look=look,
                    stdin=msgspec.json.encode(question) + b"\n",
                    stdout=Path(f"/proc/self/fd/{fd}"),
                )
            ended = printed(ended, context.access.token)
            log_noise(argv[0], call, ended)
            if isinstance(answers.final, Failed):
                return _without(answers.final, context.access.token)
            if not ended.ok:
                raise failure_of(call, ended, self.meanings, self.advice)
            return answers.the_last()
        finally:
            os.close(fd)


def _question(call: Call) -> Question:
    request, context = call.request, call.request.context
    of_a_file = request if isinstance(request, FetchRequest | StoreRequest) else None
    stored = request if isinstance(request, StoreRequest) else None
    return Question(
        api=API,
        number=1,
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
    says = failed.says if call.lfn in failed.says else f"the {call.verb} of {call.lfn} failed: {failed.says}"
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


def _without(failed: Failed, token: str | None) -> Failed:
    if not token:
        return failed
    return msgspec.structs.replace(failed, says=failed.says.replace(token, HIDDEN))


def _ignore(count: int) -> None:
    """Progress that nobody waits for."""
