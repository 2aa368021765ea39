"""What this pilot's slot was spent on: kept while it runs, told at its end in the log and in pilot_cost.json.

The sums are `lifecycle.account`; what each job has cost over all pilots that had it is `lifecycle.cost`.
"""

import logging

import msgspec

from picard_pilot.lifecycle.account import OWN, Account
from picard_pilot.lifecycle.cost import cost
from picard_pilot.model.cost import COSTLY, Cost
from picard_pilot.model.states import Phase
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.status import replace_view
from picard_pilot.pilot.work import JobWork

log = logging.getLogger("picard.cost")

FILE = "pilot_cost.json"


class JobCost(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One job's part of a slot, in core seconds by phase, and what it has cost as a whole so far."""

    job_id: int
    attempt_nr: int
    state: str
    core_s: dict[Phase, float]
    whole: Cost


class SlotCost(msgspec.Struct, frozen=True, kw_only=True):
    """`pilot_cost.json`. Times are seconds since 1970, UTC; the parts add up to `wall_s` times `cores`."""

    schema: str
    pilot: str
    queue: str
    began_at: float
    wall_s: float
    cores: int
    own_core_s: float
    """The pilot's own: its start and end, asking for jobs, waiting for them."""
    jobs: tuple[JobCost, ...]


class SlotCosts:
    """The account of one pilot's slot, from the beginning of its process."""

    def __init__(self, parts: Parts) -> None:
        """The slot's cores are the queue's; where it does not say, one job's at a time."""
        self._parts = parts
        self._cores = parts.site.queue.limits.corecount
        self._began_at = parts.began_at if parts.began_at is not None else parts.clock.monotonic()
        self._account: Account | None = None
        self._known: dict[int, tuple[JobWork, Cost, str]] = {}

    def moved(self, work: JobWork) -> None:
        """The job came, or has entered another phase."""
        case = work.case
        cores = max(1, case.job.requirements.cores)
        if self._account is None:
            self._account = Account(self._began_at, self._cores or cores)
        self._account.now(self._parts.clock.monotonic(), work.job_id, case.phase, cores)
        self._known[work.job_id] = (work, cost(case), case.state)

    def gone(self, work: JobWork) -> None:
        """The job is not this pilot's any more."""
        if self._account is not None and work.job_id in self._known:
            self.moved(work)
            self._account.now(self._parts.clock.monotonic(), work.job_id, None)

    def close(self) -> None:
        """Say it in the log and write it. A full disk costs the file only."""
        told = self.told()
        log.info("this slot: %s", says(told))
        replace_view(self._parts.workdir / FILE, msgspec.json.encode(told) + b"\n")

    def told(self) -> SlotCost:
        """All until now."""
        account = self._account or Account(self._began_at, self._cores or 1)
        account.count(self._parts.clock.monotonic())
        wall_s = self._parts.clock.monotonic() - self._began_at
        return SlotCost(
            schema="picard.slot-cost/1",
            pilot=self._parts.owner.pilot,
            queue=self._parts.site.queue.name,
            began_at=self._parts.clock.now_utc() - wall_s,
            wall_s=round(wall_s, 3),
            cores=account.cores,
            own_core_s=round(account.core_s.get(OWN, 0.0), 3),
            jobs=tuple(
                JobCost(
                    job_id=job_id,
                    attempt_nr=work.case.job.attempt_nr,
                    state=state,
                    core_s={
                        phase: round(account.core_s[job_id, phase], 3)
                        for phase in COSTLY
                        if (job_id, phase) in account.core_s
                    },
                    whole=whole,
                )
                for job_id, (work, whole, state) in self._known.items()
            ),
        )


def says(told: SlotCost) -> str:
    """One line: where the slot's time went, the largest part first, and what was lost to whom."""
    total = told.wall_s * told.cores
    parts: dict[str, float] = {"no job": told.own_core_s}
    lost: dict[str, float] = {}
    for job in told.jobs:
        for phase, core_s in job.core_s.items():
            parts[phase.value] = parts.get(phase.value, 0.0) + core_s
        if job.whole.error is not None:
            why = f"{job.whole.error} ({job.whole.blame})"
            lost[why] = lost.get(why, 0.0) + sum(job.core_s.values())
    shown = [
        f"{name} {_share(core_s, total)}" for name, core_s in sorted(parts.items(), key=lambda item: -item[1])
    ]
    line = f"{told.wall_s:.1f} s on {told.cores} cores: {', '.join(shown)}"
    gone = [
        f"{_share(core_s, total)} to {why}" for why, core_s in sorted(lost.items(), key=lambda item: -item[1])
    ]
    return f"{line}; lost {', '.join(gone)}" if gone else line


def _share(core_s: float, total: float) -> str:
    return f"{100 * core_s / total:.1f} %" if total > 0 else f"{core_s:.1f} s"
