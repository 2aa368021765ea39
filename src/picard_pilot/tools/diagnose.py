"""What went wrong with a job, from what is left of it: our job's directory or log archive, pilot3's, or a lone log.

Offline: nobody is asked, nothing is changed. Packing it up for a ticket is `tools.ticket`.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from picard_pilot.diagnosis.engine import diagnose as try_rules
from picard_pilot.diagnosis.rulebook import CORE_RULES
from picard_pilot.experiments.report_files import read_reports
from picard_pilot.journal import file as journal_file
from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.causes import causes_first
from picard_pilot.lifecycle.ending import ending
from picard_pilot.lifecycle.fold import fold
from picard_pilot.lifecycle.table import NoSuchTransition
from picard_pilot.model.bundle import Bundle
from picard_pilot.model.command import PayloadExit
from picard_pilot.model.facts import Facts, Log
from picard_pilot.model.fault import Evidence, Fault
from picard_pilot.model.rule import Rule, Where
from picard_pilot.model.states import FINAL, State
from picard_pilot.payload import jobdir
from picard_pilot.pilot.diagnosing import Left, explain
from picard_pilot.plugins.loader import PluginError, list_plugins, load
from picard_pilot.system.logs import line_number, read_log
from picard_pilot.system.redact import Redactor
from picard_pilot.tools import pilot3, scan
from picard_pilot.tools.unpack import NoRemains, remains

_AFTER_WORK = FINAL | {State.ARCHIVING, State.CLOSING}
"""Where a job without faults has done all that it should."""
UNEXPLAINED = "payload.exit"
"""The rule of a verdict that only says how the payload ended."""


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one place; `causes` ranked, the likeliest first."""

    path: str
    kind: str
    """What the place holds: `job`, `pilot3 job` or `log`."""
    job_id: int | None = None
    attempt_nr: int | None = None
    state: str | None = None
    ended: str | None = None
    """How the payload ended, in words; None where that is not known."""
    good: bool = False
    """The payload ended well, and nothing went wrong otherwise."""
    causes: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    """What else a reader should know, a sentence each."""


def diagnose(path: Path, *, whole: bool = False) -> Diagnosis:
    """Look at a job's directory, its log archive or a log. With `whole` all of a lone log is read, not its ends only.

    Raises NoRemains where there is nothing of that kind.
    """
    if _is_log(path):
        return _of_log(path, whole=whole)
    cut: list[str] = []
    with remains(path, cut) as folder:
        found = _of_folder(folder, archived=not path.is_dir())
    return msgspec.structs.replace(found, path=str(path), notes=(*found.notes, *cut))


def _is_log(path: Path) -> bool:
    """Whether this is a text and no archive; what cannot be opened is neither."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:
        return False
    packed = (
        start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"))
        or start[257:262] == b"ustar"
    )
    return not packed


def _of_folder(folder: Path, *, archived: bool) -> Diagnosis:
    if (folder / jobdir.PRIVATE / journal_file.NAME).is_file():
        return _of_job(folder, archived=archived)
    if any((folder / name).is_file() for name in pilot3.FILES):
        return _of_pilot3(folder)
    raise NoRemains(
        f"Nothing of a job is in {folder}",
        f"there is neither {jobdir.PRIVATE}/{journal_file.NAME} nor {' nor '.join(pilot3.FILES[:2])}",
        "Name a job's directory, its log archive, or a log",
    )


def _of_job(folder: Path, *, archived: bool) -> Diagnosis:
    """One of ours: what its pilots found, and what today's rules find. An archive ends where it was made."""
    bundle = jobdir.bundle_of(folder)
    about = Diagnosis(path=str(folder), kind="job")
    case, note = _case(folder)
    notes = [note] if note else []
    if case is None:
        return msgspec.structs.replace(about, notes=tuple(notes), **_logs_alone(bundle))
    ended = case.exit
    found: tuple[Fault, ...] = ()
    if ended is not None:
        found = explain(_left(ended, bundle, case), _rules(), Redactor())
    if not case.over and not archived:
        notes.append(
            f"it is not over but {case.state}: `ppilot recover list` tells who has it, or may go on with it"
        )
    causes = _ranked(case.faults, found)
    if case.stop is not None and case.stop.fault.name not in {one.name for one in causes} and not case.over:
        causes = (case.stop.fault, *causes)
    return msgspec.structs.replace(
        about,
        job_id=case.job.job_id,
        attempt_nr=case.job.attempt_nr,
        state=None if archived else case.state,
        ended=None if ended is None else _says(case),
        good=not causes and case.state in _AFTER_WORK,
        causes=_numbered(causes, folder),
        notes=tuple(notes),
    )


def _says(case: Case) -> str | None:
    told = ending(case)
    return None if told is None else told.says()


def _case(folder: Path) -> tuple[Case | None, str | None]:
    """The case, and what is wrong with its journal."""
    path = folder / jobdir.PRIVATE / journal_file.NAME
    try:
        case = fold((one.event, one.at) for one in journal_file.read_copy(path))
    except (OSError, NoSuchTransition) as error:
        return None, f"its journal cannot be read: {error}"
    return case, None if case is not None else "its journal is empty"


