"""What is done after a failed transfer: one table from remedy and class to tries and pauses, for all protocols.

Pure decisions over values; which code means which remedy is `movers.codes`, obeying the decision is `data.walk`.
"""

import errno
from enum import StrEnum
from typing import NamedTuple

import msgspec

from picard_pilot.model.transfer import FailureClass, Remedy, Side, TransferFailure
from picard_pilot.system.backoff import Backoff, Dice

TRIES = 4
"""No entry of a list is tried more often: two tries a replica and two rounds, what Rucio's client was seen to need."""

JITTER = 0.5
"""The part of a pause that chance may take away; pilots that lost a storage together do not come back together."""

GROWTH = 5.0
"""From the first pause to the longest in three steps: 30 s, 150 s, then the 5 or 10 minutes of the settings."""

STAGEIN_PAUSE_S = 300.0
"""The longest pause between two tries of an input: the first pilot's 5 minutes between retries."""

STAGEOUT_PAUSE_S = 600.0
"""The same for an output: the first pilot's 10 minutes; losing a result costs more than losing a wait."""

PATIENCE_S = 7200.0
"""One file is given up after so long, even where the slot has more time: most outages are shorter than 2 h, and
after that the server finds another place sooner."""


class Place(StrEnum):
    """Where an entry goes that may be tried once more."""

    NOWHERE = "nowhere"
    FRONT = "front"
    """It is the next one: at once, from the same place."""
    BACK = "back"
    """Behind all others, and not before its pause is over."""


class Rule(NamedTuple):
    """One row: after a failure with this remedy and class (None: any other), what is done with the entry.

    `tries` is the most that one entry gets, the failed ones included. `first_s` is the pause after the first
    failure; it grows by `GROWTH` up to the longest pause. `sick` tells whether the failure counts against the whole
    endpoint, `bad` whether the copy is remembered as bad.
    """

    remedy: Remedy
    kind: FailureClass | None
    place: Place
    tries: int
    first_s: float
    sick: bool
    bad: bool
    why: str


RULES: tuple[Rule, ...] = (
    Rule(Remedy.BENCH, FailureClass.CONTACT, Place.BACK, TRIES, 30.0, True, False,
         "a storage that does not answer needs half a minute at least to come back"),
    Rule(Remedy.BENCH, FailureClass.RESOLVE, Place.BACK, TRIES, 30.0, True, False,
         "name servers have bad moments, and remember a failed look-up for about so long"),
    Rule(Remedy.BENCH, FailureClass.TIMEOUT, Place.BACK, 3, 60.0, True, False,
         "each try has cost a minute or more already, so one less"),
    Rule(Remedy.BENCH, FailureClass.REGISTER, Place.BACK, TRIES, 30.0, False, False,
         "the catalogue is away, which the storage cannot help"),
    Rule(Remedy.BENCH, None, Place.BACK, TRIES, 10.0, True, False,
         "a broken transfer or a busy server: often the next one passes"),
    Rule(Remedy.LATER, None, Place.BACK, 2, 10.0, False, True,
         "a redirector asks its servers again after some seconds; the second no is an answer"),
    Rule(Remedy.REPEAT, None, Place.FRONT, 2, 0.0, False, True,
         "the way may have changed the bytes; if they arrive alike again, the copy is bad"),
    Rule(Remedy.RENEW, None, Place.FRONT, 2, 0.0, False, False,
         "credentials are read anew for each request; a fresh one counts at once"),
    Rule(Remedy.NEXT, FailureClass.AUTH, Place.NOWHERE, 1, 0.0, False, False,
         "permission is not given by asking again; another user may read the copy"),
    Rule(Remedy.NEXT, FailureClass.SPACE, Place.NOWHERE, 1, 0.0, False, False,
         "a full storage stays full for longer than a job waits"),
    Rule(Remedy.NEXT, FailureClass.TIMEOUT, Place.NOWHERE, 1, 0.0, False, False,
         "it was ended by us, so nothing is known about the copy"),
    Rule(Remedy.NEXT, None, Place.NOWHERE, 1, 0.0, False, True,
         "a copy that is not there, or is something else, stays so"),
    Rule(Remedy.MISTAKE, None, Place.NOWHERE, 1, 0.0, False, False,
         "the same request gets the same answer; another door may understand it"),
    Rule(Remedy.STOP, None, Place.NOWHERE, 1, 0.0, False, False,
         "no other storage can mend this node: the list ends here"),
)  # fmt: skip

