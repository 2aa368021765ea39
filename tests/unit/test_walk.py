"""Walking a list of sources or destinations on a virtual clock: which is tried when, and why the walk ends."""

import asyncio
import errno
import random
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picard_pilot.data.policy import JITTER, RULES, STAGEIN, STAGEOUT, TRIES, RetryLimits, remedy_of, rule_for
from picard_pilot.data.sources import MAX_ALTERNATIVE_REPLICAS
from picard_pilot.data.walk import Attempt, Pace, door_of, evidence, many, walk
from picard_pilot.model.files import Checksum, ChecksumKind
from picard_pilot.model.site import Endpoint
from picard_pilot.model.transfer import (
    FailureClass,
    How,
    Opened,
    Remedy,
    Side,
    Source,
    TransferFailure,
    Transferred,
)
from picard_pilot.settings.table import BY_NAME
from picard_pilot.testing.clock import VirtualClock


class Calm(random.Random):
    """Chance that takes nothing away: every pause has its full length."""

    def random(self) -> float:
        """Always zero."""
        return 0.0


DONE = Transferred(
    surl="root://A//f",
    size_bytes=3,
    checksum=Checksum(ChecksumKind.ADLER32, "00000001"),
    seconds=0.5,
    how=How.COPY,
    mover="local",
)


def entries(letters: str) -> list[Source]:
    """Sources A, B, C ... each on a host of its own."""
    return [
        Source(surl=f"root://{letter}//f", endpoint=Endpoint(name=letter), reason="test")
        for letter in letters
    ]


def failure(
    kind: FailureClass,
    remedy: Remedy | None = None,
    *,
    side: Side = Side.STORAGE,
    after_s: float | None = None,
) -> TransferFailure:
    """A failure of this class."""
    return TransferFailure(kind=kind, says=f"{kind}!", remedy=remedy, side=side, retry_after_s=after_s)


def steps(
    letters: str,
    told: dict[str, Sequence[TransferFailure | Transferred]],
    pace: Pace | None = None,
    *,
    seconds: float = 20_000,
    takes_s: float = 0.0,
) -> tuple[list[tuple[str, float]], list[Attempt]]:
    """The tries with their times when each entry answers as told, and the last answer for ever."""
    clock = VirtualClock()
    pace = msgspec.structs.replace(pace or Pace(dice=Calm()), clock=clock, health=None)
    answers = {letter: list(outcomes) for letter, outcomes in told.items()}
    at: list[tuple[str, float]] = []

    async def perform(source: Source) -> Transferred | TransferFailure:
        name = source.endpoint.name
        at.append((name, clock.monotonic()))
        if takes_s:
            await clock.sleep(takes_s)
        return answers[name].pop(0) if len(answers[name]) > 1 else answers[name][0]

    async def run() -> list[Attempt]:
        seen: list[Attempt] = []
        awake_at: list[float] = []

        def waits(wait_s: float) -> None:
            awake_at.append(clock.monotonic() + wait_s)

        hearing = walk(entries(letters), perform, pace, on_attempt=seen.append, on_wait=waits)
        walking = asyncio.create_task(hearing)
        await clock.advance(seconds)
        attempts = await walking
        assert {time for _, time in at} <= {0.0, *awake_at} or takes_s  # each pause is told with its end
        assert [attempt for attempt in attempts if attempt.number] == seen
        return attempts

    attempts = asyncio.run(run())
    return at, attempts


CONTACT = failure(FailureClass.CONTACT, Remedy.BENCH)
GONE = failure(FailureClass.MISSING, Remedy.NEXT)


