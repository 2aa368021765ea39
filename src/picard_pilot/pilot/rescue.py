"""A pilot that was told which left jobs to take up, and asks for no other: `ppilot recover run`.

All that it does with them is what any pilot does. Who may be taken up is `pilot.recovery`.
"""

import gc
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.recovery import Claim, Judgement
from picard_pilot.lifecycle.report import holding_text
from picard_pilot.model.states import State
from picard_pilot.pilot import recovery, wiring
from picard_pilot.pilot.scratch import look_at
from picard_pilot.pilot.signals import EXIT_BASE
from picard_pilot.pilot.supervisor import Supervisor
from picard_pilot.settings.settings import Settings
from picard_pilot.system.log import Log

NOT_TAKEN_UP = "not taken up"
WAITS = "waits"
REMOVED = "removed"


class Rescued(NamedTuple):
    """What became of one directory: finished, failed, or one of the words above, and why."""

    directory: Path
    job_id: int | None
    result: str
    why: str

    @property
    def done(self) -> bool:
        """Whether nothing is left to do for it."""
        return self.result not in (NOT_TAKEN_UP, WAITS)


async def rescue(
    settings: Settings,
    environ: Mapping[str, str],
    directories: Sequence[Path],
    workdir: Path,
    pilot_log: Log,
) -> tuple[list[Rescued], int | None]:
    """Take up the jobs in `directories`, all of the queue that the settings name, and bring them to their end.

    `workdir` is for the files of this pilot itself. Returns what became of each, and 128 plus the number of the signal
    that ended this early, if one did. Raises Trouble when the pilot cannot be built.
    """
    async with AsyncExitStack() as stack:
        lost = look_at(directories[0].parent, environ).lost_because
        parts = await wiring.build(settings, environ, workdir, pilot_log, stack, left_is_lost=lost)
        gc.enable()
        passed_over: recovery.Reasons = {}
        works = recovery.take_up(parts, directories, limit=len(directories), passed_over=passed_over)
        supervisor = Supervisor(parts)
        code = await supervisor.run(works, only_left=True)
        judgements = supervisor.lookout.judgements
        found = {
            Path(work.bundle.directory): _rescued(
                work.bundle.directory, work.case, judgements.get(work.job_id)
            )
            for work in works
        }
    for directory, why in passed_over.items():
        found[directory] = Rescued(directory, None, NOT_TAKEN_UP, why)
    return [found[path] for path in directories if path in found], code if code > EXIT_BASE else None


def _rescued(directory: str, case: Case, judgement: Judgement | None) -> Rescued:
    path, job_id = Path(directory), case.job.job_id
    if judgement is None:
        return Rescued(path, job_id, NOT_TAKEN_UP, "the pilot had to leave before the server was asked")
    match judgement.claim:
        case Claim.LEAVE:
            return Rescued(path, job_id, NOT_TAKEN_UP, judgement.why)
        case Claim.DISOWN:
            return Rescued(path, job_id, REMOVED, judgement.why)
    if not case.over:
        why = holding_text(case) if case.waiting else case.suspended_because
        return Rescued(path, job_id, WAITS, why or f"it is left in state {case.state}")
    if case.state is State.FAILED:
        return Rescued(path, job_id, "failed", case.faults[0].diag if case.faults else "")
    stored = len(case.stored)
    return Rescued(path, job_id, "finished", f"{stored} output{'' if stored == 1 else 's'} stored")
