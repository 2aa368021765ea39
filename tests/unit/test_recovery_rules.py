"""Who may wait on disk for a storage, and what a later pilot does with a job that it finds: the tables, row by row."""

import msgspec
import pytest
from lifecycle_story import START, a_job, good_story

from picard_pilot.diagnosis.faults import fault
from picard_pilot.lifecycle.case import Case
from picard_pilot.lifecycle.recovery import (
    DAY_S,
    LONG_CPU_S,
    OVER_AT_SERVER,
    REST_S,
    Claim,
    judge,
    may_wait,
    rests,
    was_last_try,
)
from picard_pilot.lifecycle.table import step
from picard_pilot.model import events as ev
from picard_pilot.model import instructions as do
from picard_pilot.model.events import Event
from picard_pilot.model.job import Job
from picard_pilot.model.orders import Standing
from picard_pilot.model.policy import RecoveryPolicy
from picard_pilot.model.states import FINAL, HAS_PAYLOAD, State
from picard_pilot.model.stop import Stop, StopKind

HOUR_S = 3600.0
USER = Job(job_id=1, attempt_nr=1, label="user")
PRODUCTION = Job(job_id=1, attempt_nr=1, label="managed")


def changed(job: Job, **changes: object) -> Job:
    return msgspec.structs.replace(job, **changes)


@pytest.mark.parametrize(
    ("job", "cpu_s", "movable", "keep", "why"),
    [
        (PRODUCTION, 0.0, True, True, "production"),
        (changed(PRODUCTION, label="prod_test"), None, True, True, "production"),
        (USER, 60.0, True, False, "tried again elsewhere"),
        (USER, None, True, False, "tried again elsewhere"),
        (changed(USER, label=None), 60.0, True, False, "tried again elsewhere"),
        (USER, LONG_CPU_S - 1, True, False, "tried again elsewhere"),
        (USER, LONG_CPU_S, True, True, "computed for 6.0 h"),
        (changed(USER, attempt_nr=2), 60.0, True, False, "tried again elsewhere"),
        (changed(USER, attempt_nr=3), 60.0, True, True, "may be its last"),
        (changed(USER, attempt_nr=2, max_attempt=2), 60.0, True, True, "may be its last"),
        (changed(USER, attempt_nr=3, max_attempt=9), 60.0, True, True, "may be its last"),
        (USER, 60.0, False, True, "nowhere else"),
        (changed(USER, recover=True), 60.0, True, True, "--useJobRecovery"),
    ],
)
def test_who_may_wait(job: Job, cpu_s: float | None, movable: bool, keep: bool, why: str) -> None:
    """Production always; a user's job when long, at its last attempt, bound to this site, or when its user says so."""
    found = may_wait(job, cpu_s=cpu_s, policy=RecoveryPolicy(), movable=movable)
    assert found.keep is keep
    assert why in found.why


@pytest.mark.parametrize("job", [USER, PRODUCTION, changed(USER, recover=True)])
@pytest.mark.parametrize("keep", [True, False])
def test_an_experiment_has_the_last_word(job: Job, keep: bool) -> None:
    """Its policy stands above all rules."""
    assert may_wait(job, cpu_s=1e6, policy=RecoveryPolicy(keep=keep)).keep is keep


def test_an_experiment_may_know_that_a_job_cannot_move() -> None:
    """Then its outputs wait, as where the queue says so."""
    assert may_wait(USER, cpu_s=1.0, policy=RecoveryPolicy(movable=False)).keep


def case_in(state: State) -> Case:
    return Case(job=a_job(), queue="Q", state=state, since=START, received_at=START)


def standing(status: str, attempt_nr: int | None = None) -> Standing:
    job = a_job()
    return Standing(job_id=job.job_id, status=status, attempt_nr=attempt_nr or job.attempt_nr)


@pytest.mark.parametrize("state", [state for state in State if state not in FINAL])
@pytest.mark.parametrize("status", ["sent", "starting", "running", "holding"])
def test_a_job_that_is_still_ours_goes_on(state: State, status: str) -> None:
    """In every state."""
    assert judge(case_in(state), standing(status)).claim is Claim.GO_ON


@pytest.mark.parametrize("state", [state for state in State if state not in FINAL])
def test_another_attempt_is_another_job(state: State) -> None:
    """Whatever the server's state: the numbers decide first."""
    found = judge(case_in(state), standing("running", attempt_nr=a_job().attempt_nr + 1))
    assert found.claim is Claim.DISOWN
    assert f"attempt {a_job().attempt_nr + 1}" in found.why


