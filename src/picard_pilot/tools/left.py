"""What lies in a work directory, or in directories that were copied from one: each left job as its records tell it.

Nothing is changed by looking, and nobody is asked. Doing something about a job is `tools.recover`.
"""

import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from picard_pilot.journal import file as journal_file
from picard_pilot.journal import lease
from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.fold import fold
from picard_pilot.lifecycle.holding import held_until
from picard_pilot.lifecycle.table import NoSuchTransition
from picard_pilot.model.command import ProcessId
from picard_pilot.model.states import State
from picard_pilot.model.trouble import Trouble
from picard_pilot.payload import jobdir, launcher
from picard_pilot.system import proc


class NothingThere(Trouble):
    """A named path has no job."""


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """One output of a job. `size_bytes` is what lies in the directory, None where nothing does."""

    lfn: str
    size_bytes: int | None
    stored: bool


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """One directory. Times are seconds since 1970, UTC; all that could not be read is None."""

    directory: str
    job_id: int | None
    attempt_nr: int | None = None
    queue: str | None = None
    state: str | None = None
    since: float | None = None
    outputs: tuple[Output, ...] = ()
    cpu_s: float | None = None
    left_at: str | None = None
    """Host and directory where the job was when it had to wait; a copy lies elsewhere."""
    until: float | None = None
    """When the server gives the job up, where it was told that the job waits."""
    holder: str | None = None
    """The pilot that has the job now."""
    obstacle: str | None = None
    """Why it cannot be taken up, as the end of a sentence; None where it can."""
    case: Case | None = None
    """All that is known."""

    @property
    def over(self) -> bool:
        """Whether the server has the job's report: only the directory is left."""
        return self.case is not None and self.case.over

    @property
    def unstored(self) -> tuple[Output, ...]:
        """The outputs that exist here and nowhere else, as far as the journal knows."""
        return tuple(one for one in self.outputs if not one.stored and one.size_bytes is not None)


def directories(paths: Iterable[Path]) -> list[Path]:
    """The job directories that `paths` name: each is one, or holds some. Raises NothingThere."""
    found: dict[Path, None] = {}
    for path in paths:
        whole = path.absolute()
        try:
            inside = [whole] if _is_job(whole) else jobdir.left_in(whole)
        except OSError as error:
            raise NothingThere(
                f"{path} cannot be looked into",
                str(error.strerror),
                "Name a pilot's work directory, or the directory of a job in it",
            ) from None
        found.update(dict.fromkeys(inside))
    return list(found)


def _is_job(path: Path) -> bool:
    """Whether this is a job's directory: by its journal, whatever a copy is called, or by its name."""
    if os.path.lexists(path / jobdir.PRIVATE / journal_file.NAME):
        return True
    return path.name.startswith(jobdir.PREFIX) and (path / jobdir.PRIVATE).is_dir()


def me(pilot: str) -> lease.Owner:
    """This process, as who looks at leases and takes them."""
    myself = proc.myself()
    host = socket.gethostname()
    return lease.Owner(
        pilot=f"{pilot}-{host}-{myself.pid}-{int(time.time())}",
        host=host,
        boot_id=proc.boot_id(),
        pid=myself.pid,
        start_ticks=myself.start_ticks,
        pid_namespace=proc.pid_namespace(),
    )


def is_alive(pid: int, start_ticks: int) -> bool:
    """Whether the process with this pid and start time lives on this host."""
    return proc.is_running(ProcessId(pid=pid, start_ticks=start_ticks))


def look(directory: Path, asker: lease.Owner, now: float) -> Left:
    """What lies in one job directory; `now` is UTC by this host's clock."""
    nothing = Left(directory=str(directory), job_id=_number(directory))
    private = Path(jobdir.bundle_of(directory).private)
    try:
        holder = lease.holder(private, asker, now, is_alive)
        records = journal_file.read(private / journal_file.NAME)
        case = fold((record.event, record.at) for record in records)
    except FileNotFoundError:
        return msgspec.structs.replace(nothing, obstacle="it holds no journal")
    except (OSError, journal_file.JournalDamaged, NoSuchTransition) as error:
        return msgspec.structs.replace(nothing, obstacle=f"its journal cannot be read: {error}")
    held_by = (
        None if holder is None else f"{holder.owner.pilot} (pid {holder.owner.pid} on {holder.owner.host})"
    )
    if case is None:
        return msgspec.structs.replace(nothing, holder=held_by, obstacle="there was no job in it yet")
    return _told(directory, case, held_by)


def _told(directory: Path, case: Case, holder: str | None) -> Left:
    cpu = () if case.exit is None else (case.exit.cpu_user_s, case.exit.cpu_system_s)
    known = [seconds for seconds in cpu if seconds is not None]
    return Left(
        directory=str(directory),
        job_id=case.job.job_id,
        attempt_nr=case.job.attempt_nr,
        queue=case.queue,
        state=case.state.value,
        since=case.since,
        outputs=tuple(
            Output(lfn=file.lfn, size_bytes=_size(directory / file.lfn), stored=file.lfn in case.stored)
            for file in case.job.outputs
        ),
        cpu_s=sum(known) if known else None,
        left_at=case.left_at if case.held is None else case.held.where,
        until=_until(case),
        holder=holder,
        obstacle=_obstacle(directory, case, holder),
        case=case,
    )


def _until(case: Case) -> float | None:
    if case.over:
        return None
    if case.held is not None:
        return case.held.until
    first = case.entered.get(State.HOLDING)
    return None if first is None else held_until(case.job, first)


def _obstacle(directory: Path, case: Case, holder: str | None) -> str | None:
    if holder is not None:
        return f"pilot {holder} has it"
    if case.over:
        return "it is over, only its directory is left"
    launch = directory / jobdir.PRIVATE / jobdir.LAUNCH_DIRECTORY
    try:
        if launcher.runs_in_original(launch):
            return "it is a copy, and its payload still runs where it was copied from"
        if case.exit is None and (host := launcher.out_of_sight(launch)) is not None:
            return f"its payload still runs on {host}, where it cannot be seen from here"
    except OSError as error:
        return f"what became of its payload cannot be told: {error}"
    if os.access(directory, os.W_OK | os.X_OK) and os.access(directory / jobdir.PRIVATE, os.W_OK | os.X_OK):
        return None
    owner = directory.stat().st_uid
    return f"user {os.geteuid()} cannot write there; it belongs to user {owner}"


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _number(directory: Path) -> int | None:
    """The job's number, as the directory's name tells it."""
    number = directory.name.removeprefix(jobdir.PREFIX).partition("-")[0]
    return int(number) if number.isascii() and number.isdigit() else None