@pytest.mark.parametrize(
    ("failed", "times"),
    [
        # A door shuts after three failures in a row, here for 30 s, which is less than the pause.
        (failure(FailureClass.RESOLVE, Remedy.BENCH), [0, 30, 180, 480]),
        (failure(FailureClass.CONTACT, Remedy.BENCH), [0, 30, 180, 480]),
        (failure(FailureClass.TIMEOUT, Remedy.BENCH), [0, 60, 360]),
        (failure(FailureClass.TRANSFER, Remedy.BENCH), [0, 10, 60, 310]),
        (failure(FailureClass.REGISTER, Remedy.BENCH), [0, 30, 180, 480]),
        (failure(FailureClass.AUTH, Remedy.NEXT), [0]),
        (failure(FailureClass.AUTH, Remedy.RENEW), [0, 0]),
        (failure(FailureClass.SPECIFICATION, Remedy.MISTAKE), [0]),
        (failure(FailureClass.MISSING, Remedy.NEXT), [0]),
        (failure(FailureClass.MISSING, Remedy.LATER), [0, 10]),
        (failure(FailureClass.SPACE, Remedy.NEXT), [0]),
        (failure(FailureClass.CHECKSUM, Remedy.REPEAT), [0, 0]),
        (failure(FailureClass.SPACE, Remedy.STOP, side=Side.NODE), [0]),
    ],
    ids=lambda value: f"{value.kind}-{value.remedy}" if isinstance(value, TransferFailure) else "",
)
def test_the_times_of_all_tries_of_one_source(failed: TransferFailure, times: list[float]) -> None:
    """Each class and remedy, with the whole pauses: what is transient comes again, each time after longer."""
    at, attempts = steps("A", {"A": [failed]})
    assert at == [("A", time) for time in times]
    assert [attempt.number for attempt in attempts] == list(range(1, len(times) + 1))


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        (failure(FailureClass.RESOLVE, Remedy.BENCH), [("A", 0), ("B", 0), ("A", 30)]),
        (failure(FailureClass.CONTACT, Remedy.BENCH), [("A", 0), ("B", 0), ("A", 30)]),
        (failure(FailureClass.TIMEOUT, Remedy.BENCH), [("A", 0), ("B", 0), ("A", 60)]),
        (failure(FailureClass.TRANSFER, Remedy.BENCH), [("A", 0), ("B", 0), ("A", 10)]),
        (failure(FailureClass.REGISTER, Remedy.BENCH), [("A", 0), ("B", 0), ("A", 30)]),
        (failure(FailureClass.AUTH, Remedy.NEXT), [("A", 0), ("B", 0)]),
        (failure(FailureClass.AUTH, Remedy.RENEW), [("A", 0), ("A", 0)]),
        (failure(FailureClass.SPECIFICATION, Remedy.MISTAKE), [("A", 0), ("B", 0)]),
        (failure(FailureClass.MISSING, Remedy.NEXT), [("A", 0), ("B", 0)]),
        (failure(FailureClass.MISSING, Remedy.LATER), [("A", 0), ("B", 0), ("A", 10)]),
        (failure(FailureClass.SPACE, Remedy.NEXT), [("A", 0), ("B", 0)]),
        (failure(FailureClass.CHECKSUM, Remedy.REPEAT), [("A", 0), ("A", 0)]),
        (failure(FailureClass.SPACE, Remedy.STOP, side=Side.NODE), [("A", 0)]),
    ],
    ids=lambda value: f"{value.kind}-{value.remedy}" if isinstance(value, TransferFailure) else "",
)
def test_what_comes_after_one_failure_beside_a_second_source(
    failed: TransferFailure, expected: list[tuple[str, float]]
) -> None:
    """A fails once and would then work, B lacks the file: nothing waits that could go on."""
    at, attempts = steps("AB", {"A": [failed, DONE], "B": [GONE]})
    assert at == expected
    worked = isinstance(attempts[-1].outcome, Transferred)
    assert worked == (expected[-1][0] == "A" and len(expected) > 1)


def test_all_sick_sources_are_asked_in_turn() -> None:
    """Round by round in the order of the list, each with its own pause."""
    at, _ = steps("AB", {"A": [CONTACT], "B": [CONTACT]})
    assert at == [(name, time) for time in (0, 30, 180, 480) for name in "AB"]


def test_a_walk_takes_the_first_that_works() -> None:
    """And says in a line each what happened and what followed."""
    at, attempts = steps("ABC", {"A": [CONTACT], "B": [DONE], "C": [DONE]})
    assert at == [("A", 0), ("B", 0)]
    assert [attempt.says() for attempt in attempts] == [
        "A: contact: contact!; again in 30 s at the earliest (root://A//f; test)",
        "B (test, root://B//f): copy, 3 bytes in 0.500 s",
    ]
    assert evidence(attempts)[0] == "A: contact: contact! (root://A//f; test)"  # nothing comes again
    assert many(attempts) == " after 2 attempts"
    assert attempts[0].began_at == 1_800_000_000.0


def test_a_storage_that_asks_for_a_pause_gets_it() -> None:
    """Up to the longest pause; one that asks for an hour is passed over, and the line says so."""
    at, _ = steps("A", {"A": [failure(FailureClass.CONTACT, Remedy.BENCH, after_s=200), DONE]})
    assert at == [("A", 0), ("A", 200)]
    at, attempts = steps("A", {"A": [failure(FailureClass.CONTACT, Remedy.BENCH, after_s=3600), DONE]})
    assert at == [("A", 0)]
    assert "asks for 3600 s" in attempts[0].then


