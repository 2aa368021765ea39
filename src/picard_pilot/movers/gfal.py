"""The gfal mover: storages of every protocol that a node's gfal2 tools speak (srm, gsiftp, davs, https, root ...).

For schemes that a mover of our own speaks it is the last resort: a program start per step costs 0.1 to 0.3 s.
Checksums are not left to it: of a fetch we read the file ourselves, of a store we ask the storage.
"""

import errno
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from picard_pilot.model.command import CommandResult, EndedBy
from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.transfer import FailureClass, Remedy, Side
from picard_pilot.movers.call import Call, Meaning, Reading, Verb
from picard_pilot.movers.codes import find
from picard_pilot.movers.command import CommandMover
from picard_pilot.movers.file_url import path_of
from picard_pilot.movers.program_end import failure_of, last_line
from picard_pilot.movers.troubles import AGAIN_S

NO_LIMIT_S = 86_400
"""gfal's own time limits (half an hour for a command) are set past every job's: the pilot's watch ends a hang, and
knows the file's size."""

PROGRAMS = {
    Verb.FETCH: "gfal-copy",
    Verb.STORE: "gfal-copy",
    Verb.STAT: "gfal-stat",
    Verb.CHECKSUM: "gfal-sum",
    Verb.RENAME: "gfal-rename",
    Verb.REMOVE: "gfal-rm",
}

NOT_OFFERED = (errno.ENOSYS, errno.EOPNOTSUPP)
"""How gfal says that a protocol has no such operation."""

CHECKSUM_NAMES = {ChecksumKind.ADLER32: "ADLER32", ChecksumKind.MD5: "MD5"}

_SIZE = re.compile(r"^\s*Size:\s*(\d+)\s+(.*)$", re.MULTILINE)
_USAGE = "usage:"
_HTTP_STATUS = re.compile(r"\bHTTP ([45]\d\d)\b")

# Exit codes are errno, one for every protocol: seen with gfal2 2.21 on file, root, https and davs.
MEANINGS: dict[int, Meaning] = {
    errno.EPERM: Meaning(FailureClass.AUTH, "no permission, or the credential has expired", errno=errno.EPERM),
    errno.EACCES: Meaning(
        FailureClass.AUTH, "no permission, or the credential has expired", errno=errno.EACCES
    ),
    errno.ENOENT: Meaning(FailureClass.MISSING, "no such file", remedy=Remedy.NEXT, errno=errno.ENOENT),
    errno.ENOTDIR: Meaning(FailureClass.MISSING, "no such file", remedy=Remedy.NEXT, errno=errno.ENOTDIR),
    errno.EEXIST: Meaning(
        FailureClass.SPECIFICATION, "another file stands there", errno=errno.EEXIST, fault="FILEEXISTS"
    ),
    errno.EISDIR: Meaning(FailureClass.SPECIFICATION, "a directory stands there", errno=errno.EISDIR),
    errno.EINVAL: Meaning(FailureClass.SPECIFICATION, "the address is not valid", errno=errno.EINVAL),
    errno.ENAMETOOLONG: Meaning(FailureClass.SPECIFICATION, "the name is too long", errno=errno.ENAMETOOLONG),
    errno.EPROTONOSUPPORT: Meaning(
        FailureClass.SPECIFICATION,
        "this node's gfal2 does not speak the protocol",
        remedy=Remedy.MISTAKE,
        side=Side.NODE,
        errno=errno.EPROTONOSUPPORT,
        fault="MIDDLEWAREIMPORTFAILURE",
    ),
    errno.EROFS: Meaning(FailureClass.SPACE, "the storage is read-only", remedy=Remedy.NEXT, errno=errno.EROFS),
    errno.ENOSPC: Meaning(FailureClass.SPACE, "no room left", remedy=Remedy.NEXT, errno=errno.ENOSPC),
    errno.EDQUOT: Meaning(FailureClass.SPACE, "the quota is used up", remedy=Remedy.NEXT, errno=errno.EDQUOT),
    errno.EFBIG: Meaning(FailureClass.SPACE, "the file is too large", remedy=Remedy.NEXT, errno=errno.EFBIG),
    errno.ECONNREFUSED: Meaning(
        FailureClass.CONTACT, "nobody listens there", AGAIN_S, Remedy.BENCH, errno=errno.ECONNREFUSED
    ),
    errno.EHOSTDOWN: Meaning(
        FailureClass.CONTACT, "no connection", AGAIN_S, Remedy.BENCH, errno=errno.EHOSTDOWN
    ),
    # A name that does not resolve ends with this one too.
    errno.EHOSTUNREACH: Meaning(
        FailureClass.RESOLVE, "the host cannot be found or reached", AGAIN_S, Remedy.BENCH,
        errno=errno.EHOSTUNREACH,
    ),
    errno.ETIMEDOUT: Meaning(
        FailureClass.TIMEOUT, "no answer in time", AGAIN_S, Remedy.BENCH, errno=errno.ETIMEDOUT
    ),
    errno.ECOMM: Meaning(
        FailureClass.TRANSFER, "the storage broke", AGAIN_S, Remedy.BENCH, errno=errno.ECOMM
    ),
    errno.EBUSY: Meaning(
        FailureClass.CONTACT, "the storage is busy", AGAIN_S, Remedy.BENCH, errno=errno.EBUSY
    ),
}  # fmt: skip
"""Exit code: what it means. EIO and all others are `transfer` failures that may be repeated at once."""

