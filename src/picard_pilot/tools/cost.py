"""What jobs have cost, read from their journals: those of pilots that were killed tell it as well as any other.

What a server knows of ended jobs is asked through `tools.client`.
"""

from pathlib import Path

import msgspec

from picard_pilot.journal import file as journal_file
from picard_pilot.lifecycle.cost import cost
from picard_pilot.lifecycle.fold import fold
from picard_pilot.lifecycle.moves import count
from picard_pilot.lifecycle.table import NoSuchTransition
from picard_pilot.model.cost import Cost
from picard_pilot.payload import jobdir


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of the job in one directory; what cannot be read says why in `obstacle`."""

    directory: str
    job_id: int | None = None
    attempt_nr: int | None = None
    state: str | None = None
    cost: Cost | None = None
    obstacle: str | None = None


def read(directory: Path, now: float) -> Told:
    """What the journal tells, up to the last sign of whoever had the job; `now` is UTC by this host's clock."""
    nothing = Told(directory=str(directory))
    private = Path(jobdir.bundle_of(directory).private)
    try:
        case = fold((one.event, one.at) for one in journal_file.read(private / journal_file.NAME))
    except FileNotFoundError:
        return msgspec.structs.replace(nothing, obstacle="it holds no journal")
    except (OSError, journal_file.JournalDamaged, NoSuchTransition) as error:
        return msgspec.structs.replace(nothing, obstacle=f"its journal cannot be read: {error}")
    if case is None:
        return msgspec.structs.replace(nothing, obstacle="there was no job in it yet")
    if not case.over and (seen_at := jobdir.last_sign(private, now)) is not None:
        case = count(case, seen_at)
    return Told(
        directory=str(directory),
        job_id=case.job.job_id,
        attempt_nr=case.job.attempt_nr,
        state=case.state,
        cost=cost(case),
    )
