"""What is known of storages and copies: a breaker per door, and copies that were found bad. Pure, on given times.

Sharing it between the pilots of a node is `data.health_file`; asking before each attempt is `data.walk`.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import msgspec

from picard_pilot.model.address import without_query
from picard_pilot.system.backoff import Backoff, Dice
from picard_pilot.system.clock import Clock

FAILURES_TO_OPEN = 3
"""In a row: one or two are an accident, and each costs a request."""

OPEN = Backoff(first_s=30.0, longest_s=900.0, factor=2.0, jitter=0.25)
"""How long a door stays shut: from the half minute that a restart takes to the quarter of an hour after which a
returned storage should be noticed. Little jitter: the shorter the period, the more probes an outage costs."""

PROBE_LEASE_S = 120.0
"""A probe that is silent for so long has died with its pilot, or moves bytes: one without a byte ends after 60 s."""

LOOK_AGAIN = 0.5
"""Over this part of the first pause, 15 s, those who wait spread their questions: to the knowledge, then to the
storage."""

BAD_COPY_LIFETIME_S = 86_400.0
"""A day later somebody has mended a copy that was reported, or nobody will."""

DOOR_LIFETIME_S = 7200.0
"""What was known of a door that nobody asked for since then is forgotten."""

DOORS_AT_MOST = 200
BAD_COPIES_AT_MOST = 1000
"""Together about 200 kB of JSON at the usual length of names; the oldest are dropped."""


class Door(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One way into a storage that has failed lately. Times are UTC seconds. It is open while `until` is None:
    requests pass; else shut until then, and after that one probe at a time passes."""

    failures: int = 0
    """In a row."""
    shut: int = 0
    """How often in a row it was shut; each time for longer."""
    until: float | None = None
    probe: str | None = None
    probe_until: float = 0.0
    touched: float = 0.0


class BadCopy(msgspec.Struct, frozen=True, kw_only=True):
    """Why a copy is known as bad, and since when (UTC seconds)."""

    reason: str
    since: float


