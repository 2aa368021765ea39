"""Which jobs may wait on disk for a storage, and what a later pilot does with a job that it finds there.

Pure: two tables of rules, each with its reason in words. How long a job may wait is `holding`; what the experiment says
is in `model.policy`; asking the server and moving files is `pilot`.
"""

from enum import StrEnum
from typing import NamedTuple

from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.holding import HOUR_S, PRODUCTION_LABELS
from picard_pilot.model.job import Job
from picard_pilot.model.orders import Standing
from picard_pilot.model.policy import RecoveryPolicy
from picard_pilot.model.states import State

DAY_S = 24 * HOUR_S

LONG_CPU_S = 6 * HOUR_S
"""A user's job that computed so long (all cores together) is worth the place that its outputs take: the server keeps
users' jobs for three hours at most, so waiting costs at most half of what computing again would."""

LAST_CHANCE_ATTEMPT = 3
"""The second retry: what fails then is commonly given up by its user's task."""


class Keeping(NamedTuple):
    """Whether outputs that no storage takes now wait on disk, and why (not), as the end of a sentence."""

    keep: bool
    why: str


def may_wait(job: Job, *, cpu_s: float | None, policy: RecoveryPolicy, movable: bool = True) -> Keeping:
    """The rules of who is worth a wait, the first that applies.

    `cpu_s` is what the payload computed, None if not known, which counts as little. `movable` is False where the job
    can run at no other site. What is not kept fails at once: elsewhere it is computed again sooner than its outputs
    leave here.
    """
    if policy.keep is not None:
        return Keeping(policy.keep, "its experiment says so")
    if job.label in PRODUCTION_LABELS:
        return Keeping(True, "production is always kept")
    if job.recover:
        return Keeping(True, "its user asked for it (--useJobRecovery)")
    if not movable or policy.movable is False:
        return Keeping(True, "it can run nowhere else")
    if job.attempt_nr >= min(LAST_CHANCE_ATTEMPT, job.max_attempt or LAST_CHANCE_ATTEMPT):
        return Keeping(True, f"attempt {job.attempt_nr} may be its last")
    if cpu_s is not None and cpu_s >= LONG_CPU_S:
        return Keeping(True, f"it computed for {cpu_s / HOUR_S:.1f} h")
    return Keeping(False, "a short job of a user that can be tried again elsewhere")


class Claim(StrEnum):
    """What a later pilot does with a job that it found."""

    GO_ON = "go on"
    LEAVE = "leave it"
    """For a later pilot: nothing is changed, nothing is sent."""
    DISOWN = "disown it"
    """It is not ours any more: end what runs, send nothing, remove the directory."""


class Judgement(NamedTuple):
    """What to do with a job that was found, and why, as a sentence's end."""

    claim: Claim
    why: str


REST_S = 900.0
"""Outputs that were tried are left in peace for so long at least, or for half as long again as they have waited: a
repair takes longer the longer it has taken. That makes 15 tries in the longest window of a server, of which the last is
so long before its end: what fails then is declared lost, since nobody would try again in time."""


def rests(case: Case, now: float) -> bool:
    """Whether a pilot that looks again and again should pass the job over for now (`now`: UTC seconds).

    That is so where its outputs were tried in vain a short while ago. A pilot that has just started tries at once.
    """
    if not case.waiting or case.held_since is None:
        return False
    if now < case.since:
        return False  # written by a clock that was ahead: nobody knows when it was
    rest_s = (case.since - case.held_since) / 2
    if case.held is not None:
        rest_s = min(rest_s, case.held.until - REST_S - case.since)
    return now < case.since + max(REST_S, rest_s)


def was_last_try(now: float, until: float) -> bool:
    """Whether outputs that were just tried in vain will not be tried again before their window closes."""
    return now + REST_S >= until


OVER_AT_SERVER = frozenset({"finished", "failed", "cancelled", "closed", "transferring", "merging"})
"""The server's states after which nobody waits for this attempt; in the last two its outputs are there already."""

GIVEN_BACK = frozenset({"defined", "assigned", "activated", "pending", "waiting", "throttled"})
"""The server's states of a job that no pilot has: it took the job back."""

NOT_FOUND = "not found"
"""The server's word for a job that it has never had, or has no more in its tables (panda-server 1.0.4)."""

NEEDS_NO_WORD = frozenset({State.RUNNING, State.STOPPING, State.DIAGNOSING, State.CLOSING})
"""States in which a job that was found goes on though the server cannot be asked: its payload computes, or all that is
left is the report, which waits for the server anyway. In any other, something would be started or stored unasked; and
before anything is stored of such a job, the server is asked again."""


def judge(
    case: Case,
    standing: Standing | None,
    *,
    asked: bool = True,
    age_s: float = 0.0,
    age_limit_s: float | None = None,
) -> Judgement:
    """What to do with a job found on disk.

    `standing` is the server's word on it; None with `asked` where the server does not know the job, and without where
    the server could not be asked. `age_s` is how long nothing has happened to the job; beyond `age_limit_s` (None: no
    limit) one that the server does not know is given up.
    """
    if case.over:
        return Judgement(Claim.GO_ON, "only its directory is left")
    if not asked:
        if case.state in NEEDS_NO_WORD:
            return Judgement(
                Claim.GO_ON, "the server cannot be asked, and what is left to do needs no permission"
            )
        return Judgement(Claim.LEAVE, "the server cannot be asked whether the job is still ours")
    if standing is None or standing.status == NOT_FOUND:
        if age_limit_s is not None and age_s > age_limit_s:
            days = f"{age_s / DAY_S:.1f} days"
            return Judgement(
                Claim.DISOWN, f"the server does not know the job, and nothing has happened to it for {days}"
            )
        return Judgement(Claim.LEAVE, "the server does not know the job")
    if standing.attempt_nr is not None and standing.attempt_nr != case.job.attempt_nr:
        return Judgement(
            Claim.DISOWN,
            f"the server is at attempt {standing.attempt_nr}, this is attempt {case.job.attempt_nr}",
        )
    if standing.status in OVER_AT_SERVER and case.state is not State.CLOSING:
        return Judgement(Claim.DISOWN, f"it is {standing.status} at the server")
    if standing.status in GIVEN_BACK:
        return Judgement(Claim.DISOWN, f"the server took it back ({standing.status})")
    return Judgement(Claim.GO_ON, f"it is {standing.status} at the server")