def test_nothing_is_begun_after_the_end() -> None:
    """The third try would come at 180 s, the slot's share ends at 100 s: given up at once, not at 100 s."""
    at, attempts = steps("A", {"A": [CONTACT]}, Pace(dice=Calm(), ends_at=100.0), seconds=31)
    assert at == [("A", 0), ("A", 30)]
    last = attempts[-1]
    assert last.number == 0
    assert isinstance(last.outcome, TransferFailure) and "used up" in last.outcome.says
    assert last.outcome.kind is FailureClass.CONTACT  # the verdict is about the storage
    assert many(attempts) == " after 2 attempts"


def test_a_walk_that_may_not_begin_says_so() -> None:
    """There is always an attempt to read, even where none was made."""
    at, attempts = steps("AB", {}, Pace(dice=Calm(), ends_at=-1.0))
    assert at == []
    assert len(attempts) == 1 and "no try could begin any more" in attempts[0].says()


def test_a_storage_that_others_found_away_is_not_even_asked() -> None:
    """Its door is shut for longer than there is time: said so, and the verdict is about the storage."""
    clock = VirtualClock()
    pace = Pace(clock=clock, dice=Calm(), ends_at=20.0)
    door = door_of(entries("A")[0])
    for _ in range(3):
        pace.known.failed(pace.known.ask(door))

    async def never(source: Source) -> TransferFailure:
        raise AssertionError("asked")

    attempts = asyncio.run(walk(entries("A"), never, pace))
    assert [attempt.number for attempt in attempts] == [0]
    assert isinstance(attempts[0].outcome, TransferFailure)
    assert attempts[0].outcome.kind is FailureClass.CONTACT
    assert "the next try could begin in 30 s only" in attempts[0].outcome.says


def test_nothing_waits_for_a_shut_door_that_could_go_on() -> None:
    """A is known to be away: B is asked at once, and A not at all."""
    clock = VirtualClock()
    pace = Pace(clock=clock, dice=Calm())
    for _ in range(3):
        pace.known.failed(pace.known.ask(door_of(entries("A")[0])))
    asked: list[str] = []

    async def perform(source: Source) -> Transferred:
        asked.append(source.endpoint.name)
        return DONE

    asyncio.run(walk(entries("AB"), perform, pace))
    assert asked == ["B"]


def test_patience_ends_a_walk_where_the_slot_is_long() -> None:
    """Without a known end, and long before one that is days away."""
    limits = RetryLimits(patience_s=100.0)
    for ends_at in (None, 300_000.0):
        at, _ = steps("A", {"A": [CONTACT]}, Pace(dice=Calm(), limits=limits, ends_at=ends_at), seconds=31)
        assert at == [("A", 0), ("A", 30)]


def test_the_longest_pause_is_a_setting() -> None:
    """Ten seconds for somebody in a hurry."""
    pace = Pace(dice=Calm(), limits=RetryLimits(longest_pause_s=10.0))
    at, _ = steps("A", {"A": [failure(FailureClass.REGISTER, Remedy.BENCH)]}, pace)
    assert at == [("A", 0), ("A", 10), ("A", 20), ("A", 30)]


def test_the_nodes_own_trouble_says_nothing_against_the_storage() -> None:
    """The disk is full: the door stays open and the copy stays good."""
    pace = Pace(clock=VirtualClock(), dice=Calm())

    async def full(source: Source) -> TransferFailure:
        return failure(FailureClass.SPACE, side=Side.NODE)

    attempts = asyncio.run(walk(entries("AB"), full, pace))
    assert len(attempts) == 1
    assert pace.known.bad("root://A//f") is None


def test_a_bad_copy_is_remembered_and_forgiven() -> None:
    """After the second wrong checksum; a later success of the same copy clears it."""
    pace = Pace(clock=VirtualClock(), dice=Calm())
    outcomes: list[TransferFailure | Transferred] = [failure(FailureClass.CHECKSUM, Remedy.REPEAT)] * 2

    async def perform(source: Source) -> TransferFailure | Transferred:
        return outcomes.pop(0)

    asyncio.run(walk(entries("A"), perform, pace))
    assert pace.known.bad("root://A//f") == "checksum"
    outcomes.append(DONE)
    asyncio.run(walk(entries("A"), perform, pace))
    assert pace.known.bad("root://A//f") is None


def test_opening_in_place_counts_like_a_copy() -> None:
    """A list can be walked to open files instead of fetching them."""

    async def opens(source: Source) -> Opened:
        return Opened(surl=source.surl, seconds=0.25, mover="xrootd")

    attempts = asyncio.run(walk(entries("A"), opens, Pace(clock=VirtualClock())))
    assert attempts[0].says() == "A (test, root://A//f): opened in 0.250 s"


