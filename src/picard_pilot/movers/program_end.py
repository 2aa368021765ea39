"""From the end of a mover's program to a classified failure, with the sentence to show.

What exit codes mean is each mover's own table; running the program is `program`.
"""

import resource
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

import msgspec

from picard_pilot.model.command import CommandResult, EndedBy, StartErrorKind
from picard_pilot.model.transfer import FailureClass, Remedy, Side, TransferError, TransferFailure
from picard_pilot.movers.call import Call, Meaning, Verb
from picard_pilot.movers.program import OUTPUT_LIMIT_BYTES
from picard_pilot.system import disk
from picard_pilot.system.unsaid import Unsaid

CANNOT_START = (126, 127)
"""What a shell returns where it finds no program, or one that it cannot run."""

LINE_CHARACTERS = 400
"""Of a program's last line, for people."""

_MIDDLEWARE = Meaning(
    FailureClass.SPECIFICATION,
    "the program is not usable on this node",
    remedy=Remedy.MISTAKE,
    side=Side.NODE,
    fault="MIDDLEWAREIMPORTFAILURE",
)
_NODE_IS_FULL = Meaning(
    FailureClass.SPACE, "the node's disk is full", remedy=Remedy.STOP, side=Side.NODE, fault="NOLOCALSPACE"
)
_SHORT_OF = {StartErrorKind.DISK_FULL: _NODE_IS_FULL}
_NODE_TROUBLE = Meaning(FailureClass.TRANSFER, "this node could not run it", 5.0, side=Side.NODE)
_TOO_MUCH = Meaning(
    FailureClass.TRANSFER,
    f"it wrote more than {OUTPUT_LIMIT_BYTES >> 20} MiB of output and was ended",
    remedy=Remedy.MISTAKE,
    side=Side.NODE,
)
_UNKNOWN = Meaning(FailureClass.TRANSFER, "", 0.0)


def failure_of(
    call: Call, ended: CommandResult, meanings: Mapping[int, Meaning], advice: str
) -> TransferError:
    """The failure that a program's end means. The last line of what it said is the evidence."""
    how, meaning = _meaning(ended, meanings)
    if meaning.fault == _MIDDLEWARE.fault:
        how = f"{how}. {advice}"
    means = f" ({meaning.means})" if meaning.means else ""
    said = last_line(ended)
    failure = TransferFailure(
        kind=meaning.kind,
        says=f"the {call.verb} of {call.lfn} failed: {how}{means}" + (f": {said}" if said else ""),
        side=meaning.side,
        remedy=meaning.remedy,
        code=None if ended.exit_code is None else f"exit {ended.exit_code}",
        surl=call.surl,
        errno=meaning.errno,
        retry_after_s=meaning.retry_after_s,
        fault=meaning.fault,
    )
    return TransferError(on_a_full_node(call, failure))


def on_a_full_node(call: Call, failure: TransferFailure) -> TransferFailure:
    """The same failure, or the node's where a fetch failed since the node has no room: it writes nowhere else."""
    if call.verb is not Verb.FETCH:
        return failure
    if failure.kind is not FailureClass.SPACE and not (
        failure.kind is FailureClass.TRANSFER and _is_full(call)
    ):
        return failure
    return msgspec.structs.replace(
        failure,
        kind=_NODE_IS_FULL.kind,
        side=_NODE_IS_FULL.side,
        remedy=_NODE_IS_FULL.remedy,
        retry_after_s=None,
        fault=_NODE_IS_FULL.fault,
    )


def _meaning(ended: CommandResult, meanings: Mapping[int, Meaning]) -> tuple[str, Meaning]:
    """How it ended, in words, and what that means."""
    if ended.start_error is not None:
        kind = ended.start_error.kind
        if kind in (StartErrorKind.NO_RESOURCES, StartErrorKind.LAUNCHER):
            return ended.start_error.evidence, _NODE_TROUBLE
        return ended.start_error.evidence, _SHORT_OF.get(kind, _MIDDLEWARE)
    if ended.ended_by is EndedBy.OUTPUT_LIMIT:
        return "the program ran wild", _TOO_MUCH
    if ended.ended_by is not EndedBy.ITSELF:
        return f"the program was ended from outside ({ended.ended_by})", _NODE_TROUBLE
    if ended.signal is not None:
        name = signal.Signals(ended.signal).name if ended.signal in _SIGNALS else f"signal {ended.signal}"
        full = ended.signal == signal.SIGXFSZ
        return f"the program died of {name}", _NODE_IS_FULL if full else _NODE_TROUBLE
    code = ended.exit_code or 0
    meaning = meanings.get(code)
    if meaning is None:
        meaning = _MIDDLEWARE if code in CANNOT_START else _UNKNOWN
    return f"the program ended with exit code {code}", meaning


_SIGNALS = frozenset(signal.Signals)


def must_not_be_cut(call: Call, size_bytes: int) -> None:
    """Refuse a file that is shorter than described since the node has no more room, whatever the program said.

    gfal2 2.21 was seen to return success where a write was cut short.
    """
    if call.size_bytes is not None and size_bytes < call.size_bytes and _is_full(call):
        says = f"the node's disk has no room for {call.lfn}: {size_bytes} of {call.size_bytes} bytes came"
        failure = TransferFailure(kind=FailureClass.SPACE, says=says, surl=call.surl)
        raise TransferError(on_a_full_node(call, failure))


def _is_full(call: Call) -> bool:
    """Whether there is no room for the rest of a file that is fetched: on the disk, or below the slot's own limit."""
    if call.path is None:
        return False
    folder = Path(call.path).parent
    try:
        sizes = [path.lstat().st_size for path in folder.iterdir()]
        left = max(0, (call.size_bytes or 0) - sum(sizes))
        largest, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if largest != resource.RLIM_INFINITY and max(sizes, default=0) >= largest:
            return True
        return disk.is_full(folder) or disk.free_bytes(folder) < left
    except OSError:
        return False


def last_line(ended: CommandResult) -> str:
    """The last thing that a program said, on standard error if anything was said there; cut to a bearable length."""
    for tail in (ended.stderr_tail, ended.stdout_tail):
        lines = [line.strip() for line in tail.splitlines() if line.strip()]
        if lines:
            return "".join(c if c.isprintable() else "?" for c in lines[-1][:LINE_CHARACTERS])
    return ""


def unsaid_of(calls: Sequence[Call]) -> Unsaid:
    """What a program knows from these calls and must not be quoted with."""
    surls = [surl for call in calls for surl in (call.surl, call.new_surl or "")]
    return Unsaid(surls, calls[0].request.context.access.token)


def printed(ended: CommandResult, unsaid: Unsaid) -> CommandResult:
    """The same end without what is secret in what the program printed."""
    return msgspec.structs.replace(
        ended, stdout_tail=unsaid.text(ended.stdout_tail), stderr_tail=unsaid.text(ended.stderr_tail)
    )


def only_name(surl: str) -> str:
    """The last part of an address, for people."""
    return unquote(surl.rpartition("/")[2]) or surl
