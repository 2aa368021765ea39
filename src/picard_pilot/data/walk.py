"""Walking an ordered list of sources or destinations until one works: which next, after which pause, and why.

Building the lists is `data.sources` and `data.destinations`; what a failure means is `data.policy`; the transfer
itself is `data.worker`.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import msgspec

from picard_pilot.data.health import Health, Permit
from picard_pilot.data.policy import STAGEIN, Decision, Place, RetryLimits, decide
from picard_pilot.model.transfer import (
    Destination,
    FailureClass,
    Opened,
    Remedy,
    Side,
    Source,
    TransferFailure,
    Transferred,
)
from picard_pilot.system.clock import Clock, RealClock

Entry = TypeVar("Entry", bound=Source | Destination)

Outcome = Transferred | Opened | TransferFailure

ANSWERS = frozenset({FailureClass.MISSING, FailureClass.CHECKSUM, FailureClass.AUTH, FailureClass.SPACE})
"""Failures that only a storage in working order can tell."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How the walks of a pilot go on: made once, and with `msgspec.structs.replace` for another end or other limits.

    `ends_at` is the moment on the clock's monotonic time after which nothing is begun; None: only the limits'
    patience counts. `health` is shared by all walks; without one each `Pace` has its own.
    """

    clock: Clock = msgspec.field(default_factory=RealClock)
    dice: random.Random = msgspec.field(default_factory=random.Random)
    limits: RetryLimits = STAGEIN
    health: Health | None = None
    ends_at: float | None = None

    def __post_init__(self) -> None:
        if self.health is None:
            msgspec.structs.force_setattr(self, "health", Health(self.clock, self.dice))

    @property
    def known(self) -> Health:
        """The health that counts: the one that was given, or this pace's own."""
        assert self.health is not None
        return self.health


class Attempt(NamedTuple):
    """One try, what became of it and what followed from that, for the journal, the log and the traces.

    `number` counts the attempts of one walk from 1; 0 is an entry that was not tried since time was up. `began_at` is
    in UTC seconds. `then` is the decision after a failure, which `again` tells to be a promise to come back. `spared`
    counts the entries that one which worked kept from being tried while their storage was known to be sick.
    """

    entry: Source | Destination
    outcome: Outcome
    began_at: float
    number: int
    then: str = ""
    again: bool = False
    spared: int = 0

    def says(self, *, over: bool = False) -> str:
        """Where, why there, what happened and what was done about it. A failure's cause comes first: it becomes the
        one line that a user reads, which servers cut. `over`: all has ended, and no promise counts any more."""
        place = f"{self.entry.endpoint.name} ({self.entry.reason}, {self.entry.surl})"
        match self.outcome:
            case TransferFailure(kind=kind, says=says):
                name, reason, surl = self.entry.endpoint.name, self.entry.reason, self.entry.surl
                then = f"; {self.then}" if self.then and not (over and self.again) else ""
                return f"{name}: {kind}: {says}{then} ({surl}; {reason})"
            case Opened(seconds=seconds):
                return f"{place}: opened in {seconds:.3f} s"
            case Transferred(how=how, size_bytes=size_bytes, seconds=seconds):
                return f"{place}: {how}, {size_bytes} bytes in {seconds:.3f} s"


def evidence(attempts: Sequence[Attempt]) -> tuple[str, ...]:
    """What a verdict is made of, when nothing comes any more."""
    return tuple(attempt.says(over=True) for attempt in attempts)


def many(attempts: Sequence[Attempt]) -> str:
    """How often it was tried, for the end of a sentence; nothing when it was tried once."""
    tried = sum(attempt.number > 0 for attempt in attempts)
    return "" if tried == 1 else f" after {tried} attempts"


def door_of(entry: Source | Destination) -> str:
    """What is sick when it is sick: the endpoint by one of its protocols and hosts."""
    scheme, _, rest = entry.surl.partition("://")
    return f"{entry.endpoint.name} {scheme}://{rest.partition('/')[0]}"


async def walk(
    entries: Sequence[Entry],
    perform: Callable[[Entry], Awaitable[Outcome]],
    pace: Pace,
    *,
    on_attempt: Callable[[Attempt], None] | None = None,
    on_wait: Callable[[float], None] | None = None,
) -> list[Attempt]:
    """Try the entries until one works. All attempts in order, at least one: if the last one failed, all did.

    A failed entry comes again as `data.policy` says, and never while another could go on. Nothing is begun after
    the end of the time. `on_attempt` is called after each try that was made, `on_wait` with the seconds before each
    pause. Cancelling cancels the try under way.
    """
    walking = _Walk(entries, perform, pace, on_attempt, on_wait)
    await walking.run()
    return walking.attempts


