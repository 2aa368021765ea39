"""What a job has cost so far: a fold of its case, so that a journal alone tells it, whoever wrote it and died.

How a pilot's whole slot was spent, jobs and the time between them, is `lifecycle.account`.
"""

from picard_pilot.lifecycle.case import Case
from picard_pilot.model.cost import COSTLY, Cost, Saving
from picard_pilot.model.states import PHASE_OF, Phase, State

NOT_MOVED = frozenset({"direct", "symlink", "already there"})
"""Ways of staging an input (`InputStaged.how`) that copy no byte."""


def cost(case: Case) -> Cost:
    """The cost of this attempt, up to its last event."""
    wall_s: dict[Phase, float] = {}
    for state, seconds in case.spent.items():
        phase = PHASE_OF[State(state)]
        if phase in COSTLY:
            wall_s[phase] = wall_s.get(phase, 0.0) + seconds
    cause = case.faults[0] if case.faults else None
    stored = (*case.stored.values(), *((case.log,) if case.log else ()))
    return Cost(
        cores=max(1, case.job.requirements.cores),
        wall_s={phase: wall_s[phase] for phase in COSTLY if phase in wall_s},
        cpu_s=_cpu_s(case),
        bytes_in=sum(file.size_bytes or 0 for file in case.staged.values() if file.how not in NOT_MOVED),
        bytes_out=sum(file.size_bytes for file in stored),
        error=cause.name if cause else None,
        blame=cause.blame if cause else None,
        saved_by=() if cause else _saved_by(case),
        spared=case.spared,
    )


def _cpu_s(case: Case) -> float | None:
    parts = () if case.exit is None else (case.exit.cpu_user_s, case.exit.cpu_system_s)
    # A later pilot believes what a journal says, but not that time ran backwards.
    known = [max(0.0, part) for part in parts if part is not None]
    return sum(known) if known else None


def _saved_by(case: Case) -> tuple[Saving, ...]:
    """Why the payload's work was not lost, as far as the job has come."""
    if case.exit is None:
        return ()
    found = []
    if case.resumed:
        found.append(Saving.RECOVERY)
    if any(file.alternative for file in case.stored.values()):
        found.append(Saving.ALTERNATIVE)
    return tuple(found)