WRONG_USAGE = Meaning(
    FailureClass.SPECIFICATION,
    "this node's gfal2 tools do not take our options",
    remedy=Remedy.MISTAKE,
    side=Side.NODE,
)


class GfalMover(CommandMover):
    """Moves files by the gfal2 command-line tools."""

    name: ClassVar[str] = "gfal"
    schemes: ClassVar[tuple[str, ...]] = (
        "srm", "gsiftp", "davs", "dav", "https", "http", "root", "roots", "sftp", "file",
    )  # fmt: skip
    advice: ClassVar[str] = (
        "Install the gfal2 tools (Debian: gfal2-util-scripts; EL: python3-gfal2-util) "
        "and the gfal2 plug-in of the protocol, or name another mover for the queue."
    )
    meanings: ClassVar[Mapping[int, Meaning]] = MEANINGS

    def missing(self) -> str | None:
        """The tools may not be installed."""
        return None if shutil.which(PROGRAMS[Verb.FETCH]) is not None else "gfal2 tools"

    def argv(self, call: Call) -> Sequence[str] | None:
        """One of the gfal programs."""
        surl = _address(call, call.surl)
        limits = ["-t", str(NO_LIMIT_S)]
        program = PROGRAMS[call.verb]
        match call.verb:
            case Verb.FETCH:
                return [program, *limits, "-T", str(NO_LIMIT_S), surl, f"file://{call.path}"]
            case Verb.STORE:
                return [program, *limits, "-T", str(NO_LIMIT_S), "-p", f"file://{call.path}", surl]
            case Verb.CHECKSUM:
                return [program, *limits, surl, CHECKSUM_NAMES[call.kind or ChecksumKind.ADLER32]]
            case Verb.RENAME:
                return [program, *limits, surl, _address(call, call.new_surl or call.surl)]
            case _:
                return [program, *limits, surl]

    def variables(self, call: Call) -> Mapping[str, str]:
        """The interpreter beside the tools, or they would take one of the pilot's that knows no gfal2; the token.

        gfal2 2.21 reads a token for https from this variable only, not from a file.
        """
        more: dict[str, str] = {}
        environment = {**os.environ, **call.request.context.environment}
        found = shutil.which("gfal-copy", path=environment.get("PATH"))
        if found is not None and "GFAL_PYTHONBIN" not in environment:
            python = Path(found).with_name("python3")
            if python.exists():
                more["GFAL_PYTHONBIN"] = str(python)
        if call.request.context.access.token is not None:
            more["BEARER_TOKEN"] = call.request.context.access.token
        return more

    def read(self, call: Call, ended: CommandResult) -> Reading | None:
        """The exit code is an errno; what stat and sum found is on standard output."""
        if call.verb is Verb.RENAME and ended.exit_code in NOT_OFFERED:
            return None
        if ended.ended_by is EndedBy.ITSELF and ended.exit_code == errno.ENOENT:
            if ended.stderr_tail.startswith(_USAGE):  # the same code for options that it does not know
                raise failure_of(call, ended, {errno.ENOENT: WRONG_USAGE}, self.advice)
            if call.verb in (Verb.STAT, Verb.REMOVE):
                return Reading(exists=False)
        if not ended.ok:
            raise failure_of(call, ended, {**self.meanings, **_by_http_status(call, ended)}, self.advice)
        if call.verb is Verb.STAT:
            found = _SIZE.search(ended.stdout_tail)
            return Reading(size_bytes=int(found[1]) if found and "directory" not in found[2] else None)
        if call.verb is Verb.CHECKSUM and call.kind is not None:
            words = ended.stdout_tail.split()
            return Reading(checksum=Checksum(call.kind, words[-1].lower().rjust(8, "0")) if words else None)
        return Reading()


def _by_http_status(call: Call, ended: CommandResult) -> dict[int, Meaning]:
    """What the exit code means where the storage's own answer is in the last line, which knows it better.

    A 403 to a PUT was seen to end as EEXIST.
    """
    found = _HTTP_STATUS.search(last_line(ended))
    row = find("http", int(found[1]), storing=call.verb is Verb.STORE) if found else None
    if row is None or ended.exit_code is None:
        return {}
    pause_s = AGAIN_S if row.remedy is Remedy.BENCH else None
    return {ended.exit_code: Meaning(row.kind, row.means, pause_s, row.remedy, errno=ended.exit_code)}


def _address(call: Call, surl: str) -> str:
    """The address as gfal takes it: a file's path by the letter, not percent-coded."""
    if surl.partition("://")[0].lower() != "file":
        return surl
    return f"file://{path_of(surl, call.request.context.endpoint)}"