class _Waiting(Generic[Entry]):
    """An entry that may still be tried: how often it was, and not before when (monotonic)."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.tries = 0
        self.not_before = float("-inf")
        self.put_off = False
        """Not tried when its turn came, since its storage was known to be sick."""


class _Walk(Generic[Entry]):
    """One walk under way."""

    def __init__(
        self,
        entries: Sequence[Entry],
        perform: Callable[[Entry], Awaitable[Outcome]],
        pace: Pace,
        on_attempt: Callable[[Attempt], None] | None,
        on_wait: Callable[[float], None] | None,
    ) -> None:
        self._pace = pace
        self._clock = pace.clock
        self._health = pace.known
        self._perform = perform
        self._on_attempt = on_attempt
        self._on_wait = on_wait
        self._waiting = [_Waiting(entry) for entry in entries]
        patient_until = self._clock.monotonic() + pace.limits.patience_s
        self._ends_at = patient_until if pace.ends_at is None else min(pace.ends_at, patient_until)
        self.attempts: list[Attempt] = []

    async def run(self) -> None:
        """Walk on until one worked, none is left or the time is over."""
        while self._waiting:
            if self._clock.monotonic() > self._ends_at:
                self._no_time_left(self._clock.monotonic())
                return
            chosen = self._choose()
            if chosen is not None:
                if await self._try(*chosen):
                    return
                continue
            wakes = min(waiting.not_before for waiting in self._waiting)
            if wakes > self._ends_at:
                self._no_time_left(wakes)
                return
            wait_s = wakes - self._clock.monotonic()
            if self._on_wait is not None:
                self._on_wait(wait_s)
            await self._clock.sleep(wait_s)

    def _choose(self) -> tuple[_Waiting[Entry], Permit] | None:
        """The first entry that may be tried now. One whose endpoint is sick is put off until it may be asked."""
        now = self._clock.monotonic()
        for waiting in self._waiting:
            if waiting.not_before > now:
                continue
            permit = self._health.ask(door_of(waiting.entry))
            if permit.wait_s <= 0:
                return waiting, permit
            waiting.not_before = now + permit.wait_s
            waiting.put_off = True
        return None

    async def _try(self, waiting: _Waiting[Entry], permit: Permit) -> bool:
        """Try one entry; whether it worked."""
        waiting.tries += 1
        began_at = self._clock.now_utc()
        try:
            outcome = await self._perform(waiting.entry)
        except BaseException:  # cancelled for the most part: whoever asks next may have the probe
            self._health.unused(permit)
            raise
        if not isinstance(outcome, TransferFailure):
            self._health.worked(permit, waiting.entry.surl)
            self._tell(waiting, outcome, began_at)
            spared = sum(other.put_off and other is not waiting for other in self._waiting)
            self.attempts[-1] = self.attempts[-1]._replace(spared=spared)
            return True
        decision = decide(outcome, waiting.tries, self._pace.limits, self._pace.dice)
        self._learn(waiting.entry, outcome, decision, permit)
        self._tell(waiting, outcome, began_at, decision)
        self._put_back(waiting, decision)
        return False

    def _tell(
        self, waiting: _Waiting[Entry], outcome: Outcome, began_at: float, after: Decision | None = None
    ) -> None:
        attempt = Attempt(
            waiting.entry,
            outcome,
            began_at,
            number=len(self.attempts) + 1,
            then=after.says if after else "",
            again=after is not None and after.place is not Place.NOWHERE,
        )
        self.attempts.append(attempt)
        if self._on_attempt is not None:
            self._on_attempt(attempt)

    def _learn(self, entry: Entry, failure: TransferFailure, decision: Decision, permit: Permit) -> None:
        """What a failure says about the storage and the copy."""
        if failure.side is Side.NODE:
            self._health.unused(permit)
            return
        if decision.rule.sick:
            self._health.failed(permit)
        elif failure.kind in ANSWERS:
            self._health.worked(permit)
        else:
            self._health.unused(permit)
        if decision.rule.bad and decision.place is Place.NOWHERE and isinstance(entry, Source):
            # Not the sentence: that may hold an address with a signature, and others will read this.
            code = f" ({failure.code})" if failure.code else ""
            self._health.remember_bad(entry.surl, f"{failure.kind}{code}")

    def _put_back(self, waiting: _Waiting[Entry], decision: Decision) -> None:
        self._waiting.remove(waiting)
        if decision.rule.remedy is Remedy.STOP:
            self._waiting.clear()
        elif decision.place is Place.FRONT:
            self._waiting.insert(0, waiting)
        elif decision.place is Place.BACK:
            waiting.not_before = self._clock.monotonic() + decision.pause_s
            self._waiting.append(waiting)

    def _no_time_left(self, wakes: float) -> None:
        """Note what would have been next, had there been time."""
        waiting = min(self._waiting, key=lambda waiting: waiting.not_before)
        wait_s = max(0.0, wakes - self._clock.monotonic())
        why = f"the next try could begin in {wait_s:.0f} s only" if wait_s else "no try could begin any more"
        last = next((a.outcome for a in reversed(self.attempts) if a.entry is waiting.entry), None)
        failure = TransferFailure(
            kind=last.kind if isinstance(last, TransferFailure) else self._untried_kind(waiting),
            says=f"the time for this file is used up: {why}",
            remedy=Remedy.NEXT,
            endpoint=waiting.entry.endpoint.name,
            surl=waiting.entry.surl,
        )
        self.attempts.append(Attempt(waiting.entry, failure, self._clock.now_utc(), 0))

    def _untried_kind(self, waiting: _Waiting[Entry]) -> FailureClass:
        """An entry that was put off and never tried was so because others had found its storage away."""
        put_off = waiting.not_before > float("-inf")
        return FailureClass.CONTACT if put_off else FailureClass.TIMEOUT