def test_a_cancelled_walk_ends_and_gives_its_probe_back() -> None:
    """The job is killed in the middle of the one probe of a sick storage: the next walk may probe at once."""
    clock = VirtualClock()
    pace = Pace(clock=clock, dice=Calm(), limits=RetryLimits(tries=3))
    hangs = asyncio.Event()
    tried: list[float] = []

    async def sick(source: Source) -> TransferFailure:
        return CONTACT

    async def hang(source: Source) -> TransferFailure:
        tried.append(clock.monotonic())
        await hangs.wait()
        return CONTACT

    async def run() -> None:
        walking = asyncio.create_task(walk(entries("A"), sick, pace))
        await clock.advance(1000)
        await walking
        for _ in range(2):
            probing = asyncio.create_task(walk(entries("A"), hang, pace))
            await clock.advance(1)
            probing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await probing

    asyncio.run(run())
    assert tried == [1000, 1001]


def test_remedies_follow_from_class_side_and_repeatability() -> None:
    """A mover that says no remedy is understood all the same; there is a rule for everything."""
    assert remedy_of(failure(FailureClass.SPACE, side=Side.NODE)) is Remedy.STOP
    assert remedy_of(failure(FailureClass.TRANSFER, side=Side.NODE, after_s=0)) is Remedy.BENCH
    assert remedy_of(failure(FailureClass.TRANSFER, side=Side.NODE)) is Remedy.NEXT
    dying_disk = failure(FailureClass.TRANSFER, side=Side.NODE, after_s=0)
    assert remedy_of(msgspec.structs.replace(dying_disk, errno=errno.EIO)) is Remedy.STOP
    assert remedy_of(failure(FailureClass.CHECKSUM, after_s=0)) is Remedy.REPEAT
    assert remedy_of(failure(FailureClass.CONTACT, after_s=5)) is Remedy.BENCH
    assert remedy_of(failure(FailureClass.CONTACT)) is Remedy.NEXT
    assert remedy_of(failure(FailureClass.AUTH, after_s=0)) is Remedy.RENEW
    assert remedy_of(failure(FailureClass.MISSING, after_s=10)) is Remedy.LATER
    assert remedy_of(failure(FailureClass.SPECIFICATION)) is Remedy.MISTAKE
    for kind in FailureClass:
        for remedy in Remedy:
            assert rule_for(failure(kind, remedy)).remedy is remedy
    assert max(row.tries for row in RULES) == TRIES


FAILURES = st.builds(
    failure,
    st.sampled_from(FailureClass),
    st.none() | st.sampled_from(Remedy),
    side=st.sampled_from(Side),
    after_s=st.none() | st.floats(0, 1000),
)


@settings(max_examples=60, deadline=None)
@given(
    told=st.lists(st.lists(FAILURES, min_size=1, max_size=4), min_size=1, max_size=4),
    ends_at=st.none() | st.floats(0, 2000),
    seed=st.integers(0, 1000),
    takes_s=st.sampled_from([0.0, 1.0, 100.0]),
)
def test_every_walk_ends_in_time_and_tries_nothing_too_often(
    told: list[list[TransferFailure]], ends_at: float | None, seed: int, takes_s: float
) -> None:
    """Whatever fails in whatever way, and however long each try takes."""
    letters = "ABCD"[: len(told)]
    pace = Pace(dice=random.Random(seed), ends_at=ends_at)
    at, attempts = steps(letters, dict(zip(letters, told, strict=True)), pace, takes_s=takes_s)
    assert attempts
    for letter in letters:
        assert sum(name == letter for name, _ in at) <= TRIES
    assert all(time <= (7200.0 if ends_at is None else min(7200.0, ends_at)) for _, time in at)


def test_pilots_that_failed_together_do_not_come_back_together() -> None:
    """A hundred second tries spread over half of the pause, and no two at the same moment."""
    seconds = [
        steps("A", {"A": [CONTACT, DONE]}, Pace(dice=random.Random(seed)))[0][1][1] for seed in range(100)
    ]
    assert len(set(seconds)) == 100
    assert 30 * (1 - JITTER) <= min(seconds) < 18 and 27 < max(seconds) <= 30


def test_the_settings_have_the_tables_defaults() -> None:
    """The same numbers, whether a pilot or a test makes the limits."""
    assert BY_NAME["stagein_retry_pause_s"].default == STAGEIN.longest_pause_s
    assert BY_NAME["stageout_retry_pause_s"].default == STAGEOUT.longest_pause_s
    assert BY_NAME["staging_patience_s"].default == STAGEIN.patience_s == STAGEOUT.patience_s
    assert BY_NAME["max_alternative_replicas"].default == MAX_ALTERNATIVE_REPLICAS