_BY_BOTH = {(row.remedy, row.kind): row for row in RULES}


class RetryLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that bound a walk: the longest pause between two tries and the longest time for one file."""

    longest_pause_s: float = STAGEIN_PAUSE_S
    patience_s: float = PATIENCE_S
    tries: int = TRIES
    """The table's tries are cut to this many."""


STAGEIN = RetryLimits()
STAGEOUT = RetryLimits(longest_pause_s=STAGEOUT_PAUSE_S)


class Decision(NamedTuple):
    """What happens to an entry after a failure."""

    rule: Rule
    place: Place
    pause_s: float
    says: str


def remedy_of(failure: TransferFailure) -> Remedy:
    """The failure's own remedy, else the one that follows from its class, its side and whether it may be repeated."""
    if failure.remedy is not None:
        return failure.remedy
    if failure.side is Side.NODE and (failure.retry_after_s is None or failure.errno == errno.EIO):
        # Without an error number it was a mover or its library that broke down: another storage may spare it that.
        program = failure.kind is FailureClass.TRANSFER and failure.errno is None
        return Remedy.NEXT if program else Remedy.STOP
    if failure.kind is FailureClass.CHECKSUM:
        return Remedy.REPEAT
    if failure.retry_after_s is None:
        return Remedy.MISTAKE if failure.kind is FailureClass.SPECIFICATION else Remedy.NEXT
    if failure.kind is FailureClass.AUTH:
        return Remedy.RENEW
    if failure.kind is FailureClass.MISSING:
        return Remedy.LATER
    return Remedy.BENCH


def rule_for(failure: TransferFailure) -> Rule:
    """The row that counts for a failure."""
    remedy = remedy_of(failure)
    return _BY_BOTH.get((remedy, failure.kind)) or _BY_BOTH[remedy, None]


def decide(failure: TransferFailure, tries: int, limits: RetryLimits, dice: Dice) -> Decision:
    """What to do with an entry that has failed `tries` times, this failure included."""
    rule = rule_for(failure)
    if rule.remedy is Remedy.STOP:
        return Decision(rule, Place.NOWHERE, 0.0, "no other place can help")
    if tries >= min(rule.tries, limits.tries):
        return Decision(
            rule, Place.NOWHERE, 0.0, "" if tries == 1 else f"given up after failing {tries} times"
        )
    pause_s = max(_grown(rule, tries, limits, dice), failure.retry_after_s or 0.0)
    if pause_s > limits.longest_pause_s:
        asked = (
            f"the storage asks for {pause_s:.0f} s, more than the {limits.longest_pause_s:.0f} s of a pause"
        )
        return Decision(rule, Place.NOWHERE, 0.0, asked)
    again = "once more at once" if pause_s == 0 else f"again in {pause_s:.0f} s at the earliest"
    return Decision(rule, rule.place, pause_s, again)


def _grown(rule: Rule, tries: int, limits: RetryLimits, dice: Dice) -> float:
    if rule.first_s <= 0:
        return 0.0
    first_s = min(rule.first_s, limits.longest_pause_s)
    grows = Backoff(first_s=first_s, longest_s=limits.longest_pause_s, factor=GROWTH, jitter=JITTER)
    pause_s = grows.pause_s(tries, dice)
    return max(pause_s, first_s) if rule.remedy is Remedy.LATER else pause_s
