"""The lsm mover: a site's own scripts `lsm-get` and `lsm-put`, for addresses of any scheme.

What the scripts are given and what their exit codes mean is the convention of the Local Site Mover of US ATLAS
(its specification, and scripts of its sites). `lsm-stat`, `lsm-rename` and `lsm-rm` are ours: used where a site has
them, and only with them a half file can never show under its final name.
"""

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from picard_pilot.model.command import CommandResult, EndedBy
from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import ANY_SCHEME, FailureClass, Remedy, Side, StoreRequest
from picard_pilot.movers.call import Call, Meaning, Reading, Verb
from picard_pilot.movers.command import CommandMover
from picard_pilot.movers.program_end import failure_of

SCRIPTS = {
    Verb.FETCH: "lsm-get",
    Verb.STORE: "lsm-put",
    Verb.STAT: "lsm-stat",
    Verb.CHECKSUM: "lsm-stat",
    Verb.RENAME: "lsm-rename",
    Verb.REMOVE: "lsm-rm",
}

NO_SUCH_FILE = 2
"""What `lsm-stat` and `lsm-rm` return where there is none: ENOENT."""
SAME_FILE_STANDS_THERE = 212

OVERLOAD_PAUSE_S = 60.0
"""Before a script that said `overload` or `transient` is asked again; it names no time itself."""

MEANINGS: dict[int, Meaning] = {
    NO_SUCH_FILE: Meaning(FailureClass.MISSING, "no such file", remedy=Remedy.NEXT),
    200: Meaning(FailureClass.TRANSFER, "failure", 0.0),
    201: Meaning(FailureClass.TRANSFER, "copy command failed", 0.0),
    202: Meaning(FailureClass.SPECIFICATION, "command not supported", remedy=Remedy.MISTAKE, side=Side.NODE),
    203: Meaning(FailureClass.SPECIFICATION, "option not supported", remedy=Remedy.MISTAKE, side=Side.NODE),
    204: Meaning(FailureClass.CHECKSUM, "the sizes differ", 0.0, Remedy.REPEAT),
    205: Meaning(FailureClass.CHECKSUM, "the checksums differ", 0.0, Remedy.REPEAT),
    206: Meaning(FailureClass.SPECIFICATION, "the destination does not exist", remedy=Remedy.NEXT),
    207: Meaning(FailureClass.AUTH, "no permission to write there", remedy=Remedy.NEXT),
    208: Meaning(FailureClass.CONTACT, "overload, later", OVERLOAD_PAUSE_S, Remedy.BENCH),
    209: Meaning(FailureClass.CHECKSUM, "the source has not the size that was said", remedy=Remedy.NEXT),
    210: Meaning(FailureClass.CHECKSUM, "the source has not the checksum that was said", remedy=Remedy.NEXT),
    211: Meaning(
        FailureClass.SPECIFICATION,
        "another file stands there",
        remedy=Remedy.NEXT,
        errno=errno.EEXIST,
        fault="FILEEXISTS",
    ),
    213: Meaning(FailureClass.SPACE, "no room left", remedy=Remedy.NEXT),
    220: Meaning(FailureClass.TRANSFER, "transient failure, later", OVERLOAD_PAUSE_S, Remedy.BENCH),
}
"""Exit code of a script: what it means. All others are `transfer` failures that may be repeated at once."""


class LsmMover(CommandMover):
    """Moves files by a site's scripts, found in the PATH, or in the folder of a name like `lsm:/site/bin`."""

    name: ClassVar[str] = "lsm"
    schemes: ClassVar[tuple[str, ...]] = (ANY_SCHEME,)
    advice: ClassVar[str] = (
        "The site has to put its lsm scripts into the PATH of its nodes, or the queue names their folder: "
        "`lsm:/path/to/folder`."
    )
    meanings: ClassVar[Mapping[int, Meaning]] = MEANINGS

    def argv(self, call: Call) -> Sequence[str] | None:
        """The script, its options, and its arguments in the convention's order."""
        script = self._script(call)
        if script is None:
            return None
        match call.verb:
            case Verb.FETCH:
                return [script, call.surl, str(call.path)]
            case Verb.STORE:
                return [script, *_facts(call), str(call.path), call.surl]
            case Verb.RENAME:
                return [script, call.surl, str(call.new_surl)]
            case Verb.CHECKSUM:
                return [script, "--checksum", str(call.kind), call.surl]
            case _:
                return [script, call.surl]

    def _script(self, call: Call) -> str | None:
        """Where the script is; None for one that a site need not have, and does not."""
        name = SCRIPTS[call.verb]
        path = {**os.environ, **call.request.context.environment}.get("PATH")
        found = shutil.which(name, path=self.place or path)
        if found is None and call.verb in (Verb.FETCH, Verb.STORE):
            return name if self.place is None else str(Path(self.place, name))
        return found

    def read(self, call: Call, ended: CommandResult) -> Reading | None:
        """By the exit code; `lsm-stat` prints the size or `kind:value`."""
        code = ended.exit_code if ended.ended_by is EndedBy.ITSELF else None
        if code == SAME_FILE_STANDS_THERE and call.verb is Verb.STORE:
            return Reading(already_there=True)
        if code == NO_SUCH_FILE and call.verb in (Verb.STAT, Verb.REMOVE):
            return Reading(exists=False)
        if not ended.ok:
            raise failure_of(call, ended, self.meanings, self.advice)
        said = ended.stdout_tail.strip()
        if call.verb is Verb.STAT:
            return Reading(size_bytes=int(said) if said.isascii() and said.isdigit() else None)
        if call.verb is Verb.CHECKSUM:
            return Reading(checksum=_checksum(said, call.kind))
        return Reading()


def _facts(call: Call) -> list[str]:
    """What the convention lets a script know of a file that it stores."""
    request = call.request
    facts = ["--size", str(call.size_bytes)]
    if call.checksum is not None:
        facts += ["--checksum", f"{call.checksum.kind}:{call.checksum.value}"]
    if isinstance(request, StoreRequest) and request.guid:
        facts += ["--guid", request.guid]
    if request.context.endpoint is not None and request.context.endpoint.token:
        facts += ["-t", request.context.endpoint.token]
    return facts


def _checksum(said: str, kind: ChecksumKind | None) -> Checksum | None:
    name, _, value = said.partition(":")
    return Checksum(kind, value.lower()) if kind is not None and name == kind and value else None