class Known(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that is known: doors by name, bad copies by address. What is fine is not listed."""

    doors: dict[str, Door] = {}
    bad: dict[str, BadCopy] = {}


class Permit(NamedTuple):
    """The answer to the question whether a request may go out now (`wait_s` 0), else when to ask again.

    Every permit that was used is given back: by `worked`, `failed` or `unused`.
    """

    door: str
    wait_s: float = 0.0
    probe: str | None = None


def admitted(
    known: Known, name: str, now: float, asker: str, dice: Dice, pauses: Backoff = OPEN
) -> tuple[Known, Permit]:
    """May a request go to this door? Where it is shut and the time is over, the first asker gets the one probe."""
    door = known.doors.get(name)
    if door is None or door.until is None:
        return known, Permit(name)
    spread_s = pauses.first_s * LOOK_AGAIN
    left_s = _believable(door.until - now, pauses.longest_s)
    if left_s > 0:
        return known, Permit(name, left_s + spread_s * dice.random())
    probed_s = _believable(door.probe_until - now, PROBE_LEASE_S)
    if door.probe is not None and probed_s > 0:
        return known, Permit(name, min(probed_s, spread_s) * (1 - 0.75 * dice.random()))
    taken = msgspec.structs.replace(door, probe=asker, probe_until=now + PROBE_LEASE_S, touched=now)
    return _with_door(known, name, taken), Permit(name, 0.0, asker)


def _believable(left_s: float, longest_s: float) -> float:
    """A time that lies further ahead than anything here sets comes from a clock that was set back: it is over."""
    return left_s if left_s <= longest_s else 0.0


def after_failure(known: Known, permit: Permit, now: float, dice: Dice, pauses: Backoff = OPEN) -> Known:
    """A request found the storage sick. What was under way when the door was shut proves nothing new."""
    door = known.doors.get(permit.door, Door())
    if door.until is not None and (permit.probe is None or door.probe != permit.probe):
        return known
    failures, shut = door.failures + 1, door.shut
    if door.until is None and failures < FAILURES_TO_OPEN:
        return _with_door(known, permit.door, Door(failures=failures, touched=now))
    until = now + pauses.pause_s(shut + 1, dice)
    return _with_door(known, permit.door, Door(failures=failures, shut=shut + 1, until=until, touched=now))


def after_success(known: Known, door: str, surl: str | None) -> Known:
    """The storage works and the copy, if one is named, is good: nothing is remembered against them."""
    if door not in known.doors and surl not in known.bad:
        return known
    return Known(
        doors={name: found for name, found in known.doors.items() if name != door},
        bad={address: found for address, found in known.bad.items() if address != surl},
    )


def after_no_answer(known: Known, permit: Permit) -> Known:
    """A probe was given back without having learnt anything: somebody else may have it."""
    door = known.doors.get(permit.door)
    if door is None or permit.probe is None or door.probe != permit.probe:
        return known
    return _with_door(known, permit.door, msgspec.structs.replace(door, probe=None))


def with_bad_copy(known: Known, surl: str, reason: str, now: float) -> Known:
    """Remember a copy as bad."""
    return Known(doors=known.doors, bad={**known.bad, surl: BadCopy(reason=reason, since=now)})


def bad_reason(known: Known, surl: str) -> str | None:
    """Why a copy is known as bad; None: nothing is known against it."""
    found = known.bad.get(without_query(surl)) if known.bad else None
    return found.reason if found else None


def tidied(known: Known, now: float) -> Known:
    """Without what is out of date, and no larger than its limits: the oldest goes first."""
    doors = [pair for pair in known.doors.items() if abs(now - pair[1].touched) < DOOR_LIFETIME_S]
    bad = [pair for pair in known.bad.items() if abs(now - pair[1].since) < BAD_COPY_LIFETIME_S]
    doors.sort(key=lambda pair: pair[1].touched)
    bad.sort(key=lambda pair: pair[1].since)
    return Known(doors=dict(doors[-DOORS_AT_MOST:]), bad=dict(bad[-BAD_COPIES_AT_MOST:]))


def _with_door(known: Known, name: str, door: Door) -> Known:
    return Known(doors={**known.doors, name: door}, bad=known.bad)


Answer = TypeVar("Answer")
Change = Callable[[Known], tuple[Known, Answer]]


class Health:
    """What one pilot knows. Its methods return at once; `data.health_file` has the one that shares it."""

    _numbers = itertools.count(1)

    def __init__(self, clock: Clock, dice: Dice, *, asker: str = "pilot", pauses: Backoff = OPEN) -> None:
        """`asker` is this pilot's name among those that share the knowledge; `pauses` how long a door stays shut."""
        self._clock = clock
        self._dice = dice
        self._asker = asker
        self._pauses = pauses
        self._known = Known()

    def ask(self, door: str) -> Permit:
        """May a request go to this door now? Take every permit back to `worked`, `failed` or `unused`."""
        probe = f"{self._asker}.{next(self._numbers)}"
        now = self._clock.now_utc()
        return self._change(
            lambda known: admitted(known, door, now, probe, self._dice, self._pauses),
            Permit(door, self._pauses.first_s * LOOK_AGAIN * (1 + self._dice.random()) / 20),
        )

    def worked(self, permit: Permit, surl: str | None = None) -> None:
        """The storage answered; where `surl` is given, with that copy."""
        copy = None if surl is None else without_query(surl)
        self._note(lambda known: after_success(known, permit.door, copy))

    def failed(self, permit: Permit) -> None:
        """The request found the storage sick."""
        now = self._clock.now_utc()
        self._note(lambda known: after_failure(known, permit, now, self._dice, self._pauses))

    def unused(self, permit: Permit) -> None:
        """The request was not made, or says nothing about the storage."""
        self._note(lambda known: after_no_answer(known, permit))

    def remember_bad(self, surl: str, reason: str) -> None:
        """This copy is not what its catalogue says. Address and reason may be written to a file."""
        now = self._clock.now_utc()
        self._note(lambda known: with_bad_copy(known, without_query(surl), reason, now))

    def bad(self, surl: str) -> str | None:
        """Why this copy is known as bad; None: nothing is known against it."""
        return bad_reason(self._look(), surl)

    def _note(self, change: Callable[[Known], Known]) -> None:
        self._change(lambda known: (change(known), None), None)

    def _look(self) -> Known:
        """What is known now."""
        return self._known

    def _change(self, change: Change[Answer], otherwise: Answer) -> Answer:
        """Change what is known; `otherwise` is the answer where that is not possible at the moment."""
        known, answer = change(self._known)
        if known is not self._known:
            self._known = tidied(known, self._clock.now_utc())
        return answer