@pytest.mark.parametrize("status", [*sorted(OVER_AT_SERVER), "activated", "defined"])
def test_what_is_over_at_the_server_is_disowned(status: str) -> None:
    """Its outputs would be registered by nobody."""
    for state in (State.STAGING_IN, State.RUNNING, State.STAGING_OUT, State.HOLDING):
        assert judge(case_in(state), standing(status)).claim is Claim.DISOWN


@pytest.mark.parametrize("status", ["finished", "failed", "cancelled"])
def test_a_report_on_its_way_is_told_once_more(status: str) -> None:
    """The server may be there because it has this very report, whose answer got lost."""
    assert judge(case_in(State.CLOSING), standing(status)).claim is Claim.GO_ON


@pytest.mark.parametrize("word", [None, "not found"])
def test_a_server_that_never_had_the_job_destroys_nothing(word: str | None) -> None:
    """It may be the wrong server."""
    for state in (State.RUNNING, State.STAGING_OUT, State.HOLDING):
        assert judge(case_in(state), None if word is None else standing(word)).claim is Claim.LEAVE


@pytest.mark.parametrize(
    ("state", "claim"),
    [
        (State.RECEIVED, Claim.LEAVE),
        (State.STAGING_IN, Claim.LEAVE),
        (State.LAUNCHING, Claim.LEAVE),
        (State.RUNNING, Claim.GO_ON),
        (State.STOPPING, Claim.GO_ON),
        (State.DIAGNOSING, Claim.GO_ON),
        (State.STAGING_OUT, Claim.LEAVE),
        (State.ARCHIVING, Claim.LEAVE),
        (State.HOLDING, Claim.LEAVE),
        (State.CLOSING, Claim.GO_ON),
        (State.FINISHED, Claim.GO_ON),
        (State.FAILED, Claim.GO_ON),
    ],
)
def test_without_the_server_nothing_is_started_or_stored(state: State, claim: Claim) -> None:
    """What computes goes on, what would start or store something waits."""
    assert judge(case_in(state), None, asked=False).claim is claim


@pytest.mark.parametrize(("days", "claim"), [(6.9, Claim.LEAVE), (7.1, Claim.DISOWN)])
def test_what_nobody_knows_does_not_lie_for_ever(days: float, claim: Claim) -> None:
    """After the age limit its room is given back; without the server's word nothing is."""
    aged = {"age_s": days * DAY_S, "age_limit_s": 7 * DAY_S}
    assert judge(case_in(State.HOLDING), None, **aged).claim is claim
    assert judge(case_in(State.HOLDING), None, asked=False, **aged).claim is Claim.LEAVE


EVENTS_TO = {
    State.RECEIVED: 1,
    State.STAGING_OUT: [type(event) for event in good_story()].index(ev.Diagnosed) + 1,
    State.RUNNING: [type(event) for event in good_story()].index(ev.PayloadStarted) + 1,
    State.LAUNCHING: [type(event) for event in good_story()].index(ev.PayloadStarted),
    State.CLOSING: [type(event) for event in good_story()].index(ev.ReportAccepted),
}
FOREIGN = Stop(
    kind=StopKind.DISOWNED, fault=fault("PANDAKILL", "it is failed at the server", rule="t"), grace_s=0.0
)


@pytest.mark.parametrize("state", EVENTS_TO)
@pytest.mark.parametrize("held", [False, True])
def test_a_disowned_job_leaves_without_a_word(state: State, held: bool) -> None:
    """Its payload is ended first if there may be one; then nothing is left to do but to remove its directory."""
    events: list[Event] = [*good_story()[: EVENTS_TO[state]]]
    if held:
        events.append(ev.Suspended(reason="the pilot had to leave"))
    case: Case | None = None
    for second, event in enumerate((*events, ev.Resumed(pilot="p2", stop=FOREIGN))):
        case, then = step(case, event, START + second)
    assert case is not None
    if state in HAS_PAYLOAD:
        assert (case.state, then) == (State.STOPPING, (do.Watch(), do.StopPayload(grace_s=0.0)))
        case, then = step(case, ev.PayloadLost(fault=FOREIGN.fault), START + 100)
    assert (case.state, then) == (State.FAILED, (do.CleanUp(),))
    assert case.disowned and case.stop is not None and FOREIGN.fault in case.faults


