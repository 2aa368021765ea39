"""Outputs that no storage takes: whether they wait on disk, where, until when, and when this pilot comes back to them.

The rules are `lifecycle.recovery` (who) and `lifecycle.holding` (how long); which failures can pass is `data.passing`.
"""

import logging
from collections.abc import Callable

from picard_pilot.experiments.hooks import HookFailed
from picard_pilot.lifecycle import holding
from picard_pilot.lifecycle.recovery import Keeping, may_wait, was_last_try
from picard_pilot.model import events as ev
from picard_pilot.model.fault import Fault
from picard_pilot.model.policy import RecoveryPolicy
from picard_pilot.model.states import State
from picard_pilot.pilot.ends import Until
from picard_pilot.pilot.hooking import Hooks
from picard_pilot.pilot.parts import Parts
from picard_pilot.pilot.recovery import place_of
from picard_pilot.pilot.work import JobWork

log = logging.getLogger("picard.staging")


class Keeper:
    """Decides for each job anew, since time passes and an experiment may change its mind."""

    def __init__(self, parts: Parts, hooks: Hooks, until: Callable[[], Until]) -> None:
        """`until` tells when the pilot has to be gone."""
        self._parts = parts
        self._hooks = hooks
        self._until = until

    async def held(self, work: JobWork, faults: tuple[Fault, ...]) -> ev.OutputsHeld | None:
        """What it means for the job's outputs to wait for what `faults` tell of; None where they do not.

        A failed job's outputs never do: the server would not register them.
        """
        case, now = work.case, work.now(self._parts.clock)
        if case.failed or not self._parts.settings.hold_outputs:
            return None
        keeping = await self._keeping(work)
        log.info("job %s: what it made %s: %s", work.job_id, _DOES[keeping.keep], keeping.why)
        since = now if case.held_since is None else case.held_since
        # The server counts from the first `holding`, whatever was the reason.
        until = holding.held_until(case.job, case.entered.get(State.HOLDING, since))
        if now >= until or not keeping.keep:
            return None
        left_s = self._until().gone - self._parts.clock.monotonic()
        again_at = holding.next_break(
            first_held_at=since,
            now=now,
            wall_s=case.exit.wall_s if case.exit else None,
            until=until,
            leaves_at=now + left_s - self._parts.settings.report_grace_s,
        )
        if again_at is None and was_last_try(now, until):
            log.info("job %s: nobody would try again before %s", work.job_id, holding.moment(until))
            return None
        if again_at is None and self._parts.left_is_lost is not None:
            log.info("job %s: nobody can come back to it: %s", work.job_id, self._parts.left_is_lost)
            return None
        return ev.OutputsHeld(
            faults=faults,
            where=place_of(self._parts, work),
            why=keeping.why,
            until=until,
            again_at=again_at,
        )

    async def _keeping(self, work: JobWork) -> Keeping:
        """Whether the job is one whose outputs are worth a wait."""
        job, ended = work.case.job, work.case.exit
        try:
            policy = await self._hooks.call(self._hooks.experiment.recovery_policy, job)
        except HookFailed:
            policy = RecoveryPolicy()
        cpu = () if ended is None else (ended.cpu_user_s, ended.cpu_system_s)
        known = [seconds for seconds in cpu if seconds is not None]
        movable = self._parts.site.queue.jobs_can_move
        return may_wait(job, cpu_s=sum(known) if known else None, policy=policy, movable=movable)


_DOES = {True: "waits for a storage", False: "does not wait for a storage"}