def _left(ended: PayloadExit, bundle: Bundle, case: Case) -> Left:
    watched = tuple(one for one in case.faults if one.rule.startswith("watch"))
    return Left(ended=ended, bundle=bundle, outcome=case.outcome, watched=watched)


def _ranked(told: tuple[Fault, ...], found: tuple[Fault, ...]) -> tuple[Fault, ...]:
    """What the pilot said then and what rules say now, each once: now comes first where then nothing explained it."""
    unexplained = bool(told) and told[0].rule == UNEXPLAINED
    both = (*found, *told) if unexplained or not told else (*told, *found)
    each: dict[tuple[str, str], Fault] = {}
    for one in both:
        each.setdefault((one.name, one.blame), one)
    return causes_first(tuple(each.values()))


def _of_pilot3(folder: Path) -> Diagnosis:
    """One of today's pilot: its log tells how the payload ended, and what it made of that."""
    bundle = jobdir.bundle_of(folder)
    told = pilot3.read(folder)
    ended = PayloadExit(
        started_at=0.0, ended_at=0.0, wall_s=0.0, exit_code=told.exit_code, signal=told.signal
    )
    if told.exit_code == 0:
        found: tuple[Fault, ...] = ()
    elif told.exit_code is None and told.signal is None:
        found = _explained_by(_facts(bundle), _rules())
    else:
        found = explain(Left(ended=ended, bundle=bundle, outcome=read_reports(bundle)), _rules(), Redactor())
    causes = (*(one for one in found if one.rule != UNEXPLAINED), *told.faults)
    causes = (*causes, *(one for one in found if one.rule == UNEXPLAINED))
    return Diagnosis(
        path=str(folder),
        kind="pilot3 job",
        job_id=told.job_id,
        ended=None if told.exit_code is None else f"exit code {told.exit_code}",
        good=told.exit_code == 0 and not causes,
        causes=_numbered(causes, folder),
        notes=told.notes,
    )


def _of_log(path: Path, *, whole: bool) -> Diagnosis:
    """A lone log: how the program ended is not known."""
    name = "".join(char if char.isprintable() else "?" for char in path.name)  # it may be any bytes
    log = scan.telling(path) if whole else read_log(str(path), name, Redactor())
    if log is None:
        raise NoRemains(f"{path} cannot be read", "it is no plain file of ours to read", "Name another one")
    streams = {
        one.value: msgspec.structs.replace(log, name=one.value) for one in (Where.STDERR, Where.STDOUT)
    }
    facts = Facts(exit=PayloadExit(started_at=0.0, ended_at=0.0, wall_s=0.0), logs={**streams, name: log})
    found = tuple(_renamed(one, name) for one in _explained_by(facts, _rules()))
    partly = log.size_bytes > sum(len(line.text) + 1 for line in log.lines) * 2
    note = "only its beginning and end were read; --all reads the rest" if partly and not whole else None
    return Diagnosis(
        path=str(path), kind="log", causes=_numbered(found, path.parent), notes=(note,) if note else ()
    )


def _logs_alone(bundle: Bundle) -> dict[str, tuple[Fault, ...]]:
    return {"causes": _numbered(_explained_by(_facts(bundle), _rules()), Path(bundle.directory))}


def _facts(bundle: Bundle) -> Facts:
    """Both streams, of a payload whose end is not known."""
    places = {Where.STDERR.value: bundle.stderr, Where.STDOUT.value: bundle.stdout}
    logs: dict[str, Log] = {}
    for name, place in places.items():
        if (found := read_log(place, name, Redactor())) is not None:
            logs[name] = found
    return Facts(exit=PayloadExit(started_at=0.0, ended_at=0.0, wall_s=0.0), logs=logs)


def _explained_by(facts: Facts, rules: Iterable[Rule]) -> tuple[Fault, ...]:
    return try_rules((*rules, *CORE_RULES), facts).faults()


def _rules() -> tuple[Rule, ...]:
    """Those of all experiments that are installed: an archive does not say well whose job it was."""
    rules: list[Rule] = []
    for plugin in list_plugins("experiment"):
        try:
            rules += load("experiment", plugin.name)().rules()
        except PluginError:
            continue
    return tuple({(rule.error, rule.id, rule.where): rule for rule in rules}.values())


def _renamed(fault: Fault, name: str) -> Fault:
    """With the lone log's own name instead of the stream for which it was taken."""
    evidence = tuple(msgspec.structs.replace(one, file=name if one.file else None) for one in fault.evidence)
    return msgspec.structs.replace(fault, evidence=evidence)


def _numbered(faults: Iterable[Fault], folder: Path) -> tuple[Fault, ...]:
    """With line numbers for the evidence that stands in files here."""
    numbers = _Numbers(folder)
    return tuple(
        msgspec.structs.replace(one, evidence=tuple(map(numbers.told, one.evidence))) for one in faults
    )


class _Numbers(NamedTuple):
    folder: Path

    def told(self, one: Evidence) -> Evidence:
        if one.file is None or one.offset is None or one.line is not None:
            return one
        line = line_number(str(self.folder / one.file), one.offset)
        return msgspec.structs.replace(one, line=line)