def held_for(seconds: float, tried_s_ago: float) -> tuple[Case, float]:
    """A case whose outputs have waited so long, the last try so long ago; and the present moment."""
    first = fault("STAGEOUTFAILED", "nobody answers", rule="test")
    held = ev.OutputsHeld(faults=(first,), where="h:/x", until=1e9)
    base = msgspec.structs.replace(
        Case(job=USER, queue="Q", state=State.HOLDING, since=1e6 - tried_s_ago, received_at=0.0),
        held=held,
        held_since=1e6 - seconds,
    )
    return base, 1e6


@pytest.mark.parametrize(
    ("waited_s", "tried_s_ago", "rests_now"),
    [
        (60.0, 60.0, True),
        (REST_S, REST_S - 1, True),
        (REST_S + 1, REST_S + 1, False),
        (10 * 3600.0, 3600.0, True),
        (10 * 3600.0, 4 * 3600.0, False),
    ],
)
def test_outputs_that_were_tried_are_left_in_peace_for_a_while(
    waited_s: float, tried_s_ago: float, rests_now: bool
) -> None:
    """The longer they have waited, the longer."""
    case, now = held_for(waited_s, tried_s_ago)
    assert rests(case, now) is rests_now


def test_a_try_that_lies_in_the_future_was_noted_by_a_wrong_clock() -> None:
    """Nobody knows when it was: it keeps no pilot away."""
    assert rests(held_for(60.0, 0.0)[0], 1e6)
    assert not rests(held_for(86400.0, -86400.0)[0], 1e6)


@pytest.mark.parametrize(
    ("left_s", "rest_s"),
    [(9 * HOUR_S, 1.5 * HOUR_S), (HOUR_S, HOUR_S - REST_S), (REST_S, REST_S), (60.0, REST_S)],
)
def test_no_rest_outlasts_the_window(left_s: float, rest_s: float) -> None:
    """After three hours of waiting: the last try comes a quarter of an hour before the end, and says that it was it."""
    case, now = held_for(3 * HOUR_S, 0.0)
    assert case.held is not None
    case = msgspec.structs.replace(case, held=msgspec.structs.replace(case.held, until=now + left_s))
    assert rests(case, now + rest_s - 1)
    assert not rests(case, now + rest_s)
    assert was_last_try(now + rest_s, now + left_s) is (left_s <= HOUR_S)


def test_what_does_not_wait_for_a_storage_never_rests() -> None:
    """It was left in the middle, or put down since its pilot had to leave."""
    case, now = held_for(60.0, 60.0)
    assert not rests(msgspec.structs.replace(case, suspended_because="the slot ended"), now)
    assert not rests(msgspec.structs.replace(case, state=State.STAGING_OUT), now)


def test_tries_in_the_longest_window_are_few() -> None:
    """A storage that is being repaired is asked now and then, and the more rarely the longer it takes."""
    tries, waited_s = 0, 0.0
    while waited_s < 48 * 3600:
        case, now = held_for(waited_s, 0.0)
        pause_s = 0.0
        while rests(case, now + pause_s):
            pause_s += 600.0
        tries, waited_s = tries + 1, waited_s + pause_s
    assert tries <= 15


def test_only_pilots_that_did_not_put_a_job_down_count_against_it() -> None:
    """A hundred short-lived pilots try its outputs in one outage: none of them was brought down by the job."""
    case, at = None, 0.0
    for event in good_story():
        case, _ = step(case, event, at)
        if case.state is State.STAGING_OUT:
            break
    assert case is not None and case.state is State.STAGING_OUT
    first = fault("STAGEOUTFAILED", "nobody answers", rule="test")
    for _ in range(100):
        case, _ = step(case, ev.OutputsHeld(faults=(first,), where="h:/x", until=1e9), at)
        case, _ = step(case, ev.Resumed(pilot="p"), at)
    assert (case.resumed, case.crashes) == (100, 0)
    for _ in range(3):
        case, _ = step(case, ev.Resumed(pilot="p"), at)
    assert case.crashes == 3
    case, _ = step(case, ev.Suspended(reason="the slot ends"), at)
    case, _ = step(case, ev.Resumed(pilot="p"), at)
    assert case.crashes == 0
